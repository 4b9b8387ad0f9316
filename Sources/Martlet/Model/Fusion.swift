// Which layers of a network become one step of a plan.
import MartletRuntime

/// Nodes that run as one step: a head, and what is applied in the same pass.
struct FusedGroup {
  /// Nodes in order; the first is the head, the last gives the group's output.
  var nodes: [Int]
  /// The batch norm in the head's tail.
  var norm: Int?
  /// The other input of an Add in the head's tail.
  var residual: Int?
  var activation: Activation = .identity
}

enum Fusion {
  /// Groups the nodes a plan runs, in order.
  ///
  /// - Dense → activation: bias and activation in the product's tail.
  /// - BatchNorm → activation: one pass, forward and backward.
  /// - Add → activation: the sum is not kept for the backward pass.
  /// - Dense → BatchNorm → activation at inference: the normalisation is a multiplier and an offset in the product's tail.
  ///
  /// - Dense → (BatchNorm) → Add → activation at inference, and BatchNorm → Add → activation: the other input of the sum is read in the
  ///   same pass. Of the sum's two inputs the one made last goes on into it.
  ///
  /// A value can only vanish into a group if one node reads it and nobody outside the plan does.
  static func groups(_ nodes: [Int], of network: Network, visible: Set<Int>, training: Bool) -> [FusedGroup] {
    var readers: [Int: [Int]] = [:]
    for node in nodes { for input in network.nodes[node].inputs { readers[input, default: []].append(node) } }
    func onlyReader(_ node: Int) -> Int? {
      guard !visible.contains(node), let list = readers[node], list.count == 1 else { return nil }
      return list[0]
    }
    func layer(_ node: Int) -> (any BuildableLayer)? { network.nodes[node].layer?.layer }

    /// The other input of a sum of two that `node` alone goes into, if it is there before `head` runs.
    func residual(_ add: Int, of node: Int, before head: Int) -> Int? {
      let inputs = network.nodes[add].inputs
      guard layer(add) is Add, inputs.count == 2, let other = inputs.first(where: { $0 != node }) else { return nil }
      return (order[other] ?? -1) < (order[head] ?? 0) ? other : nil
    }

    let order = Dictionary(uniqueKeysWithValues: nodes.enumerated().map { ($1, $0) })
    var groups: [FusedGroup] = []
    var taken: Set<Int> = []
    for node in nodes where !taken.contains(node) {
      guard let head = layer(node) else { continue }
      var group = FusedGroup(nodes: [node])
      var last = node
      if !training, head is any TailedLayer, let next = onlyReader(last), layer(next) is BatchNorm,
        network.nodes[next].inputs.first == last
      {
        group.norm = next
        group.nodes.append(next)
        last = next
      }
      if head is any TailedLayer && !training || head is BatchNorm, let next = onlyReader(last),
        let other = residual(next, of: last, before: node)
      {
        group.residual = other
        group.nodes.append(next)
        last = next
      }
      if head is any TailedLayer || head is BatchNorm || head is Add, let next = onlyReader(last),
        let activation = layer(next) as? ActivationLayer
      {
        group.activation = activation.activation
        group.nodes.append(next)
      }
      taken.formUnion(group.nodes)
      groups.append(group)
    }
    return groups
  }
}
