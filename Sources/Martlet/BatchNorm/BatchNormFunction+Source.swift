// Batch norm as a function on elements of types that Float32 rounds: Float64 throughout, and only the results are rounded.
import MartletRuntime

extension BatchNormFunction.Call {
  /// The statistics that were given, as moments.
  func givenMoments() throws -> ArrayMoments {
    try ArrayMoments(mean: context.mean, variance: context.variance, channels: shape.channels)
  }

  /// Puts mean, variance and inverse deviation into the context.
  func fill(from moments: ArrayMoments, epsilon: Double) {
    for c in 0..<shape.channels {
      context.mean[c] = moments.center[c] + moments.offset[c]
      context.variance[c] = moments.variance[c]
      context.inverseDeviation[c] = 1 / (moments.variance[c] + epsilon).squareRoot()
    }
  }

  /// `y = scale·(x − mean)/√(variance + epsilon) + shift`, after ``fill(from:epsilon:)``.
  func normalize(_ moments: ArrayMoments, _ affine: ScaleShift, into y: UnsafeMutablePointer<Float>) {
    var work = SourceNormalization(
      source: x, rows: .range(first: 0, count: x.rowCount), runs: runs, center: moments.center, offset: moments.offset,
      multiplier: context.inverseDeviation, scale: affine.scale, shift: affine.shift, target: y)
    work.run()
  }

  /// What the backward pass reads in place of x.
  struct NormalizedInput {
    /// x̂ = (x − mean)/√(variance + epsilon), whose own mean is 0 and inverse deviation 1.
    let input: Storage
    /// scale/√(variance + epsilon), which takes a gradient by x̂ to one by x.
    let scale: Storage
    /// The forward pass's output; nil where nothing reads it or the caller gave it.
    let output: Storage?
  }

  /// Normalises x by the statistics in the context, which then become those of x̂.
  func normalizedInput(
    _ affine: ScaleShift, _ activation: Activation, _ y: ContiguousValues?, epsilon: Double
  ) throws -> NormalizedInput {
    let moments = try givenMoments()
    fill(from: moments, epsilon: epsilon)
    let input = try Storage(byteCount: x.count * 4, isZeroed: false)
    normalize(moments, ScaleShift(), into: input.floats)
    // The side of zero is that of the exact output.
    let output = try activation == .relu && y == nil ? Storage(byteCount: x.count * 4, isZeroed: false) : nil
    if let output { normalize(moments, affine, into: output.floats) }
    let scale = try Storage(byteCount: shape.channels * 4, isZeroed: false)
    for c in 0..<shape.channels {
      scale.floats[c] = Float(Double(affine.scale?[c] ?? 1) * context.inverseDeviation[c])
      context.mean[c] = 0
      context.variance[c] = 1
    }
    return NormalizedInput(input: input, scale: scale, output: output)
  }
}
