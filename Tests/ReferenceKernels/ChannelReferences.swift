// Batch norm's passes in naive Float64, one channel at a time.

/// Mean and biased variance, in two passes.
public func referenceMoments(_ values: [Double]) -> (mean: Double, variance: Double) {
  let count = Double(values.count)
  let first = values.reduce(0, +) / count
  // What the first sum lost shows in the deviations from it.
  let mean = first + values.reduce(0) { $0 + ($1 - first) } / count
  let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
  return (mean, variance)
}

/// (x − mean) / √(variance + epsilon) with the batch's own statistics.
public func referenceNormalised(_ values: [Double], epsilon: Double) -> [Double] {
  let (mean, variance) = referenceMoments(values)
  let deviation = (variance + epsilon).squareRoot()
  return values.map { ($0 - mean) / deviation }
}

/// The gradient with respect to x of Σ gradOutput·normalised(x)·scale, and Σg, Σg·(x − mean).
public func referenceGradient(
  _ gradients: [Double], _ values: [Double], epsilon: Double, scale: Double = 1
) -> (input: [Double], sum: Double, sumCentered: Double) {
  let (mean, variance) = referenceMoments(values)
  let count = Double(values.count)
  let inverse = 1 / (variance + epsilon).squareRoot()
  var sum = 0.0
  var sumCentered = 0.0
  for (g, x) in zip(gradients, values) {
    sum += g
    sumCentered += g * (x - mean)
  }
  let slope = sumCentered * inverse * inverse / count
  let input = zip(gradients, values).map { g, x in scale * inverse * (g - sum / count - (x - mean) * slope) }
  return (input, sum, sumCentered)
}

/// An activation in Float64 and its derivative from its output; the numbers are the library's: identity, sigmoid, tanh, relu.
public func referenceActivation(_ activation: Int32, _ x: Double) -> Double {
  switch activation {
  case 1: referenceSigmoid(x)
  case 2: 2 * referenceSigmoid(2 * x) - 1
  case 3: x > 0 || x.isNaN ? x : 0
  default: x
  }
}

public func referenceDerivative(_ activation: Int32, output y: Double) -> Double {
  switch activation {
  case 1: y * (1 - y)
  case 2: 1 - y * y
  case 3: y > 0 ? 1 : 0
  default: 1
  }
}

/// The values of one channel of `[outer, channels, inner]`, in order.
public func channelValues<T>(_ data: [T], outer: Int, channels: Int, inner: Int, channel: Int) -> [T] {
  var values: [T] = []
  values.reserveCapacity(outer * inner)
  for o in 0..<outer {
    for i in 0..<inner { values.append(data[(o * channels + channel) * inner + i]) }
  }
  return values
}
