// Pooling and nearest-neighbour upsampling, each with its gradient. None needs a workspace but the global average; all are exact in
// their order: the same bits for any threads, and for a sample alone.
import MartletKernels

extension Compute {
  /// `y = max x[window]`, padding left out; NaN if one of the window's values is, −∞ if it has none. y must not overlap x.
  public func maxPool(_ x: UnsafePointer<Float>, _ s: PoolingShape, into y: UnsafeMutablePointer<Float>) {
    pool(.maximum, s, x: x, y: UnsafePointer(y), input: UnsafeMutablePointer(mutating: x), output: y)
  }

  /// `gradInput (+)=` each gradient at the first of its window's largest values (the first NaN, if there is one).
  ///
  /// The place is found again from `x` and its result `y`, which the layers around keep anyway: no index is stored. Costs a second reading
  /// of x.
  public func maxPoolGradInput(
    _ gradOutput: UnsafePointer<Float>, x: UnsafePointer<Float>, y: UnsafePointer<Float>, _ s: PoolingShape,
    into gradInput: UnsafeMutablePointer<Float>, accumulate: Bool = false
  ) {
    pool(
      .maximumGradient, s, x: x, y: y, input: gradInput, output: UnsafeMutablePointer(mutating: gradOutput),
      accumulate: accumulate)
  }

  /// `y = Σ x[window] / n`, n the window's size, or without `countIncludesPad` the number of its values that are not padding (0 if there
  /// are none). y must not overlap x.
  public func averagePool(
    _ x: UnsafePointer<Float>, _ s: PoolingShape, countIncludesPad: Bool, into y: UnsafeMutablePointer<Float>
  ) {
    pool(
      .windowSum, s, divisor: divisor(s, countIncludesPad), x: x, y: UnsafePointer(y),
      input: UnsafeMutablePointer(mutating: x), output: y)
  }

  /// `gradInput (+)= Σ gradOutput / n` over the windows that hold the value.
  public func averagePoolGradInput(
    _ gradOutput: UnsafePointer<Float>, _ s: PoolingShape, countIncludesPad: Bool,
    into gradInput: UnsafeMutablePointer<Float>, accumulate: Bool = false
  ) {
    pool(
      .spread, s, divisor: divisor(s, countIncludesPad), x: UnsafePointer(gradInput), y: gradOutput, input: gradInput,
      output: UnsafeMutablePointer(mutating: gradOutput), accumulate: accumulate)
  }

  public func globalAveragePoolWorkspaceByteCount(samples: Int, positions: Int, channels: Int) -> Int {
    reductionWorkspaceByteCount(outer: samples, axis: positions, inner: channels)
  }

  /// `y[n, c] = Σ_p x[n, p, c] / positions`, gathered in Float64; positions is height · width, at least 1.
  public func globalAveragePool(
    _ x: UnsafePointer<Float>, samples: Int, positions: Int, channels: Int, into y: UnsafeMutablePointer<Float>,
    workspace: UnsafeMutableRawPointer
  ) {
    reduce(.mean, x, outer: samples, axis: positions, inner: channels, into: y, workspace: workspace)
  }

  /// `gradInput[n, p, c] (+)= gradOutput[n, c] / positions`
  public func globalAveragePoolGradInput(
    _ gradOutput: UnsafePointer<Float>, samples: Int, positions: Int, channels: Int,
    into gradInput: UnsafeMutablePointer<Float>, accumulate: Bool = false
  ) {
    averagePoolGradInput(
      gradOutput,
      PoolingShape(
        samples: samples, height: 1, width: positions, channels: channels, kernelHeight: 1, kernelWidth: positions,
        strideHeight: 1, strideWidth: 1), countIncludesPad: true, into: gradInput, accumulate: accumulate)
  }

  /// `y[n, h, w, c] = x[n, ⌊h / scaleHeight⌋, ⌊w / scaleWidth⌋, c]` for x `[samples, height, width, channels]`; scales are 1 or more.
  public func upsampleNearest(
    _ x: UnsafePointer<Float>, samples: Int, height: Int, width: Int, channels: Int, scaleHeight: Int, scaleWidth: Int,
    into y: UnsafeMutablePointer<Float>
  ) {
    let s = blocks(samples, height, width, channels, scaleHeight, scaleWidth)
    pool(.spread, s, x: UnsafePointer(y), y: x, input: y, output: UnsafeMutablePointer(mutating: x))
  }

  /// `gradInput[n, h, w, c] (+)= Σ gradOutput` of the values that are copies of it.
  public func upsampleNearestGradInput(
    _ gradOutput: UnsafePointer<Float>, samples: Int, height: Int, width: Int, channels: Int, scaleHeight: Int,
    scaleWidth: Int, into gradInput: UnsafeMutablePointer<Float>, accumulate: Bool = false
  ) {
    let s = blocks(samples, height, width, channels, scaleHeight, scaleWidth)
    pool(
      .windowSum, s, x: gradOutput, y: UnsafePointer(gradInput), input: UnsafeMutablePointer(mutating: gradOutput),
      output: gradInput, accumulate: accumulate)
  }

  /// The windows that the copies of each value make.
  private func blocks(
    _ samples: Int, _ height: Int, _ width: Int, _ channels: Int, _ scaleHeight: Int, _ scaleWidth: Int
  ) -> PoolingShape {
    PoolingShape(
      samples: samples, height: height * scaleHeight, width: width * scaleWidth, channels: channels,
      kernelHeight: scaleHeight, kernelWidth: scaleWidth, strideHeight: scaleHeight, strideWidth: scaleWidth)
  }

  private func divisor(_ s: PoolingShape, _ countIncludesPad: Bool) -> Float {
    countIncludesPad ? Float(s.kernelHeight * s.kernelWidth) : 0
  }

  private func pool(
    _ function: PoolingFunction, _ s: PoolingShape, divisor: Float = 1, x: UnsafePointer<Float>, y: UnsafePointer<Float>,
    input: UnsafeMutablePointer<Float>, output: UnsafeMutablePointer<Float>, accumulate: Bool = false
  ) {
    guard s.samples > 0, s.channels > 0 else { return }
    let work = PoolingWork(
      kernels: kernels.pooling, function: function, shape: s, divisor: divisor, accumulate: accumulate, x: x, y: y,
      input: input, output: output)
    run(work, pieces: work.pieces)
  }
}
