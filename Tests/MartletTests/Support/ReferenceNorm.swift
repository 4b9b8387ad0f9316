// Batch norm in training with all its options, in Float64: virtual batches, weights, corrections.
import ReferenceKernels

@testable import Martlet

/// What training holds constant, by place and virtual batch: found by the first run of a reference, so that differences do not go through it.
final class ReferenceNormConstants {
  struct Batch {
    var mean: [Double]
    var variance: [Double]
    var scale: [Double]?
    var shift: [Double]?
    /// Of a renormalisation: r and d.
    var ratio: [Double]?
    var distance: [Double]?
  }
  var batches: [String: Batch] = [:]
  /// The moving statistics of each layer and the batches they have followed, as they stand behind the first run.
  var moving: [String: (mean: [Double], variance: [Double], count: Int64)] = [:]
}

struct ReferenceNorm {
  private let norm: BatchNorm
  private let layer: ModelLayer
  private let place: String
  private let constants: ReferenceNormConstants
  private let channels: Int

  init(_ norm: BatchNorm, _ layer: ModelLayer, _ place: String, _ constants: ReferenceNormConstants) {
    self.norm = norm
    self.layer = layer
    self.place = place
    self.constants = constants
    channels = layer.outputShape.last ?? 1
    if constants.moving[layer.name] == nil {
      func state(_ name: String) -> [Double] { layer.variable(name)?.values.map(Double.init) ?? [] }
      constants.moving[layer.name] = (
        state("running_mean"), state("running_var"), layer.variable("num_batches_tracked")?.integer ?? 0
      )
    }
  }

  func train(_ inputs: [[Double]], scale: [Double]?, shift: [Double]?) -> [Double] {
    let length = layer.inputShapes[0].reduce(1, *)
    let rows = inputs[0].count / length
    let inner = length / channels
    // The definition, one batch after the other; a remainder of one value joins.
    var starts = Array(stride(from: 0, to: rows, by: norm.virtualBatchSize ?? max(rows, 1)))
    if let last = starts.last, starts.count > 1, (rows - last) * inner == 1 { starts.removeLast() }
    var y: [Double] = []
    for (number, start) in starts.enumerated() {
      let end = number + 1 < starts.count ? starts[number + 1] : rows
      let weights = inputs.count > 1 ? Array(inputs[1][start * inner..<end * inner]) : nil
      y += batch(Array(inputs[0][start * length..<end * length]), weights, "\(place) \(number)", scale, shift)
    }
    return y
  }

  private func batch(
    _ x: [Double], _ weights: [Double]?, _ key: String, _ scale: [Double]?, _ shift: [Double]?
  ) -> [Double] {
    let counts = (weights ?? [Double](repeating: 1, count: x.count / channels)).map { max($0, 0) }
    let n = counts.reduce(0, +)
    let own = n < 2 ? nil : Reference.channelMoments(x, channels: channels, weights: counts)
    let usesOwn = norm.normalizer == .batch && own != nil
    let isSkipped = n == 0 || n < 2 && norm.singleValue == .skip
    let held = constants.batches[key] ?? hold(key, own, usesOwn: usesOwn, n: n, scale, shift)
    var (mean, variance) = (held.mean, held.variance)
    if usesOwn, let own { (mean, variance) = own }
    var normal = Reference.normalise(x, mean: mean, variance: variance, epsilon: norm.epsilon, scale: nil, shift: nil)
    if let ratio = held.ratio, let distance = held.distance {
      normal = normal.indices.map { normal[$0] * ratio[$0 % channels] + distance[$0 % channels] }
    }
    let (s, t) = isSkipped ? (held.scale, held.shift) : (scale, shift)
    return normal.indices.map { normal[$0] * (s?[$0 % channels] ?? 1) + (t?[$0 % channels] ?? 0) }
  }

  /// The first run: notes what stood before the batch, and lets the moving statistics follow.
  private func hold(
    _ key: String, _ own: (mean: [Double], variance: [Double])?, usesOwn: Bool, n: Double, _ scale: [Double]?,
    _ shift: [Double]?
  ) -> ReferenceNormConstants.Batch {
    var moving = constants.moving[layer.name] ?? ([], [], 0)
    var held = ReferenceNormConstants.Batch(mean: moving.mean, variance: moving.variance, scale: scale, shift: shift)
    if usesOwn, let own, let limits = norm.renormalization?.limits(after: moving.count) {
      let deviation = moving.variance.map { ($0 + norm.epsilon).squareRoot() }
      held.ratio = (0..<channels).map { c in
        min(max((own.variance[c] + norm.epsilon).squareRoot() / deviation[c], 1 / limits.ratio), limits.ratio)
      }
      held.distance = (0..<channels).map { c in
        min(max((own.mean[c] - moving.mean[c]) / deviation[c], -limits.distance), limits.distance)
      }
    }
    constants.batches[key] = held
    guard norm.updatesMoving, let own else { return held }
    let weight = norm.weightOfMoving(after: moving.count)
    let unbiased = norm.biasedMovingVariance ? 1 : n / (n - 1)
    for c in 0..<channels {
      moving.mean[c] = weight * moving.mean[c] + (1 - weight) * own.mean[c]
      moving.variance[c] = weight * moving.variance[c] + (1 - weight) * own.variance[c] * unbiased
    }
    moving.count += 1
    constants.moving[layer.name] = moving
    return held
  }
}
