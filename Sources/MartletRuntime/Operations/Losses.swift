// Losses with their gradients in one pass. Every loss is a mean over `rows`, summed in Float64 in row order.

public struct LossResult: Sendable {
  /// Sum over the rows (the caller divides).
  public var sum: Double
  /// Rows whose prediction was right, where the loss knows what that means; else 0.
  public var correct: Int
  public init(sum: Double, correct: Int) {
    self.sum = sum
    self.correct = correct
  }
}

extension Compute {
  public func lossWorkspaceByteCount(rows: Int, columns: Int) -> Int { fatalError("stub") }

  /// −Σ_c t_c·log softmax(x)_c a row; `labels` (class indices, already checked) or `probabilities [rows, classes]`, exactly one of them.
  /// `gradient` (may be nil) = gradientScale·(softmax(x)·Σt − t). Correct: the first largest logit is the label (or the first largest t).
  public func softmaxCrossEntropy(
    _ logits: UnsafePointer<Float>, rows: Int, classes: Int, labels: UnsafePointer<Int32>?,
    probabilities: UnsafePointer<Float>?, gradient: UnsafeMutablePointer<Float>?, gradientScale: Float,
    workspace: UnsafeMutableRawPointer
  ) -> LossResult { fatalError("stub") }

  /// Mean over the columns of (x − t)² a row; gradient = gradientScale·2·(x − t)/columns.
  public func meanSquaredError(
    _ x: UnsafePointer<Float>, targets: UnsafePointer<Float>, rows: Int, columns: Int,
    gradient: UnsafeMutablePointer<Float>?, gradientScale: Float, workspace: UnsafeMutableRawPointer
  ) -> LossResult { fatalError("stub") }

  /// Mean over the columns of max(x, 0) − x·t + log(1 + e^−|x|) a row; gradient = gradientScale·(sigmoid(x) − t)/columns.
  /// Correct: every column has (x > 0) == (t > 0.5).
  public func binaryCrossEntropy(
    _ logits: UnsafePointer<Float>, targets: UnsafePointer<Float>, rows: Int, columns: Int,
    gradient: UnsafeMutablePointer<Float>?, gradientScale: Float, workspace: UnsafeMutableRawPointer
  ) -> LossResult { fatalError("stub") }
}
