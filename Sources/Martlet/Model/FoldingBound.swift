// How far rounding alone can drive a folded model from the one it came from: docs/numerics.md has the derivation.
import MartletRuntime

/// Carries, node by node and channel by channel, two numbers through the original network:
///
///     size   ≥ |x|          of the unfolded value x on the data
///     error  ≥ |x′ − x|     x′ the folded value
///
/// One layer adds at most the error that comes in times its slope, and twice its own rounding: once for each model.
struct FoldingBound {
  private struct State {
    var size: [Double]
    var error: [Double]
    /// What products too small for a normal Float32 lose, of a sum that a norm may follow.
    var underflow = 0.0
  }

  /// Half a unit in the last place of 1 in Float32.
  private static let roundoff = 0x1p-24
  /// The smallest Float32 above 0.
  private static let smallest = 0x1p-149

  private let rewrite: FoldingRewrite
  private var states: [Int: State] = [:]
  /// What rounding does to a value in a layer, relative to its sum of magnitudes: norms that were folded count as their target.
  private var relativeErrors: [Name: Double] = [:]

  init(_ rewrite: FoldingRewrite) {
    self.rewrite = rewrite
    for node in rewrite.network.nodes {
      guard let layer = node.layer, layer.layer is any FoldableLayer, let weight = layer.variable("weight") else { continue }
      let norms = rewrite.takenIn[ObjectIdentifier(layer)] ?? []
      let around = Double(8 * (1 + norms.count))
      var error = Self.gamma(Double(weight.count / max(weight.shape[0], 1)) + around)
      let image = node.inputs.first.map { rewrite.network.nodes[$0].shape } ?? []
      if let layer = layer.layer as? Conv2D, let shape = layer.convolutionShape(image, samples: 1),
        shape.usesWinograd(layer.algorithm)
      {
        error = max(error, 16 * Self.gamma(Double(shape.inChannels + 12) + around))
      }
      // A layer in several places: the largest of them.
      for name in (norms + [layer.name]).map(Name.init) { relativeErrors[name] = max(relativeErrors[name] ?? 0, error) }
    }
  }

  /// n·u / (1 − n·u): the relative error of n roundings (Higham 2002, lemma 3.1).
  private static func gamma(_ n: Double) -> Double {
    let product = n * roundoff
    return product < 1 ? product / (1 - product) : .infinity
  }

  /// The bound of a node's value, from what is known of its inputs.
  mutating func propagate(to node: Int) -> [Double] {
    let state = self.state(of: node)
    states[node] = state
    // 0·∞, beside a value without a bound.
    return state.error.map { $0.isNaN ? .infinity : $0 }
  }

  /// What was measured takes the place of what was bounded.
  mutating func replace(_ node: Int, size: [Double], difference: [Double]) {
    states[node] = State(size: size, error: difference)
  }

  private func state(of node: Int) -> State {
    let place = rewrite.network.nodes[node]
    let channels = place.shape.last ?? 1
    let inputs = place.inputs.compactMap { states[$0] }
    guard let layer = place.layer, let x = inputs.first, inputs.count == place.inputs.count else {
      let zeros = [Double](repeating: 0, count: channels)
      return State(size: zeros, error: zeros)
    }
    let spread = Self.spread(x, over: channels)
    switch layer.layer {
    case is any FoldableLayer: return linear(layer, x)
    case is BatchNorm, is InputNormalization: return affine(layer, x)
    case let activation as any ActivationLayer: return Self.activation(activation.activation, x)
    case is Softmax:
      // |∂yᵢ/∂xⱼ| sums to 2·yᵢ·(1 − yᵢ) ≤ 1/2 over j; each side's error: two sums' and eᵗ's of |t|·eᵗ ≤ 1/e.
      let own = 2 * Self.gamma(Double(2 * channels + 16))
      let error = (x.error.max() ?? 0) / 2 + own
      return State(size: spread.size.map { _ in 1 }, error: spread.error.map { _ in error })
    case is Add:
      var sum = inputs[0]
      for other in inputs.dropFirst() {
        for c in 0..<channels { (sum.size[c], sum.error[c]) = (sum.size[c] + other.size[c], sum.error[c] + other.error[c]) }
      }
      return Self.rounded(sum, roundings: Double(inputs.count))
    case is Concatenate: return State(size: inputs.flatMap(\.size), error: inputs.flatMap(\.error))
    case is Flatten, is Reshape, is Dropout: return spread
    // Another axis is the last now.
    case is ChannelsLast, is ChannelsFirst: return Self.uniform(x, over: channels)
    case is MaxPool1D, is MaxPool2D, is ZeroPad2D, is Upsample2D: return x
    case is AvgPool1D, is AvgPool2D, is GlobalAvgPool1D, is GlobalAvgPool2D:
      return Self.rounded(x, roundings: Double(layer.inputShapes[0].dropLast().reduce(1, *) + 8))
    default:
      return State(size: spread.size.map { _ in .infinity }, error: spread.error.map { _ in .infinity })
    }
  }

