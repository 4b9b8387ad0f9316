// Losses with their gradients in one pass. Every loss is a mean over `rows`, summed in Float64 in row order:
// first within pieces that the shape alone decides, then piece after piece.
import MartletKernels

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
  /// One sum and one count for each piece.
  public func lossWorkspaceByteCount(rows: Int, columns: Int) -> Int {
    Self.lossCut(rows: rows, columns: columns).pieces * MemoryLayout<LossResult>.stride
  }

  private static func lossCut(rows: Int, columns: Int) -> PieceCut { .rows(rows, columns: columns, weight: 4) }

  /// −Σ_c t_c·log softmax(x)_c a row; `labels` (class indices, already checked) or `probabilities [rows, classes]`, exactly one of them.
  /// `gradient` (may be nil) = gradientScale·(softmax(x)·Σt − t). Correct: the first largest logit is the label (or the first largest t),
  /// and no logit is NaN.
  ///
  /// `gradient` may be the logits. Edge cases: a class of probability 0 contributes nothing, even where its logit is −∞; a NaN
  /// or +∞ makes its row's loss and gradient NaN.
  public func softmaxCrossEntropy(
    _ logits: UnsafePointer<Float>, rows: Int, classes: Int, labels: UnsafePointer<Int32>?,
    probabilities: UnsafePointer<Float>?, gradient: UnsafeMutablePointer<Float>?, gradientScale: Float,
    workspace: UnsafeMutableRawPointer
  ) -> LossResult {
    let cut = Self.lossCut(rows: rows, columns: classes)
    let results = workspace.bindMemory(to: LossResult.self, capacity: cut.pieces)
    let work = CrossEntropyWork(
      kernels: kernels.loss, logits: logits, classes: classes, labels: labels, probabilities: probabilities,
      gradient: gradient, gradientScale: gradientScale, results: results, cut: cut)
    run(work, pieces: cut.pieces)
    return Self.total(results, cut.pieces)
  }

  /// Mean over the columns of (x − t)² a row; gradient = gradientScale·2·(x − t)/columns.
  ///
  /// `gradient` may be nil, `x` or the targets. No columns: every row's mean is NaN.
  public func meanSquaredError(
    _ x: UnsafePointer<Float>, targets: UnsafePointer<Float>, rows: Int, columns: Int,
    gradient: UnsafeMutablePointer<Float>?, gradientScale: Float, workspace: UnsafeMutableRawPointer
  ) -> LossResult {
    columnwiseLoss(.squaredError, x, targets, rows, columns, gradient, gradientScale, workspace)
  }

  /// Mean over the columns of max(x, 0) − x·t + log(1 + e^−|x|) a row; gradient = gradientScale·(sigmoid(x) − t)/columns.
  /// Correct: every column has (x > 0) == (t > 0.5), and no logit is NaN.
  ///
  /// `gradient` may be nil, the logits or the targets. Edge cases: +∞ costs nothing where the target is 1, −∞ where it is 0, and either is an
  /// infinite loss elsewhere; a NaN makes the loss NaN.
  public func binaryCrossEntropy(
    _ logits: UnsafePointer<Float>, targets: UnsafePointer<Float>, rows: Int, columns: Int,
    gradient: UnsafeMutablePointer<Float>?, gradientScale: Float, workspace: UnsafeMutableRawPointer
  ) -> LossResult {
    columnwiseLoss(.binaryCrossEntropy, logits, targets, rows, columns, gradient, gradientScale, workspace)
  }

  private func columnwiseLoss(
    _ loss: ColumnwiseLoss, _ x: UnsafePointer<Float>, _ targets: UnsafePointer<Float>, _ rows: Int, _ columns: Int,
    _ gradient: UnsafeMutablePointer<Float>?, _ gradientScale: Float, _ workspace: UnsafeMutableRawPointer
  ) -> LossResult {
    let cut = Self.lossCut(rows: rows, columns: columns)
    let results = workspace.bindMemory(to: LossResult.self, capacity: cut.pieces)
    let work = ColumnwiseLossWork(
      kernels: kernels.loss, loss: loss, x: x, targets: targets, columns: columns, gradient: gradient,
      gradientScale: gradientScale, results: results, cut: cut)
    run(work, pieces: cut.pieces)
    return Self.total(results, cut.pieces)
  }

  private static func total(_ results: UnsafePointer<LossResult>, _ pieces: Int) -> LossResult {
    var total = LossResult(sum: 0, correct: 0)
    for piece in 0..<pieces {
      total.sum += results[piece].sum
      total.correct += results[piece].correct
    }
    return total
  }
}

private struct CrossEntropyWork: PieceWork {
  let kernels: LossKernels
  let logits: UnsafePointer<Float>
  let classes: Int
  let labels: UnsafePointer<Int32>?
  let probabilities: UnsafePointer<Float>?
  let gradient: UnsafeMutablePointer<Float>?
  let gradientScale: Float
  let results: UnsafeMutablePointer<LossResult>
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    let offset = start * classes
    var sum = 0.0
    var correct = 0
    kernels.crossEntropy(
      logits + offset, count, classes, labels.map { $0 + start }, probabilities.map { $0 + offset },
      gradient.map { $0 + offset }, gradientScale, &sum, &correct)
    results[piece] = LossResult(sum: sum, correct: correct)
  }
}

private enum ColumnwiseLoss {
  case squaredError, binaryCrossEntropy
}

private struct ColumnwiseLossWork: PieceWork {
  let kernels: LossKernels
  let loss: ColumnwiseLoss
  let x: UnsafePointer<Float>
  let targets: UnsafePointer<Float>
  let columns: Int
  let gradient: UnsafeMutablePointer<Float>?
  let gradientScale: Float
  let results: UnsafeMutablePointer<LossResult>
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    let offset = start * columns
    let gradient = gradient.map { $0 + offset }
    var sum = 0.0
    var correct = 0
    switch loss {
    case .squaredError:
      kernels.squaredError(x + offset, targets + offset, count, columns, gradient, gradientScale, &sum)
    case .binaryCrossEntropy:
      kernels.binaryCrossEntropy(x + offset, targets + offset, count, columns, gradient, gradientScale, &sum, &correct)
    }
    results[piece] = LossResult(sum: sum, correct: correct)
  }
}
