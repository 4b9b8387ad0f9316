// Dropout, forward and backward in one operation.
import MartletKernels

extension Compute {
  /// `y = keep(i) ? x / (1 − rate) : 0`, or added to y. Whether element i is kept depends on (key, i) alone, so that the backward
  /// pass calls this again with the gradient, and threads do not matter. 0 ≤ rate < 1.
  ///
  /// The rate is taken as a multiple of 2⁻³¹; at rate 0 everything is kept. A dropped NaN or infinity is 0. `y` may be `x`.
  public func dropout(
    _ x: UnsafePointer<Float>, count: Int, rate: Float, key: UInt64, into y: UnsafeMutablePointer<Float>, accumulate: Bool
  ) {
    let cut = PieceCut.elements(count)
    let work = DropoutWork(
      kernels: kernels.elementwise, x: x, rule: DropoutRule(rate: rate, key: key), y: y, accumulate: accumulate, cut: cut)
    run(work, pieces: cut.pieces)
  }
}

private struct DropoutWork: PieceWork {
  let kernels: ElementwiseKernels
  let x: UnsafePointer<Float>
  let rule: DropoutRule
  let y: UnsafeMutablePointer<Float>
  let accumulate: Bool
  /// Pieces start at multiples of 32, as the kernel asks.
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    kernels.dropout(x + start, start, count, rule, y + start, accumulate)
  }
}
