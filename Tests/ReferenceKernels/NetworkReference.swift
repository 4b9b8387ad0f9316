// Layers in Float64, as their formulas read. Data is row-major, `[rows, …]`.

extension Reference {
  /// y = x·Wᵀ + b; weight `[units, inputs]`.
  public static func dense(_ x: [Double], inputs: Int, units: Int, weight: [Double], bias: [Double]?) -> [Double] {
    let rows = inputs == 0 ? 0 : x.count / inputs
    var y = [Double](repeating: 0, count: rows * units)
    for row in 0..<rows {
      for unit in 0..<units {
        var sum = bias?[unit] ?? 0
        for i in 0..<inputs { sum += x[row * inputs + i] * weight[unit * inputs + i] }
        y[row * units + unit] = sum
      }
    }
    return y
  }

  /// Mean and biased variance of each channel, the last axis.
  public static func channelMoments(_ x: [Double], channels: Int) -> (mean: [Double], variance: [Double]) {
    let n = Double(x.count / channels)
    var mean = [Double](repeating: 0, count: channels)
    for i in x.indices { mean[i % channels] += x[i] }
    for c in 0..<channels { mean[c] /= n }
    var rest = [Double](repeating: 0, count: channels)
    for i in x.indices { rest[i % channels] += x[i] - mean[i % channels] }
    for c in 0..<channels { mean[c] += rest[c] / n }
    var variance = [Double](repeating: 0, count: channels)
    for i in x.indices {
      let d = x[i] - mean[i % channels]
      variance[i % channels] += d * d
    }
    return (mean, variance.map { $0 / n })
  }

  /// (x − mean) / √(variance + epsilon)·scale + shift.
  public static func normalise(
    _ x: [Double], mean: [Double], variance: [Double], epsilon: Double, scale: [Double]?, shift: [Double]?
  ) -> [Double] {
    let channels = mean.count
    let inverse = variance.map { 1 / ($0 + epsilon).squareRoot() }
    var y = x
    for i in x.indices {
      let c = i % channels
      y[i] = (x[i] - mean[c]) * inverse[c] * (scale?[c] ?? 1) + (shift?[c] ?? 0)
    }
    return y
  }

  /// Softmax of each row of `columns` values.
  public static func softmaxRows(_ x: [Double], columns: Int) -> [Double] {
    var y: [Double] = []
    y.reserveCapacity(x.count)
    for row in stride(from: 0, to: x.count, by: columns) { y.append(contentsOf: softmax(Array(x[row..<row + columns]))) }
    return y
  }

  /// Inverted dropout with the mask of a key.
  public static func dropout(_ x: [Double], rate: Double, key: UInt64) -> [Double] {
    x.indices.map { isKept($0, rate: Float(rate), key: key) ? x[$0] / (1 - rate) : 0 }
  }

  /// Σ a·b.
  public static func dot(_ a: [Double], _ b: [Double]) -> Double {
    var sum = 0.0
    for i in a.indices { sum += a[i] * b[i] }
    return sum
  }
}