  /// Σ w·x + b.
  private func linear(_ layer: ModelLayer, _ x: State) -> State {
    guard let weights = try? FoldingWeights(layer) else {
      let unknown = [Double](repeating: .infinity, count: layer.outputShape.last ?? 1)
      return State(size: unknown, error: unknown)
    }
    let own = 2 * (relativeErrors[Name(layer.name)] ?? 0)
    let underflow = 2 * Double(weights.depth + 8) * Self.smallest * (1 + (x.size.max() ?? 0) + (x.error.max() ?? 0))
    var result = State(size: [], error: [], underflow: underflow)
    for o in 0..<weights.filters {
      var (size, error) = (0.0, 0.0)
      for i in 0..<weights.channelsPerGroup {
        let (magnitude, c) = (weights.magnitude(o, i), weights.inputChannel(o, i))
        size += magnitude * x.size[c]
        error += magnitude * x.error[c]
      }
      size += abs(weights.bias[o])
      result.size.append(size)
      result.error.append(error + own * (size + error) + underflow)
    }
    return result
  }

  /// (x − mean)·multiplier + shift.
  private func affine(_ layer: ModelLayer, _ x: State) -> State {
    guard let norm = InferenceAffine(layer) else { return x }
    let own = 2 * (relativeErrors[Name(layer.name)] ?? Self.gamma(8))
    let underflow = x.underflow + 8 * Self.smallest
    var result = State(size: [], error: [], underflow: underflow)
    for c in 0..<norm.channels {
      let slope = abs(norm.multiplier[c])
      let (size, error) = (slope * (x.size[c] + abs(norm.mean[c])) + abs(norm.shift[c]), slope * x.error[c])
      result.size.append(size)
      result.error.append(error + own * (size + error) + underflow)
    }
    return result
  }

  /// Sigmoid and tanh: at most 3 units in the last place of a result of at most 1, on each side.
  private static func activation(_ activation: Activation, _ x: State) -> State {
    switch activation {
    case .identity, .relu: return State(size: x.size, error: x.error)
    case .tanh: return State(size: x.size.map { min($0, 1) }, error: x.error.map { $0 + 12 * roundoff })
    case .sigmoid: return State(size: x.size.map { _ in 1 }, error: x.error.map { $0 / 4 + 12 * roundoff })
    }
  }

  private static func rounded(_ x: State, roundings: Double) -> State {
    let own = 2 * gamma(roundings)
    return State(size: x.size, error: zip(x.size, x.error).map { size, error in error + own * (size + error) })
  }

  /// The same values under another shape: channels stay apart where they come again and again along the last axis.
  private static func spread(_ x: State, over channels: Int) -> State {
    guard !x.size.isEmpty, channels % x.size.count == 0 else { return uniform(x, over: channels) }
    return State(
      size: (0..<channels).map { x.size[$0 % x.size.count] }, error: (0..<channels).map { x.error[$0 % x.error.count] })
  }

  /// The largest of all channels for each.
  private static func uniform(_ x: State, over channels: Int) -> State {
    State(
      size: .init(repeating: x.size.max() ?? 0, count: channels), error: .init(repeating: x.error.max() ?? 0, count: channels))
  }
}
