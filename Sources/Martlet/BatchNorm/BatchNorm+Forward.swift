// y = scale·(x − mean)/√(variance + epsilon) + shift, with the batch's statistics or given ones.
import MartletRuntime

/// Scale and shift of one normalisation; nil means 1 and 0.
struct ScaleShift {
  var scale: UnsafePointer<Float>?
  var shift: UnsafePointer<Float>?
}

extension BatchNormContext {
  /// Moments of the batch, then the map, then `y`. Reads `x` twice, writes once.
  func normalizeBatch(
    _ x: UnsafePointer<Float>, _ shape: ChannelShape, epsilon: Double, _ affine: ScaleShift, activation: Activation,
    into y: UnsafeMutablePointer<Float>, workspace: UnsafeMutableRawPointer, _ compute: Compute
  ) {
    compute.channelMoments(x, shape, mean: mean, variance: variance, workspace: workspace)
    apply(x, shape, epsilon: epsilon, affine, activation: activation, into: y, compute)
  }

  /// The map of the statistics that stand in `mean` and `variance`, then `y`.
  func apply(
    _ x: UnsafePointer<Float>, _ shape: ChannelShape, epsilon: Double, _ affine: ScaleShift, activation: Activation,
    into y: UnsafeMutablePointer<Float>, _ compute: Compute
  ) {
    fillMap(epsilon: epsilon, affine, compute)
    compute.applyChannelMap(map, x, shape, activation: activation, into: y)
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
