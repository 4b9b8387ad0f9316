// Batch norm's forward pass in training: moments, map, output, block by block.
import MartletKernels

extension Compute {
  /// Normalises `x` with its own statistics: `y = activation(scale·(x − mean)/√(variance + epsilon) + shift)`; `y` may be `x`.
  ///
  /// Fills `context`: mean, variance, inverse deviation, map. The same as ``channelMoments(_:_:mean:variance:workspace:)``, then
  /// ``fillChannelMap(_:channels:mean:variance:epsilon:scale:shift:inverseStandardDeviation:)``, then
  /// ``applyChannelMap(_:_:_:activation:into:)``, but a block of channels at a time, so that the second read of `x` comes
  /// from the cache.
  ///
  /// - Parameters:
  ///   - residual: added before the activation; not `y`.
  ///   - moments: what the operation that wrote `x` gathered, so that `x` is read once; nil, or memory in which it gathered nothing: they
  ///     are found here.
  ///   - weights: how often each row counts, of channels-last data; Σ w > 0. Every row is normalised, whatever its weight.
  ///   - renormalization: corrects the map towards the moving statistics; it keeps the correction for the backward pass.
  ///
  /// Edge cases: theirs. Cost: reads `x` once from memory where a block of whole channels fits the cache, else twice; one write.
  public func normalizeBatch(
    _ x: UnsafePointer<Float>, _ shape: ChannelShape, _ context: BatchNormContext, epsilon: Double, _ affine: ScaleShift,
    residual: UnsafePointer<Float>? = nil, activation: Activation, moments: UnsafeMutableRawPointer? = nil,
    weights: RowWeights? = nil, renormalization: RenormalizationCorrection? = nil, into y: UnsafeMutablePointer<Float>,
    workspace: UnsafeMutableRawPointer
  ) {
    if shape.channels * shape.valuesPerChannel == 0 {
      return channelMoments(x, shape, mean: context.mean, variance: context.variance, workspace: workspace)
    }
    let totals = ChannelTotals(shape, workspace: workspace)
    let work = ChannelMomentsWork(
      totals: totals, kernels: kernels.batchNorm.moments(weights), x: x, mean: context.mean, variance: context.variance,
      weights: weights)
    let gathered = moments.map { OutputMoments($0, channels: shape.channels) }
    let pass = mapPass(context.map, x, shape, residual: residual, activation: activation, into: y)
    ChannelBlocks.run(
      ForwardWork(
        moments: work, gathered: gathered.flatMap { $0.cover(shape.valuesPerChannel) ? $0 : nil }, pass: pass, context: context,
        epsilon: epsilon, affine: affine, renormalization: renormalization),
      tensors: 1 + (residual == nil ? 0 : 1) + (weights == nil ? 0 : 1), on: self)
  }
}

private struct ForwardWork: ChannelBlockWork {
  var moments: ChannelMomentsWork
  let gathered: OutputMoments?
  let pass: ChannelPassJob
  let context: BatchNormContext
  let epsilon: Double
  let affine: ScaleShift
  let renormalization: RenormalizationCorrection?
  var totals: ChannelTotals {
    get { moments.totals }
    set { moments.totals = newValue }
  }

  func prepare(_ scope: ChannelScope) {
    if let gathered {
      gathered.combine(scope.channels, mean: context.mean, variance: context.variance)
    } else {
      moments.run(scope)
    }
    if let renormalization { return renormalization.fill(scope.channels, context, epsilon: epsilon, affine) }
    context.map.fill(
      scope.channels, mean: context.mean, variance: context.variance, epsilon: epsilon, scale: affine.scale,
      shift: affine.shift, inverseStandardDeviation: context.inverseDeviation)
  }
}
