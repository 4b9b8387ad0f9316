// The table of kernels that bring many values to few.

/// What a reduction gathers.
public enum ReductionKernel: Int32, Sendable {
  case sum, maximum, minimum
}

public struct ReductionKernels: Sendable {
  /// Each of `rows` contiguous rows to one value: (function, x, rows, columns, results)
  public let rows: @Sendable (ReductionKernel, UnsafePointer<Float>, Int, Int, UnsafeMutablePointer<Double>) -> Void
  /// Each of `columns` columns to one value: (function, x, rows, columns, distance between rows, results)
  public let columns: @Sendable (ReductionKernel, UnsafePointer<Float>, Int, Int, Int, UnsafeMutablePointer<Double>) -> Void
  /// `chunks` partial results of `count` values each, combined in order and rounded:
  /// (function, partial results, distance between chunks, chunks, count, divisor, y, add to y)
  public let combine:
    @Sendable (
      ReductionKernel, UnsafePointer<Double>, Int, Int, Int, Double, UnsafeMutablePointer<Float>, Bool
    ) -> Void
  /// (x, rows, columns, indices)
  public let argmax: @Sendable (UnsafePointer<Float>, Int, Int, UnsafeMutablePointer<Int32>) -> Void
  /// (x, rows, columns, y)
  public let softmax: @Sendable (UnsafePointer<Float>, Int, Int, UnsafeMutablePointer<Float>) -> Void
  /// (gradient of the output, output, rows, columns, gradient of the input, add to it)
  public let softmaxGradient:
    @Sendable (UnsafePointer<Float>, UnsafePointer<Float>, Int, Int, UnsafeMutablePointer<Float>, Bool) -> Void

  /// Whether none of the values is NaN or infinite: (x, count)
  public let isFinite: @Sendable (UnsafePointer<Float>, Int) -> Bool

  @inlinable
  public init<I: InstructionSet>(_ set: I.Type) {
    rows = { rowReduction(I.self, $0, $1, rows: $2, columns: $3, into: $4) }
    columns = { columnReduction(I.self, $0, $1, rows: $2, columns: $3, stride: $4, into: $5) }
    combine = { combineChunks(I.self, $0, $1, stride: $2, chunks: $3, count: $4, divisor: $5, into: $6, accumulate: $7) }
    argmax = { argmaxKernel(I.self, $0, rows: $1, columns: $2, into: $3) }
    isFinite = { finiteKernel(I.self, $0, count: $1) }
    softmax = { softmaxKernel(I.self, $0, rows: $1, columns: $2, into: $3) }
    softmaxGradient = {
      softmaxGradientKernel(I.self, gradOutput: $0, output: $1, rows: $2, columns: $3, into: $4, accumulate: $5)
    }
  }
}
