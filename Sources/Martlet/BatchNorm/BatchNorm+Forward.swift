// y = scale·(x − mean)/√(variance + epsilon) + shift with given statistics; with the batch's own: Compute.normalizeBatch.
import MartletRuntime

extension BatchNormContext {
  /// The map of the statistics that stand in `mean` and `variance`, then `y`.
  func apply(
    _ x: UnsafePointer<Float>, _ shape: ChannelShape, epsilon: Double, _ affine: ScaleShift,
    residual: UnsafePointer<Float>? = nil, activation: Activation, into y: UnsafeMutablePointer<Float>, _ compute: Compute
  ) {
    fillMap(epsilon: epsilon, affine, compute)
    compute.applyChannelMap(map, x, shape, residual: residual, activation: activation, into: y)
  }

  func fillMap(epsilon: Double, _ affine: ScaleShift, _ compute: Compute) {
    compute.fillChannelMap(
      map, channels: channels, mean: mean, variance: variance, epsilon: epsilon, scale: affine.scale, shift: affine.shift,
      inverseStandardDeviation: inverseDeviation)
  }

  /// Takes moving statistics as the ones to normalise with.
  func load(mean movingMean: UnsafePointer<Float>, variance movingVariance: UnsafePointer<Float>) {
    for c in 0..<channels {
      mean[c] = Double(movingMean[c])
      variance[c] = Double(movingVariance[c])
    }
  }
}
