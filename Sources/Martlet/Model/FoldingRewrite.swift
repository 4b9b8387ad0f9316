// Which batch norms a layer beside them takes in, and what the network is afterwards.

/// A network on its way to fewer layers: nodes vanish, the weights of others change (in Float64).
struct FoldingRewrite {
  let network: Network
  /// The nodes that the outputs need, and the inputs, in order.
  let order: [Int]
  /// Which node stands for which, and who reads it.
  private var values: FoldedValues
  private(set) var weights: [ObjectIdentifier: FoldingWeights] = [:]
  /// The norms that each layer took in, by name, in the order they were.
  private(set) var takenIn: [ObjectIdentifier: [String]] = [:]
  private(set) var outcomes: [ObjectIdentifier: (FoldingCertificate.Outcome, String)] = [:]
  private let placesByLayer: [ObjectIdentifier: [Int]]

  /// Norms that one layer takes in; each is a pass over its weights.
  private static let mostTakenIn = 16

  /// - Throws: ``MartletError/Kind/outOfMemory``.
  init(_ network: Network, inputs: [Int], outputs: [Int]) throws {
    self.network = network
    order = network.nodesReaching(outputs + inputs)
    values = FoldedValues(network, order: order, outputs: outputs)
    var placesByLayer: [ObjectIdentifier: [Int]] = [:]
    for node in order {
      guard let layer = network.nodes[node].layer else { continue }
      placesByLayer[ObjectIdentifier(layer), default: []].append(node)
    }
    self.placesByLayer = placesByLayer
    for node in order {
      guard let layer = network.nodes[node].layer, layer.layer is Dropout else { continue }
      values.vanish(node)
      outcomes[ObjectIdentifier(layer)] = (.removed, "gone: at inference it does nothing")
    }
    for layer in network.layers where layer.layer is BatchNorm && !places(layer).isEmpty {
      outcomes[ObjectIdentifier(layer)] = try fold(layer)
    }
  }

  /// The node whose value stands for this one's in the result.
  func heir(_ node: Int) -> Int { values.heir(node) }
  func hasVanished(_ node: Int) -> Bool { values.heir(node) != node }
  /// Whether no node of the result has the node's value: it was normalised in passing, or not yet.
  func isLost(_ node: Int) -> Bool { values.isLost[node] }
  func inputs(_ node: Int) -> [Int] { network.nodes[node].inputs.map(heir) }

  private func places(_ layer: ModelLayer) -> [Int] { placesByLayer[ObjectIdentifier(layer)] ?? [] }

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
        guard takenIn[id, default: []].count < Self.mostTakenIn else {
          reasons.append("\(text(layer)) has taken in \(Self.mostTakenIn) already, the most that one layer does")
          continue
        }
        guard let weights = try weights[id] ?? FoldingWeights(layer) else { continue }
        guard isBehind ? weights.takeInFollowing(affine) : weights.takeInPreceding(affine) else {
          reasons.append("\(text(layer)) would get weights that are not finite in Float32")
          continue
        }
        self.weights[id] = weights
        takenIn[id, default: []].append(norm.name)
        for way in ways {
          for node in way.between + [isBehind ? way.end : way.place] { values.lose(node) }
          values.vanish(way.place)
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
          return .refused("before it is the input \(excerpt(network.nodes[node].name))")
        }
        if values.isOutput[node] { return .refused("the value of \(text(node)) before it is an output of the model") }
        let count = values.readers(node).count
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
        if values.isOutput[node] {
          return .refused(
            node == place ? "its value is an output of the model" : "\(text(node)) behind it is an output of the model")
        }
        let readers = values.readers(node)
        guard readers.count == 1, let reader = readers.first else {
          return .refused("its value is read by \(readers.count) layers")
        }
        if node != place { between.append(node) }
        node = reader
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
    let ends = Set(ways.map(\.end))
    guard places(target).count == ends.count, Set(places(target)) == ends else {
      return .refused("\(text(target)) stands in other places too, without it")
    }
    return .found(target, ways)
  }

  private func isRenaming(_ layer: ModelLayer) -> Bool { layer.layer is Flatten || layer.layer is Reshape }

  private func text(_ node: Int) -> String {
    "\(excerpt(network.nodes[node].name)) (\(network.nodes[node].layer?.kind ?? "input"))"
  }
  private func text(_ layer: ModelLayer) -> String { "\(excerpt(layer.name)) (\(layer.kind))" }
}
