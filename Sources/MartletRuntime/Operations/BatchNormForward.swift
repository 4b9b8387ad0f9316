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
  /// Edge cases: theirs. Cost: reads `x` once from memory where a block of whole channels fits the cache, else twice; one write.
  public func normalizeBatch(
    _ x: UnsafePointer<Float>, _ shape: ChannelShape, _ context: BatchNormContext, epsilon: Double, _ affine: ScaleShift,
    activation: Activation, into y: UnsafeMutablePointer<Float>, workspace: UnsafeMutableRawPointer
  ) {
    if shape.channels * shape.valuesPerChannel == 0 {
      return channelMoments(x, shape, mean: context.mean, variance: context.variance, workspace: workspace)
    }
    let totals = ChannelTotals(shape, workspace: workspace)
    let moments = ChannelMomentsWork(
      totals: totals, kernels: kernels.batchNorm.moments, x: x, mean: context.mean, variance: context.variance)
    let pass = ChannelPassJob(
      kernels: kernels.batchNorm[activation].map,
      operands: ChannelOperands(input: x, gradOutput: x, output: x, result: y).streaming(shape, on: self),
      coefficients: context.mapCoefficients, shape)
    ChannelBlocks.run(
      ForwardWork(moments: moments, pass: pass, context: context, epsilon: epsilon, affine: affine), tensors: 1, on: self)
  }
}

private struct ForwardWork: ChannelBlockWork {
  var moments: ChannelMomentsWork
  let pass: ChannelPassJob
  let context: BatchNormContext
  let epsilon: Double
  let affine: ScaleShift
  var totals: ChannelTotals {
    get { moments.totals }
    set { moments.totals = newValue }
  }

  func prepare(_ scope: ChannelScope) {
    moments.run(scope)
    context.map.fill(
      scope.channels, mean: context.mean, variance: context.variance, epsilon: epsilon, scale: affine.scale,
      shift: affine.shift, inverseStandardDeviation: context.inverseDeviation)
  }
}

extension BatchNormContext {
  var mapCoefficients: ChannelCoefficients {
    ChannelCoefficients(
      center: map.center, multiplier: map.multiplier, slope: map.multiplierLow, offset: map.offset)
  }
}
