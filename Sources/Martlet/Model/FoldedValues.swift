// Which values a network still has while layers are folded into one another.

/// Follows, as nodes vanish, which node stands for which, who reads a value, and whether it is an output.
///
/// Each step of its bookkeeping is paid for by the nodes that vanish: all together take n·log n of the network's size.
struct FoldedValues {
  /// Of each node, one that stands for it; itself as long as it has not vanished. Paths are shortened as they are walked.
  private let heirs: Heirs
  /// Of a node that stands for itself, the nodes that read its value.
  private var readerSets: [Set<Int>]
  /// Whether a value, under whatever node, is an output.
  private(set) var isOutput: [Bool]
  /// Whether no node has this node's own value any more.
  private(set) var isLost: [Bool]
  /// Of a node that stands for itself, those it stands for whose values are not lost.
  private var held: [[Int]]
  private let network: Network

  init(_ network: Network, order: [Int], outputs: [Int]) {
    self.network = network
    let count = network.nodes.count
    heirs = Heirs(count)
    readerSets = .init(repeating: [], count: count)
    isOutput = .init(repeating: false, count: count)
    isLost = isOutput
    held = (0..<count).map { [$0] }
    for node in order { for input in network.nodes[node].inputs { readerSets[input].insert(node) } }
    for node in outputs { isOutput[node] = true }
  }

  /// The node that stands for this one.
  func heir(_ node: Int) -> Int { heirs.find(node) }

  /// The nodes that read a value; of a node that has not vanished.
  func readers(_ node: Int) -> Set<Int> { readerSets[node] }

  /// From now on its first input's node stands for a node, and whoever read it reads that.
  mutating func vanish(_ node: Int) {
    let heir = heir(network.nodes[node].inputs[0])
    for input in network.nodes[node].inputs { readerSets[self.heir(input)].remove(node) }
    heirs.set(node, to: heir)
    // The smaller goes into the larger.
    var moved: Set<Int> = []
    swap(&moved, &readerSets[node])
    if moved.count > readerSets[heir].count { swap(&moved, &readerSets[heir]) }
    readerSets[heir].formUnion(moved)
    isOutput[heir] = isOutput[heir] || isOutput[node]
    var kept: [Int] = []
    swap(&kept, &held[node])
    if kept.count > held[heir].count { swap(&kept, &held[heir]) }
    held[heir] += kept
  }

  /// The value that a node has had until now is changed.
  mutating func lose(_ node: Int) {
    for lost in held[node] { isLost[lost] = true }
    held[node] = []
  }

  private final class Heirs {
    private var heirs: [Int]
    init(_ count: Int) { heirs = Array(0..<count) }

    func set(_ node: Int, to heir: Int) { heirs[node] = heir }

    func find(_ node: Int) -> Int {
      var node = node
      while heirs[node] != node {
        heirs[node] = heirs[heirs[node]]
        node = heirs[node]
      }
      return node
    }
  }
}
