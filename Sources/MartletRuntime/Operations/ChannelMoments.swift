// Mean and variance of each channel.
import MartletKernels

extension Compute {
  /// Scratch memory of any operation on a shape that takes a workspace; alignment does not matter.
  public func channelWorkspaceByteCount(_ shape: ChannelShape) -> Int { ChannelTotals.byteCount(shape) }

  /// Mean and biased variance of each channel, in Float64.
  ///
  ///     mean = k + S₁/n,   variance = S₂/n − (S₁/n)²,   S₁ = Σ(x − k),   S₂ = Σ(x − k)²
  ///
  /// The pivot k is the mean of eight values of the channel (a constant channel's own value, so its variance is exactly 0). S₁ and S₂
  /// are gathered in short Float32 runs into Float64. A channel whose pivot was more than two deviations from its mean, where
  /// the difference S₂/n − (S₁/n)² would lose digits, and one whose sums are not finite, are done again in Float64
  /// throughout, first about 0, then about the mean: ±1e30 is right, a NaN or infinity in the data shows in that channel alone
  /// (variance NaN, mean NaN or infinite).
  ///
  /// - Parameters:
  ///   - exactly: every channel is done in Float64 throughout: for statistics of whole data sets, whose last digits shall not depend on
  ///     how the data was cut.
  ///   - weights: of the rows of channels-last data; n is their sum, and each term counts as often as its row's weight says. What lies in
  ///     a row of weight 0 is not looked at.
  ///
  /// Edge cases: no values, or no weight, yield NaN. Cost: reads `x` once (and the weights as one more tensor); a channel done again,
  /// three times.
  public func channelMoments(
    _ x: UnsafePointer<Float>, _ shape: ChannelShape,
    mean: UnsafeMutablePointer<Double>, variance: UnsafeMutablePointer<Double>, exactly: Bool = false,
    weights: RowWeights? = nil, workspace: UnsafeMutableRawPointer
  ) {
    if shape.channels * shape.valuesPerChannel == 0 || weights?.total == 0 {
      for channel in 0..<shape.channels {
        mean[channel] = .nan
        variance[channel] = .nan
      }
      return
    }
    let totals = ChannelTotals(shape, workspace: workspace)
    ChannelMomentsWork(
      totals: totals, kernels: kernels.batchNorm.moments(weights), x: x, mean: mean, variance: variance, isExact: exactly,
      weights: weights
    ).run(totals.everything(on: pool))
  }
}

extension BatchNormKernels {
  func moments(_ weights: RowWeights?) -> ChannelSumKernels { weights == nil ? moments : weightedMoments }
}

/// The moments of some channels, done again where Float32 was not enough.
struct ChannelMomentsWork {
  var totals: ChannelTotals
  let kernels: ChannelSumKernels
  let x: UnsafePointer<Float>
  let mean: UnsafeMutablePointer<Double>
  let variance: UnsafeMutablePointer<Double>
  /// Every channel is done again.
  var isExact = false
  /// How often each row counts, with kernels that read weights; nil: once.
  var weights: RowWeights?

  func run(_ scope: ChannelScope) {
    let layout = totals.layout
    let count = weights?.total ?? Double(layout.shape.valuesPerChannel)
    let operands = ChannelOperands(
      input: x, gradOutput: weights?.spread ?? x, output: x, result: UnsafeMutablePointer(mutating: x))
    if let weights {
      ChannelPivots.fill(totals.center, x, weights, layout, scope.channels)
    } else {
      ChannelPivots.fill(totals.center, x, layout, scope.channels)
    }
    totals.run(kernels, operands, exact: false, scope)

    var anyRedone = false
    for channel in scope.channels {
      let found = Self.moments(
        sum: totals.sum[channel], products: totals.products[channel], count: count,
        pivot: totals.center[channel &* layout.columnInner])
      (mean[channel], variance[channel]) = (found.mean, found.variance)
      let isRedone = isExact || found.isRedone
      totals.isRedone[channel] = isRedone
      anyRedone = anyRedone || isRedone
    }
    if !anyRedone { return }

    for column in scope.columns { totals.exactCenter[column] = 0 }
    totals.run(kernels, operands, exact: true, scope)
    for channel in scope.channels where totals.isRedone[channel] { mean[channel] = totals.sum[channel] / count }

    totals.expand(mean, into: totals.exactCenter, scope) { $0 }
    totals.run(kernels, operands, exact: true, scope)
    for channel in scope.channels where totals.isRedone[channel] {
      Self.refine(
        &mean[channel], &variance[channel], sum: totals.sum[channel], products: totals.products[channel], count: count)
    }
  }

