// Batch renormalisation: a batch's statistics, corrected towards the moving ones within limits.

/// The correction of one batch's normalisation, in memory of the caller; with σ² = variance + epsilon:
///
///     r = σ_batch / σ_moving, within 1/ratioLimit … ratioLimit
///     d = (mean_batch − mean_moving) / σ_moving, within ±distanceLimit
///     y = scale·((x − mean_batch)/σ_batch·r + d) + shift
///
/// Within the limits that is the normalisation by the moving statistics, which inference uses. For the gradient r and d are constants.
/// Source: Ioffe 2017, algorithm 1.
public struct RenormalizationCorrection {
  public var movingMean: UnsafePointer<Float>
  public var movingVariance: UnsafePointer<Float>
  /// 1 or above.
  public var ratioLimit: Double
  /// 0 or above.
  public var distanceLimit: Double
  /// r, one a channel, from the forward to the backward pass …
  let ratio: UnsafeMutablePointer<Double>
  /// … and d.
  let distance: UnsafeMutablePointer<Double>

  public static func byteCount(channels: Int) -> Int { 2 * 8 * ((channels + 7) & ~7) }

  /// - Parameter memory: of ``byteCount(channels:)`` bytes, aligned for Float64.
  public init(
    _ memory: UnsafeMutableRawPointer, channels: Int, movingMean: UnsafePointer<Float>, movingVariance: UnsafePointer<Float>,
    ratioLimit: Double, distanceLimit: Double
  ) {
    self.movingMean = movingMean
    self.movingVariance = movingVariance
    self.ratioLimit = ratioLimit
    self.distanceLimit = distanceLimit
    ratio = memory.assumingMemoryBound(to: Double.self)
    distance = ratio + (channels + 7) & ~7
  }

  /// Finds r and d of some channels and fills the map and the inverse deviation of the batch.
  func fill(_ channels: Range<Int>, _ context: BatchNormContext, epsilon: Double, _ affine: ScaleShift) {
    let map = context.map
    for c in channels {
      let inverse = 1 / (context.variance[c] + epsilon).squareRoot()
      let movingInverse = 1 / (Double(movingVariance[c]) + epsilon).squareRoot()
      let r = Self.clipped(movingInverse / inverse, 1 / ratioLimit, ratioLimit)
      let d = Self.clipped((context.mean[c] - Double(movingMean[c])) * movingInverse, -distanceLimit, distanceLimit)
      let scale = affine.scale.map { Double($0[c]) } ?? 1
      let factor = scale * r * inverse
      let low = Float(context.mean[c])
      let rounded = Float(factor)
      map.center[c] = low
      map.multiplier[c] = rounded
      map.multiplierLow[c] = Float(factor - Double(rounded))
      let shift = (affine.shift.map { Double($0[c]) } ?? 0) + scale * d
      map.offset[c] = Float(shift - (context.mean[c] - Double(low)) * factor)
      context.inverseDeviation[c] = inverse
      ratio[c] = r
      distance[c] = d
    }
  }

  /// A NaN stays one.
  private static func clipped(_ value: Double, _ low: Double, _ high: Double) -> Double {
    value < low ? low : value > high ? high : value
  }

  /// Σ g·(x̂·r + d), the gradient of scale, from Σ g·x̂ and Σ g.
  func gradScale(_ gradScale: Double, sum: Double, _ channel: Int) -> Double {
    ratio[channel] * gradScale + distance[channel] * sum
  }
}

extension Compute {
  /// Normalises `x` with the statistics that stand in `context`, corrected.
  public func applyRenormalized(
    _ x: UnsafePointer<Float>, _ shape: ChannelShape, _ context: BatchNormContext, epsilon: Double, _ affine: ScaleShift,
    _ correction: RenormalizationCorrection, residual: UnsafePointer<Float>? = nil, activation: Activation,
    into y: UnsafeMutablePointer<Float>
  ) {
    correction.fill(0..<shape.channels, context, epsilon: epsilon, affine)
    applyChannelMap(context.map, x, shape, residual: residual, activation: activation, into: y)
  }
}
