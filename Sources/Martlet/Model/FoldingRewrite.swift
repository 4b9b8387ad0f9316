// Which batch norms a layer beside them takes in, and what the network is afterwards.

/// A network on its way to fewer layers: nodes vanish, the weights of others change (in Float64).
struct FoldingRewrite {
  let network: Network
  /// The nodes that the outputs need, and the inputs, in order.
  let order: [Int]
  private let outputNodes: [Int]
  /// A vanished node → the node that stands for it.
  private var heirs: [Int: Int] = [:]
  /// Nodes whose value no node of the result has: it was normalised in passing, or not yet.
  private(set) var lost: Set<Int> = []
  private(set) var weights: [ObjectIdentifier: FoldingWeights] = [:]
  /// The norms that each layer took in, by name, in the order they were.
  private(set) var takenIn: [ObjectIdentifier: [String]] = [:]
  private(set) var outcomes: [ObjectIdentifier: (FoldingCertificate.Outcome, String)] = [:]

  /// - Throws: ``MartletError/Kind/outOfMemory``.
  init(_ network: Network, inputs: [Int], outputs: [Int]) throws {
    self.network = network
    outputNodes = outputs
    order = Set(network.nodesReaching(outputs) + inputs).sorted()
    for node in order {
      guard let layer = network.nodes[node].layer, layer.layer is Dropout else { continue }
      heirs[node] = heir(network.nodes[node].inputs[0])
      outcomes[ObjectIdentifier(layer)] = (.removed, "gone: at inference it does nothing")
    }
    for layer in network.layers where layer.layer is BatchNorm && !places(layer).isEmpty {
      outcomes[ObjectIdentifier(layer)] = try fold(layer)
    }
  }

  /// The node whose value stands for this one's in the result.
  func heir(_ node: Int) -> Int {
    var node = node
    while let next = heirs[node] { node = next }
    return node
  }

  func hasVanished(_ node: Int) -> Bool { heirs[node] != nil }
  func inputs(_ node: Int) -> [Int] { network.nodes[node].inputs.map(heir) }

  private func places(_ layer: ModelLayer) -> [Int] { order.filter { network.nodes[$0].layer === layer } }
  private func readers(_ node: Int) -> [Int] { order.filter { !hasVanished($0) && inputs($0).contains(node) } }
  private func isOutput(_ node: Int) -> Bool { outputNodes.contains { heir($0) == node } }

  // MARK: - One norm

  /// What a norm may go into: a layer, and between the two the nodes that only rename the value.
  private struct Way {
    let place: Int
    let end: Int
    let between: [Int]
  }
  private enum Search {
    case found(ModelLayer, [Way])
    case refused(String)
  }

  private mutating func fold(_ norm: ModelLayer) throws -> (FoldingCertificate.Outcome, String) {
    guard let affine = InferenceAffine(norm) else { return (.kept, "kept") }
    var reasons: [String] = []
    for isBehind in [true, false] {
      let search = isBehind ? layerBefore(norm, affine) : layerAfter(norm, affine)
      switch search {
      case .refused(let reason): reasons.append(reason)
      case .found(let layer, let ways):
        let id = ObjectIdentifier(layer)
        guard let weights = try weights[id] ?? FoldingWeights(layer) else { continue }
        guard isBehind ? weights.takeInFollowing(affine) : weights.takeInPreceding(affine) else {
          reasons.append("\(text(layer)) would get weights that are not finite in Float32")
          continue
        }
        self.weights[id] = weights
        takenIn[id, default: []].append(norm.name)
        for way in ways {
          let gone = Set(way.between + [isBehind ? way.end : way.place])
          lost.formUnion(order.filter { gone.contains(heir($0)) })
          heirs[way.place] = inputs(way.place)[0]
        }
        return (.folded, "folded into \(text(layer))")
      }
    }
    return (.kept, "kept: " + reasons.joined(separator: "; "))
  }

  private func layerBefore(_ norm: ModelLayer, _ affine: InferenceAffine) -> Search {
    var target: ModelLayer?
    var ways: [Way] = []
    for place in places(norm) {
      var (node, between): (Int, [Int]) = (inputs(place)[0], [])
      while true {
        guard let layer = network.nodes[node].layer else {
          return .refused("before it is the input \"\(network.nodes[node].name)\"")
        }
        if isOutput(node) { return .refused("the value of \(text(node)) before it is an output of the model") }
        let count = readers(node).count
        guard count == 1 else { return .refused("the value of \(text(node)) before it is read by \(count) layers") }
        guard isRenaming(layer) else { break }
        between.append(node)
        node = inputs(node)[0]
      }
      guard let layer = network.nodes[node].layer, layer.layer is any FoldableLayer else {
        return .refused("before it is \(text(node)), which has no weights")
      }
      guard target == nil || target === layer else { return .refused("in its places different layers are before it") }
      guard (network.nodes[node].shape.last ?? 0) % affine.channels == 0 else {
        return .refused("between \(text(node)) and it, channels are mixed by a new shape")
      }
      target = layer
      ways.append(Way(place: place, end: node, between: between))
    }
    return judged(norm, target, ways)
  }

  private func layerAfter(_ norm: ModelLayer, _ affine: InferenceAffine) -> Search {
    var target: ModelLayer?
    var ways: [Way] = []
    for place in places(norm) {
      var (node, between): (Int, [Int]) = (place, [])
      while true {
        if isOutput(node) {
          return .refused(
            node == place ? "its value is an output of the model" : "\(text(node)) behind it is an output of the model")
        }
        let readers = readers(node)
        guard readers.count == 1 else { return .refused("its value is read by \(readers.count) layers") }
        if node != place { between.append(node) }
        node = readers[0]
        guard let layer = network.nodes[node].layer, isRenaming(layer) else { break }
      }
      guard let layer = network.nodes[node].layer, let options = layer.layer as? any FoldableLayer else {
        let isActivation = network.nodes[node].layer?.layer is any ActivationLayer
        return .refused("behind it is \(text(node)), " + (isActivation ? "an activation" : "which has no weights"))
      }
      let inputShapes = network.nodes[node].inputs.map { network.nodes[$0].shape }
      if options.padsInput(inputShapes) {
        return .refused("behind it \(text(node)) pads with zeros, which would be shifted")
      }
      guard target == nil || target === layer else { return .refused("in its places different layers are behind it") }
      guard (inputShapes.first?.last ?? 0) % affine.channels == 0 else {
        return .refused("between it and \(text(node)), channels are mixed by a new shape")
      }
      target = layer
      ways.append(Way(place: place, end: node, between: between))
    }
    return judged(norm, target, ways)
  }

  /// The weights are those of all places of the layer: it must have no other than these.
  private func judged(_ norm: ModelLayer, _ target: ModelLayer?, _ ways: [Way]) -> Search {
    guard let target else { return .refused("it has no place") }
    guard Set(places(target)) == Set(ways.map(\.end)) else {
      return .refused("\(text(target)) stands in other places too, without it")
    }
    return .found(target, ways)
  }

  private func isRenaming(_ layer: ModelLayer) -> Bool { layer.layer is Flatten || layer.layer is Reshape }

  private func text(_ node: Int) -> String { "\"\(network.nodes[node].name)\" (\(network.nodes[node].layer?.kind ?? "input"))" }
  private func text(_ layer: ModelLayer) -> String { "\"\(layer.name)\" (\(layer.kind))" }
}
