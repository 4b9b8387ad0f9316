// Statistics where rows count as often as their weights say, in naive Float64.

extension ChannelReference {
  /// Mean and variance with one weight for each of the `outer` rows (inner is 1), n = Σ w.
  public func moments(_ x: [Float], weights: [Float]) -> (mean: [Double], variance: [Double], n: Double) {
    let w = weights.map { $0 > 0 ? Double($0) : 0 }
    let n = w.reduce(0, +)
    // What has no weight is not looked at: 0·NaN would be NaN.
    func weighted(_ i: Int, _ value: (Double) -> Double) -> Double {
      let weight = w[i / channels]
      return weight == 0 ? 0 : weight * value(Double(x[i]))
    }
    let first = sums { i in weighted(i) { $0 } }.map { $0 / n }
    let rest = sums { i in weighted(i) { $0 - first[channel(i)] } }.map { $0 / n }
    let mean = zip(first, rest).map { $0 + $1 }
    let variance = sums { i in weighted(i) { ($0 - mean[channel(i)]) * ($0 - mean[channel(i)]) } }.map { $0 / n }
    return (mean, variance, n)
  }

  /// The gradient with respect to x of Σ g·(x − mean)/√(variance + epsilon)·scale, weighted statistics included.
  public func gradientInput(_ g: [Double], _ x: [Float], weights: [Float], epsilon: Double, scale: [Float]?) -> [Double] {
    let (mean, variance, n) = moments(x, weights: weights)
    let sum = sums { g[$0] }
    let projection = sums { g[$0] * (Double(x[$0]) - mean[channel($0)]) }
    return (0..<count).map { i in
      let c = channel(i)
      let factor = (scale.map { Double($0[c]) } ?? 1) / (variance[c] + epsilon).squareRoot()
      let weight = weights[i / channels]
      let part = weight > 0 ? Double(weight) / n : 0
      return factor * (g[i] - part * (sum[c] + (Double(x[i]) - mean[c]) * projection[c] / (variance[c] + epsilon)))
    }
  }
}

extension Reference {
  /// Mean and biased variance of channels-last data, each row as often as its weight says.
  public static func channelMoments(
    _ x: [Double], channels: Int, weights: [Double]
  ) -> (mean: [Double], variance: [Double]) {
    let n = weights.reduce(0, +)
    var (mean, variance) = ([Double](repeating: 0, count: channels), [Double](repeating: 0, count: channels))
    for i in x.indices { mean[i % channels] += weights[i / channels] * x[i] / n }
    for i in x.indices {
      let d = x[i] - mean[i % channels]
      variance[i % channels] += weights[i / channels] * d * d / n
    }
    return (mean, variance)
  }
}