  /// A channel's moments from its sums about a pivot, and whether they have lost digits.
  @inline(__always)
  static func moments(
    sum: Double, products: Double, count: Double, pivot: Float
  ) -> (mean: Double, variance: Double, isRedone: Bool) {
    let difference = sum / count
    let square = products / count
    let variance = max(square - difference * difference, 0)
    // Squares near the end of Float32's range have lost digits, too.
    let isRedone =
      !(difference * difference <= 4 * variance) || !(square < .infinity) || (square > 0 && square < 1e-36)
    return (Double(pivot) + difference, variance, isRedone)
  }

  /// The same from sums in Float64 about `mean`.
  @inline(__always)
  static func refine(_ mean: inout Double, _ variance: inout Double, sum: Double, products: Double, count: Double) {
    let difference = sum / count
    // An infinite mean stays what it is: infinity minus itself would make it NaN.
    if mean.isFinite { mean += difference }
    let result = products / count - difference * difference
    variance = result < 0 ? 0 : result
  }
}

/// The values that moments are taken about.
enum ChannelPivots {
  /// Values of a channel that make its pivot.
  static let samples = 8

  /// The same of neighbouring channels whose values lie `rowStride` apart.
  static func fill(
    _ pivots: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, rows: Int, rowStride: Int, channels: Int
  ) {
    let count = min(samples, rows)
    for channel in 0..<channels { pivots[channel] = 0 }
    for sample in 1..<max(count, 1) {
      let row = x + sample * rows / count * rowStride
      for channel in 0..<channels { pivots[channel] += row[channel] - x[channel] }
    }
    let weight = 1 / Float(count)
    for channel in 0..<channels { pivots[channel] = x[channel] + pivots[channel] * weight }
  }

  /// x₀ + mean(xᵢ − x₀) over eight values spread evenly over the channel: close to the mean in shuffled and in sorted data, and
  /// exactly the constant where all are equal.
  static func fill(
    _ pivots: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ layout: ChannelLayout, _ scope: Range<Int>
  ) {
    let shape = layout.shape
    let channels = shape.channels
    if shape.inner == 1 {
      let first = scope.lowerBound
      fill(pivots + first, x + first, rows: shape.outer, rowStride: channels, channels: scope.count)
    } else {
      let count = min(samples, shape.valuesPerChannel)
      for channel in scope { pivots[channel] = 0 }
      for sample in 1..<max(count, 1) {
        let value = sample * shape.valuesPerChannel / count
        let row = x + value / shape.inner * channels * shape.inner + value % shape.inner
        for channel in scope { pivots[channel] += row[channel &* shape.inner] - x[channel &* shape.inner] }
      }
      let weight = 1 / Float(count)
      for channel in scope {
        pivots[channel] = x[channel &* shape.inner] + pivots[channel] * weight
      }
    }
    spread(pivots, layout)
  }

  /// From channels to columns.
  static func spread(_ pivots: UnsafeMutablePointer<Float>, _ layout: ChannelLayout) {
    if layout.columnsAreChannels { return }
    let channels = layout.shape.channels
    // In place from the end: a column's channel never lies behind the column. Then row after row, as the first.
    let inner = layout.columnInner
    for channel in stride(from: channels - 1, through: 0, by: -1) {
      let pivot = pivots[channel]
      for column in channel * inner..<(channel + 1) * inner { pivots[column] = pivot }
    }
    let row = channels * inner
    for column in row..<max(row, layout.columns) { pivots[column] = pivots[column &- row] }
  }
}
