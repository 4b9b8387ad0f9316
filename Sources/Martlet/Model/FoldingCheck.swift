// Measuring how far a folded model is from the one it came from, value by value, against the bound of rounding.

/// Runs both models on the same rows and compares every value that both have in memory.
struct FoldingCheck {
  /// The largest sizes and differences of one value, channel by channel.
  fileprivate struct Measure {
    var size: [Double]
    var difference: [Double]
  }

  private let original: Model
  private let folded: Model
  private let rewrite: FoldingRewrite
  /// Nodes of the original that are compared, in order, and where they stand in the folded model.
  private let compared: [(node: Int, image: Int)]

  /// - Parameter position: where each node that is left stands in the folded model.
  init(_ original: Model, _ folded: Model, _ rewrite: FoldingRewrite, _ position: [Int: Int]) throws {
    if original.inferenceWeights == .float32 {
      self.original = original
    } else {
      self.original = try original.cloneWithWholeNetwork()
      self.original.network.inferenceWeights = .float32
    }
    self.folded = folded
    self.rewrite = rewrite
    // What a plan writes to memory: to look at it changes no fusion, so that the numbers are those of predict.
    func written(_ model: Model) -> Set<Int> {
      let nodes = model.network.nodesReaching(model.outputNodes)
      let groups = Fusion.groups(nodes, of: model.network, visible: Set(model.outputNodes), training: false)
      return Set(groups.compactMap(\.nodes.last) + model.outputNodes + model.inputNodes)
    }
    let (before, after) = (written(original), written(folded))
    compared = rewrite.order.compactMap { node in
      guard before.contains(node), !rewrite.isLost(node), let image = position[rewrite.heir(node)],
        after.contains(image)
      else { return nil }
      return (node, image)
    }
  }

  func run(_ data: [ArrayView], rows: Int, into certificate: inout FoldingCertificate) throws {
    let measures = try measure(data, rows: rows)
    for node in original.inputNodes {
      guard let measure = measures[node], measure.size.allSatisfy(\.isFinite) else {
        throw MartletError.invalidArgument("data: all values must be finite for a comparison; a NaN or infinity came.")
      }
    }
    var bounds = FoldingBound(rewrite)
    var layers: [Name: FoldingCertificate.Difference] = [:]
    var byNode: [Int: FoldingCertificate.Difference] = [:]
    for node in rewrite.order {
      let bound = bounds.propagate(to: node)
      guard let measure = measures[node] else { continue }
      let found = FoldingCertificate.Difference(measure.size, measure.difference, bound: bound)
      byNode[node] = found
      if let name = original.network.nodes[node].layer.map({ Name($0.name) }) {
        layers[name] = layers[name].map { $0.worse(found) } ?? found
      }
      // An input normalization that was folded read the caller's own numbers; the weights it went into read them rounded.
      let place = original.inputNodes.firstIndex(of: node)
      let isRounded = place.map { data[$0].dataType.exceedsFloat32 } ?? false
      bounds.replace(node, size: measure.size, difference: isRounded ? measure.size.map { $0 * 0x1p-24 } : measure.difference)
    }
    certificate.rows = rows
    certificate.outputs = original.outputNodes.compactMap { byNode[$0] }
    for place in certificate.layers.indices {
      certificate.layers[place].difference = layers[Name(certificate.layers[place].name)]
    }
  }

  /// Rows that run together: few enough that all values of both models fit in some 64 MB.
  private func batchSize(rows: Int) -> Int {
    let lengths = original.nodes.map { original.network.nodes[$0].shape.reduce(1, *) }
    let floats = lengths.reduce(0) { $0.addingReportingOverflow($1).partialValue }
    return min(max(8 << 20 / max(floats, 1), 1), Model.standardBatchSize, rows)
  }

  private func measure(_ data: [ArrayView], rows: Int) throws -> [Int: Measure] {
    var measures = compared.map { (node, _) in
      let channels = original.network.nodes[node].shape.last ?? 1
      return Measure(size: .init(repeating: 0, count: channels), difference: .init(repeating: 0, count: channels))
    }
    let seen = Model(original.network, inputs: original.inputNodes, outputs: compared.map(\.node), seed: 0)
    let seenFolded = Model(folded.network, inputs: folded.inputNodes, outputs: compared.map(\.image), seed: 0)
    let lengths = seen.outputLengths
    try seen.run(data, rows: rows, batchSize: batchSize(rows: rows)) { one, first, count in
      try seenFolded.run(rows: count, batchSize: count) { other, _, _ in
        defer { other.releaseInputs() }
        try other.load(data, from: first, count: count)
        other.forward()
        for place in compared.indices {
          measures[place].add(one.outputFloats(place), other.outputFloats(place), count: count * lengths[place])
        }
      }
    }
    return Dictionary(zip(compared.map(\.node), measures), uniquingKeysWith: { first, _ in first })
  }
}

extension FoldingCheck.Measure {
  /// NaN and NaN, or ∞ and ∞, are no difference; NaN or ∞ and anything else is an infinite one. Either makes the size infinite, which
  /// keeps the value from being within its bound.
  fileprivate mutating func add(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int) {
    let channels = size.count
    guard channels > 0 else { return }
    size.withUnsafeMutableBufferPointer { size in
      difference.withUnsafeMutableBufferPointer { difference in
        var c = 0
        for i in 0..<count {
          let (x, y) = (Double(a[i]), Double(b[i]))
          let isSame = x == y || (x.isNaN && y.isNaN)
          let distance = isSame ? 0 : abs(x - y)
          size[c] = max(size[c], x.isNaN ? .infinity : abs(x))
          difference[c] = max(difference[c], distance.isNaN ? .infinity : distance)
          c += 1
          if c == channels { c = 0 }
        }
      }
    }
  }
}

extension FoldingCertificate.Difference {
  /// - Parameter bound: of each channel.
  fileprivate init(_ size: [Double], _ difference: [Double], bound: [Double]) {
    let (absolute, largest) = (difference.max() ?? 0, size.max() ?? 0)
    guard largest.isFinite else {
      self.init(
        absolute: absolute.isFinite ? .nan : absolute, relative: .nan, bound: bound.max() ?? 0, isWithinBound: false)
      return
    }
    self.init(
      absolute: absolute, relative: absolute == 0 ? 0 : absolute / largest, bound: bound.max() ?? 0,
      isWithinBound: zip(difference, bound).allSatisfy { $0.isFinite && $0 <= $1 })
  }

  /// Of a layer in several places.
  fileprivate func worse(_ other: Self) -> Self {
    Self(
      absolute: absolute.isNaN ? absolute : other.absolute.isNaN ? other.absolute : max(absolute, other.absolute),
      relative: relative.isNaN ? relative : other.relative.isNaN ? other.relative : max(relative, other.relative),
      bound: max(bound, other.bound),
      isWithinBound: isWithinBound && other.isWithinBound)
  }
}
