// The table of losses.

public struct LossKernels: Sendable {
  /// Adds up the rows' losses in order: (logits, rows, classes, labels, probabilities, gradient, its scale, sum, rows that were right)
  public let crossEntropy:
    @Sendable (
      UnsafePointer<Float>, Int, Int, UnsafePointer<Int32>?, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?, Float,
      UnsafeMutablePointer<Double>, UnsafeMutablePointer<Int>
    ) -> Void
  /// (x, targets, rows, columns, gradient, its scale, sum)
  public let squaredError:
    @Sendable (
      UnsafePointer<Float>, UnsafePointer<Float>, Int, Int, UnsafeMutablePointer<Float>?, Float, UnsafeMutablePointer<Double>
    ) -> Void
  /// (logits, targets, rows, columns, gradient, its scale, sum, rows that were right)
  public let binaryCrossEntropy:
    @Sendable (
      UnsafePointer<Float>, UnsafePointer<Float>, Int, Int, UnsafeMutablePointer<Float>?, Float,
      UnsafeMutablePointer<Double>, UnsafeMutablePointer<Int>
    ) -> Void

  @inlinable
  public init<I: InstructionSet>(_ set: I.Type) {
    crossEntropy = {
      crossEntropyKernel(
        I.self, $0, rows: $1, classes: $2, labels: $3, probabilities: $4, gradient: $5, gradientScale: $6, sum: $7,
        correct: $8)
    }
    squaredError = {
      squaredErrorKernel(I.self, $0, $1, rows: $2, columns: $3, gradient: $4, gradientScale: $5, sum: $6)
    }
    binaryCrossEntropy = {
      binaryCrossEntropyKernel(I.self, $0, $1, rows: $2, columns: $3, gradient: $4, gradientScale: $5, sum: $6, correct: $7)
    }
  }
}
