// How the moving statistics follow the batches.
import MartletRuntime

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

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
  /// See ``BatchNorm/weightOfMoving(after:)`` for the weight. A batch with a statistic that is not finite, in any channel, is skipped as a
  /// whole and counted, unless `options.countsNonfiniteBatches`.
  /// - Parameter n: values per channel, or the sum of their weights; 2 or more.
  func follow(_ batch: BatchNormContext, count n: Double, _ options: BatchNorm) {
    if !options.countsNonfiniteBatches && !batch.statisticsAreFinite {
      return skip()
    }
    let weight = options.weightOfMoving(after: batches.pointee)
    batches.pointee &+= 1
    let unbiased = options.biasedMovingVariance ? 1 : n / (n - 1)
    for c in 0..<batch.channels {
      // A weight of 0 forgets the old value, even one that is not a number.
      let oldMean = weight == 0 ? 0 : weight * Double(mean[c])
      let oldVariance = weight == 0 ? 0 : weight * Double(variance[c])
      mean[c] = Float(oldMean + (1 - weight) * batch.mean[c])
      variance[c] = Float(oldVariance + (1 - weight) * batch.variance[c] * unbiased)
    }
  }
}

extension MovingStatistics {
  /// Counts a batch that they do not follow.
  func skip() { skipped.pointee &+= 1 }
}

extension BatchNorm {
  /// The weight of the previous moving statistic at the batch behind `count` others:
  ///
  ///     momentum m
  ///     k/(k + 1)                               the plain average of all batches
  ///     m·(1 − mᵏ)/(1 − mᵏ⁺¹)                   debiased: batch j of n has the weight mⁿ⁻ʲ·(1 − m)/(1 − mⁿ), the start none
  ///
  /// The debiased average is Adam's correction applied as it goes: what is kept is the corrected average itself.
  /// Source: Kingma & Ba 2015, section 3, for the correction.
  ///
  /// Edge cases: m = 1, debiased, is the limit: the plain average.
  func weightOfMoving(after count: Int64) -> Double {
    let k = Double(max(count, 0))
    guard let momentum, !(debiased && momentum == 1) else { return k / (k + 1) }
    guard debiased else { return momentum }
    if momentum == 0 || k == 0 { return 0 }
    // 1 − mᵏ without the cancellation of a momentum close to 1.
    let logarithm = log(momentum)
    return momentum * expm1(k * logarithm) / expm1((k + 1) * logarithm)
  }
}

extension BatchNormContext {
  var statisticsAreFinite: Bool {
    // Float32 holds the moving statistics: beyond its range they would become infinite for good.
    for c in 0..<channels where !(Float(mean[c]).isFinite && Float(variance[c]).isFinite) { return false }
    return true
  }
}
