// Softmax of each row, and its gradient.
import MartletKernels

extension Compute {
  /// `y[r, c] = e^(x[r, c] − max_r) / Σ_c …`; `y` may be `x`.
  ///
  /// Edge cases: a row with a NaN or +∞, or of nothing but −∞, is NaN throughout.
  public func softmaxRows(_ x: UnsafePointer<Float>, rows: Int, columns: Int, into y: UnsafeMutablePointer<Float>) {
    let cut = PieceCut.rows(rows, columns: columns, weight: 4)
    run(SoftmaxWork(kernels: kernels.reduction, x: x, columns: columns, y: y, cut: cut), pieces: cut.pieces)
  }

  /// `gradInput (+)= y·(gradOutput − Σ_c gradOutput·y)`, y the softmax's output; `gradInput` may be `gradOutput`.
  public func softmaxGradientRows(
    gradOutput: UnsafePointer<Float>, output y: UnsafePointer<Float>, rows: Int, columns: Int,
    into gradInput: UnsafeMutablePointer<Float>, accumulate: Bool
  ) {
    let cut = PieceCut.rows(rows, columns: columns, weight: 2)
    let work = SoftmaxGradientWork(
      kernels: kernels.reduction, gradOutput: gradOutput, output: y, columns: columns, gradInput: gradInput,
      accumulate: accumulate, cut: cut)
    run(work, pieces: cut.pieces)
  }
}

private struct SoftmaxWork: PieceWork {
  let kernels: ReductionKernels
  let x: UnsafePointer<Float>
  let columns: Int
  let y: UnsafeMutablePointer<Float>
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    kernels.softmax(x + start * columns, count, columns, y + start * columns)
  }
}

private struct SoftmaxGradientWork: PieceWork {
  let kernels: ReductionKernels
  let gradOutput: UnsafePointer<Float>
  let output: UnsafePointer<Float>
  let columns: Int
  let gradInput: UnsafeMutablePointer<Float>
  let accumulate: Bool
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    let offset = start * columns
    kernels.softmaxGradient(gradOutput + offset, output + offset, count, columns, gradInput + offset, accumulate)
  }
}
