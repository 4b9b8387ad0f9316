// Batch norm's training passes on arrays, through guarded memory.
import MartletRuntime

/// All that one forward and backward pass leave behind.
public struct BatchNormResults {
  public var mean: [Double] = []
  public var variance: [Double] = []
  public var y: [Float] = []
  public var gradInput: [Float] = []
  public var gradScale: [Float] = []
  public var gradShift: [Float] = []
  public init() {}

  /// For comparisons to the bit.
  public var bits: [[UInt64]] {
    [mean.map(\.bitPattern), variance.map(\.bitPattern)]
      + [y, gradInput, gradScale, gradShift].map { $0.map { UInt64($0.bitPattern) } }
  }
}

extension Compute {
  /// Forward with the batch's own statistics, then backward.
  ///
  /// - Parameters:
  ///   - before: what the input's gradient is added to; nil replaces.
  ///   - inPlace: `y` takes the place of a copy of `x`, `gradInput` that of `gradOutput`.
  public func trainingPasses(
    _ x: [Float], gradOutput: [Float], scale: [Float]?, shift: [Float]?, _ shape: ChannelShape, epsilon: Double = 1e-5,
    activation: Activation = .identity, before: [Float]? = nil, inPlace: Bool = false, _ placement: Placement = Placement()
  ) -> BatchNormResults {
    let (input, gradient) = (placement.buffer(x), placement.buffer(gradOutput))
    let output = placement.buffer(inPlace ? x : x.map { _ in .nan })
    let result = inPlace ? gradient : placement.buffer(before ?? x.map { _ in .nan })
    let affine = [scale, shift].map { $0.map(placement.buffer) }
    let sums = (0..<2).map { _ in placement.buffer([Float](repeating: .nan, count: shape.channels)) }
    let memory = GuardedBuffer(repeating: .nan, count: BatchNormContext.byteCount(channels: shape.channels) / 4)
    let workspace = GuardedBuffer(repeating: .nan, count: (channelWorkspaceByteCount(shape) + 3) / 4)
    let context = BatchNormContext(UnsafeMutableRawPointer(memory.pointer), channels: shape.channels)
    return withExtendedLifetime((input, gradient, output, result, affine, sums, (memory, workspace))) {
      normalizeBatch(
        inPlace ? output.input : input.input, shape, context, epsilon: epsilon,
        ScaleShift(scale: affine[0]?.input, shift: affine[1]?.input), activation: activation, into: output.pointer,
        workspace: UnsafeMutableRawPointer(workspace.pointer))
      batchNormGradients(
        BatchNormGradientOperands(
          gradOutput: gradient.input, output: output.input, input: input.input, gradInput: result.pointer,
          accumulates: before != nil),
        shape, context, activation: activation, statisticsAreConstant: false,
        ScaleShiftGradients(scale: sums[0].pointer, shift: sums[1].pointer),
        workspace: UnsafeMutableRawPointer(workspace.pointer))
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
