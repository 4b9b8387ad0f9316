// Batch norm's passes with weights and corrections, on arrays, through guarded memory.
import MartletRuntime

extension Compute {
  private func withWeights<R>(
    _ weights: [Float], _ shape: ChannelShape, _ placement: Placement, _ body: (RowWeights) -> R
  ) -> R {
    let given = placement.buffer(weights)
    let spread = placement.buffer([Float](repeating: .nan, count: rowWeightsByteCount(shape) / 4))
    return withExtendedLifetime((given, spread)) { body(spreadRowWeights(given.input, shape, into: spread.pointer)) }
  }

  public func weightedMoments(
    _ x: [Float], _ weights: [Float], _ shape: ChannelShape, exactly: Bool = false, _ placement: Placement = Placement()
  ) -> (mean: [Double], variance: [Double], total: Double) {
    let input = placement.buffer(x)
    let workspace = GuardedBuffer(repeating: .nan, count: (channelWorkspaceByteCount(shape) + 3) / 4)
    var mean = [Double](repeating: -1, count: shape.channels)
    var variance = mean
    let total = withExtendedLifetime((input, workspace)) {
      withWeights(weights, shape, placement) { weights in
        channelMoments(
          input.input, shape, mean: &mean, variance: &variance, exactly: exactly, weights: weights,
          workspace: UnsafeMutableRawPointer(workspace.pointer))
        return weights.total
      }
    }
    return (mean, variance, total)
  }

  /// Both training passes, without activation; `before`: what the gradient is added to.
  public func weightedTrainingPasses(
    _ x: [Float], _ weights: [Float], gradOutput: [Float], scale: [Float]?, shift: [Float]?, _ shape: ChannelShape,
    epsilon: Double = 1e-5, before: [Float]? = nil, inPlace: Bool = false, _ placement: Placement = Placement()
  ) -> BatchNormResults {
    let (input, gradient, output) = (placement.buffer(x), placement.buffer(gradOutput), placement.buffer(x.map { _ in .nan }))
    let result = inPlace ? gradient : placement.buffer(before ?? x.map { _ in .nan })
    let affine = [scale, shift].map { $0.map(placement.buffer) }
    let sums = (0..<2).map { _ in placement.buffer([Float](repeating: .nan, count: shape.channels)) }
    let memory = GuardedBuffer(repeating: .nan, count: BatchNormContext.byteCount(channels: shape.channels) / 4)
    let workspace = GuardedBuffer(repeating: .nan, count: (channelWorkspaceByteCount(shape) + 3) / 4)
    let context = BatchNormContext(UnsafeMutableRawPointer(memory.pointer), channels: shape.channels)
    return withExtendedLifetime((input, gradient, output, result, affine, sums, (memory, workspace))) {
      withWeights(weights, shape, placement) { weights in
        normalizeBatch(
          input.input, shape, context, epsilon: epsilon, ScaleShift(scale: affine[0]?.input, shift: affine[1]?.input),
          activation: .identity, weights: weights, into: output.pointer, workspace: UnsafeMutableRawPointer(workspace.pointer))
        batchNormGradients(
          BatchNormGradientOperands(
            gradOutput: gradient.input, output: nil, input: input.input, gradInput: result.pointer, accumulates: before != nil),
          shape, context, activation: .identity, statisticsAreConstant: false,
          ScaleShiftGradients(scale: sums[0].pointer, shift: sums[1].pointer), weights: weights,
          workspace: UnsafeMutableRawPointer(workspace.pointer))
      }
      func statistics(_ values: UnsafeMutablePointer<Double>) -> [Double] {
        Array(UnsafeBufferPointer(start: UnsafePointer(values), count: shape.channels))
      }
      var results = BatchNormResults()
      (results.mean, results.variance) = (statistics(context.mean), statistics(context.variance))
      (results.y, results.gradInput) = (output.values, result.values)
      (results.gradScale, results.gradShift) = (sums[0].values, sums[1].values)
      return results
    }
  }
}
