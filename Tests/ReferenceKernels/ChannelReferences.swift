// Batch norm's passes in naive Float64, on data seen as `[outer, channels, inner]`.

public struct ChannelReference: Sendable {
  public let outer: Int
  public let channels: Int
  public let inner: Int

  public init(outer: Int, channels: Int, inner: Int) {
    self.outer = outer
    self.channels = channels
    self.inner = inner
  }

  public var count: Int { outer * channels * inner }
  public var valuesPerChannel: Int { outer * inner }

  /// The channel of element i.
  public func channel(_ i: Int) -> Int { i / inner % channels }

  /// Σ of `value(i)` over each channel's elements.
  public func sums(_ value: (Int) -> Double) -> [Double] {
    var sums = [Double](repeating: 0, count: channels)
    for i in 0..<count { sums[channel(i)] += value(i) }
    return sums
  }

  /// Mean and biased variance of each channel, in three passes: what the first sum lost shows in the deviations from it.
  public func moments(_ x: [Float]) -> (mean: [Double], variance: [Double]) {
    let n = Double(valuesPerChannel)
    let first = sums { Double(x[$0]) }.map { $0 / n }
    let rest = sums { Double(x[$0]) - first[channel($0)] }.map { $0 / n }
    let mean = zip(first, rest).map { $0 + $1 }
    let variance = sums { (i: Int) -> Double in
      let d = Double(x[i]) - mean[channel(i)]
      return d * d
    }.map { $0 / n }
    return (mean, variance)
  }

  /// (x − mean) / √(variance + epsilon)·scale + shift.
  public func normalised(
    _ x: [Float], mean: [Double], variance: [Double], epsilon: Double, scale: [Float]?, shift: [Float]?
  ) -> [Double] {
    (0..<count).map { i in
      let c = channel(i)
      let factor = (scale.map { Double($0[c]) } ?? 1) / (variance[c] + epsilon).squareRoot()
      return (Double(x[i]) - mean[c]) * factor + (shift.map { Double($0[c]) } ?? 0)
    }
  }

  /// g = gradOutput · activation′(y).
  public func activated(_ gradOutput: [Float], output y: [Float], activation: Int32) -> [Double] {
    (0..<count).map { Double(gradOutput[$0]) * Reference.derivative(activation, output: Double(y[$0])) }
  }

  /// The gradient with respect to x of Σ g·(x − mean)/√(variance + epsilon)·scale, statistics included.
  public func gradientInput(_ g: [Double], _ x: [Float], epsilon: Double, scale: [Float]?) -> [Double] {
    let n = Double(valuesPerChannel)
    let (mean, variance) = moments(x)
    let meanGradient = sums { g[$0] }.map { $0 / n }
    let projection = sums { g[$0] * (Double(x[$0]) - mean[channel($0)]) }.map { $0 / n }
    return (0..<count).map { i in
      let c = channel(i)
      let factor = (scale.map { Double($0[c]) } ?? 1) / (variance[c] + epsilon).squareRoot()
      let d = Double(x[i]) - mean[c]
      return factor * (g[i] - meanGradient[c] - d * projection[c] / (variance[c] + epsilon))
    }
  }
}

extension Reference {
  /// An activation, numbered as the library's: identity, sigmoid, tanh, relu.
  public static func activation(_ number: Int32, _ x: Double) -> Double {
    switch number {
    case 1: sigmoid(x)
    case 2: tanh(x)
    case 3: relu(x)
    default: x
    }
  }

  /// Its derivative, from its output.
  public static func derivative(_ number: Int32, output y: Double) -> Double {
    switch number {
    case 1: y * (1 - y)
    case 2: 1 - y * y
    case 3: y > 0 ? 1 : 0
    default: 1
    }
  }

  /// The largest |a − b|; infinite where one of them is NaN.
  public static func largestDifference(_ a: [Float], _ b: [Double]) -> Double {
    var largest = 0.0
    for i in a.indices {
      let difference = abs(Double(a[i]) - b[i])
      largest = difference <= largest ? largest : difference.isNaN ? .infinity : difference
    }
    return largest
  }

  /// Normally distributed numbers, sums of twelve uniform ones: tails end at six deviations.
  public static func normal(_ count: Int, seed: UInt64, mean: Double, deviation: Double) -> [Float] {
    var state = seed
    return (0..<count).map { _ in
      var sum = -6.0
      for _ in 0..<12 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        sum += Double(state >> 11) * 0x1p-53
      }
      return Float(mean + deviation * sum)
    }
  }
}
