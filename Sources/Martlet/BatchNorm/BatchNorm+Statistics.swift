// How the moving statistics follow the batches.
import MartletRuntime

/// The tensors of a batch norm that are kept beside its parameters.
struct MovingStatistics {
  let mean: UnsafeMutablePointer<Float>
  let variance: UnsafeMutablePointer<Float>
  let batches: UnsafeMutablePointer<Int64>
  let skipped: UnsafeMutablePointer<Int64>

  init?(_ layer: ModelLayer) {
    guard let mean = layer.variable("running_mean"), let variance = layer.variable("running_var"),
      let batches = layer.variable("num_batches_tracked"), let skipped = layer.variable("num_batches_skipped")
    else { return nil }
    self.mean = mean.mutableFloats
    self.variance = variance.mutableFloats
    self.batches = batches.storage.integers
    self.skipped = skipped.storage.integers
  }

  /// Follows one batch: `moving = weight·moving + (1 − weight)·batch`.
  ///
  /// weight = momentum; for the plain average of all batches k/(k + 1) at the k-th batch before this one. A batch with a
  /// statistic that is
  /// not finite, in any channel, is skipped as a whole and counted, unless `options.countsNonfiniteBatches`.
  func follow(_ batch: BatchNormContext, valuesPerChannel n: Int, _ options: BatchNorm) {
    if !options.countsNonfiniteBatches && !batch.statisticsAreFinite {
      skipped.pointee &+= 1
      return
    }
    let weight: Double
    if let momentum = options.momentum {
      weight = momentum
    } else {
      let count = Double(max(batches.pointee, 0))
      weight = count / (count + 1)
    }
    batches.pointee &+= 1
    let unbiased = options.biasedMovingVariance ? 1 : Double(n) / Double(n - 1)
    for c in 0..<batch.channels {
      // A weight of 0 forgets the old value, even one that is not a number.
      let oldMean = weight == 0 ? 0 : weight * Double(mean[c])
      let oldVariance = weight == 0 ? 0 : weight * Double(variance[c])
      mean[c] = Float(oldMean + (1 - weight) * batch.mean[c])
      variance[c] = Float(oldVariance + (1 - weight) * batch.variance[c] * unbiased)
    }
  }
}

extension BatchNormContext {
  var statisticsAreFinite: Bool {
    // Float32 holds the moving statistics: beyond its range they would become infinite for good.
    for c in 0..<channels where !(Float(mean[c]).isFinite && Float(variance[c]).isFinite) { return false }
    return true
  }
}
