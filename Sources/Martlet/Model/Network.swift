// Layers with their variables, joined: what a model and its submodels share.
import MartletRuntime

/// A layer that has its variables.
public final class ModelLayer: @unchecked Sendable {
  public let name: String
  /// The layer with its options; of a BatchNorm the switches may change.
  var layer: any BuildableLayer
  public let variables: [Variable]
  /// Shapes of one row.
  public let inputShapes: [[Int]]
  public let outputShape: [Int]

  init(name: String, layer: any BuildableLayer, inputShapes: [[Int]], outputShape: [Int]) throws {
    self.name = name
    self.layer = layer
    self.inputShapes = inputShapes
    self.outputShape = outputShape
    variables = try layer.variables(inputShapes).map { try Variable(layer: name, $0) }
  }

  public var options: any Layer { layer }
  public var kind: String { type(of: layer).kind }

  func variable(_ localName: String) -> Variable? { variables.first { $0.localName.hasSameBytes(as: localName) } }

  /// An independent copy: options, parameters, state and switches.
  func copied() throws -> ModelLayer {
    let copy = try ModelLayer(name: name, layer: layer, inputShapes: inputShapes, outputShape: outputShape)
    for (target, source) in zip(copy.variables, variables) { target.copyValues(from: source) }
    return copy
  }
}

/// The nodes of a model, in an order in which they can run.
final class Network: @unchecked Sendable {
  struct Node {
    /// Nil for an input.
    let layer: ModelLayer?
    let inputs: [Int]
    /// Of one row.
    let shape: [Int]
    /// Which of its layer's places this is, from 1 on.
    let place: Int
    /// Empty for a layer's node.
    let inputName: String

    /// An input's own; else the layer's, and in its second place "<layer>/2". Made at each call: stored, a long name of a layer in many
    /// places would take more memory than the file it came in.
    var name: String { layer.map { Network.nodeName($0.name, place: place) } ?? inputName }
  }

  /// Counts the places of layers while nodes are made in order.
  struct PlaceCounts {
    private var counts: [ObjectIdentifier: Int] = [:]

    /// The number of the layer's next place, from 1 on; 1 for an input.
    mutating func next(of layer: ModelLayer?) -> Int {
      guard let layer else { return 1 }
      counts[ObjectIdentifier(layer), default: 0] += 1
      return counts[ObjectIdentifier(layer), default: 1]
    }
  }

  /// What a layer's node is called in the layer's first, second, … place of a model.
  static func nodeName(_ layer: String, place: Int) -> String { place == 1 ? layer : "\(layer)/\(place)" }

  let nodes: [Node]
  /// Each layer once, in the order they run.
  let layers: [ModelLayer]
  /// Of each node, the weights as inference packs them; nil for layers without, and where a layer meets inputs of too many shapes.
  let packed: [PackedCopies?]
  /// Counts changes that make plans stale: switches, trainable flags.
  private(set) var version = 0
  /// Who is using the layers just now, through whichever model.
  let exclusivity = Exclusivity("model", shared: "Predict, evaluate, check, save and others that change nothing")

  init(nodes: [Node], layers: [ModelLayer]) {
    self.nodes = nodes
    self.layers = layers
    packed = Self.packedCopies(nodes)
    for variable in layers.flatMap(\.variables) { variable.exclusivity = exclusivity }
  }

  /// Shapes of inputs for which one layer's weights are kept packed: each may want them in another order.
  private static let mostPackedShapes = 16

  /// One copy for all places of a layer whose inputs are alike: a layer in many places takes no more memory than in one.
  private static func packedCopies(_ nodes: [Node]) -> [PackedCopies?] {
    struct Form: Hashable {
      let layer: ObjectIdentifier
      let shapes: [[Int]]
    }
    var copies: [Form: PackedCopies] = [:]
    var counts: [ObjectIdentifier: Int] = [:]
    return nodes.map { node in
      guard let layer = node.layer, layer.layer is any FoldableLayer else { return nil }
      let form = Form(layer: ObjectIdentifier(layer), shapes: node.inputs.map { nodes[$0].shape })
      if let known = copies[form] { return known }
      guard counts[form.layer, default: 0] < mostPackedShapes else { return nil }
      counts[form.layer, default: 0] += 1
      let new = PackedCopies()
      copies[form] = new
      return new
    }
  }

  func didChange() { version += 1 }

  /// See ``Model/setAllReduce(_:)``.
  var allReduce: AllReduce? { didSet { didChange() } }
  /// In the middle of a run, which waits for ``allReduce``.
  private var isExchanging = false

  /// ``allReduce``, whose calls mark the network as one that no other run may touch; nil: there is none.
  var exchange: AllReduce? {
    guard let allReduce else { return nil }
    return { sums in
      self.isExchanging = true
      defer { self.isExchanging = false }
      try allReduce(sums)
    }
  }

  /// Refuses what an all-reduce would do to the run that waits for it.
  func refuseDuringExchange(_ call: String) throws {
    guard isExchanging else { return }
    throw MartletError.invalidState(
      "\(call) was called by the model's own all-reduce, in the middle of a run of this model. An all-reduce only sums numbers; "
        + "call this before or after the run.")
  }

  /// See ``Model/imageNormalization``.
  var imageNormalizer: ImageNormalizer?

  /// The statistics as they stood at the begin of each open transaction, the outermost first.
  var statisticsBefore: [StateSnapshot] = []

  /// How inference keeps the weights of Dense layers; convolutions keep Float32.
  var inferenceWeights = InferenceWeights.float32 {
    didSet { if inferenceWeights != oldValue { didChange() } }
  }

  /// The nodes needed for `outputs`, in order.
  func nodesReaching(_ outputs: [Int]) -> [Int] {
    // A node reads earlier ones only.
    var isNeeded = [Bool](repeating: false, count: (outputs.max() ?? -1) + 1)
    for node in outputs { isNeeded[node] = true }
    for node in isNeeded.indices.reversed() where isNeeded[node] {
      for input in nodes[node].inputs { isNeeded[input] = true }
    }
    return isNeeded.indices.filter { isNeeded[$0] }
  }

  /// The layers of some nodes, each once, in the order they run.
  func layers(of order: [Int]) -> [ModelLayer] {
    guard order.count < nodes.count else { return layers }
    let used = Set(order.compactMap { nodes[$0].layer.map(ObjectIdentifier.init) })
    return layers.filter { used.contains(ObjectIdentifier($0)) }
  }

  /// Copies of some nodes, which must hold what they read, and of their layers: in the same order, numbered anew.
  ///
  /// A layer of which only later places are among them has its first place in the first of these, as in a file.
  func copy(of order: [Int]) throws -> (network: Network, position: [Int: Int]) {
    let position = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($1, $0) })
    let originals = layers(of: order)
    let copied = try originals.map { try $0.copied() }
    let copies = Dictionary(uniqueKeysWithValues: zip(originals.map(ObjectIdentifier.init), copied))
    var places = PlaceCounts()
    let nodes = order.map { index in
      let node = self.nodes[index]
      let layer = node.layer.flatMap { copies[ObjectIdentifier($0)] }
      return Node(
        layer: layer, inputs: node.inputs.compactMap { position[$0] }, shape: node.shape,
        place: places.next(of: layer), inputName: node.inputName)
    }
    let network = Network(nodes: nodes, layers: copied)
    network.inferenceWeights = inferenceWeights
    network.imageNormalizer = imageNormalizer
    return (network, position)
  }
}
