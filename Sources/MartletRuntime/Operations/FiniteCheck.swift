// Whether all values of an array are finite: one pass that reads.
import MartletKernels

extension Compute {
  /// One byte for each piece.
  public func finiteCheckWorkspaceByteCount(count: Int) -> Int { PieceCut.elements(count).pieces }

  /// Whether none of `count` values is NaN or infinite.
  public func isFinite(_ x: UnsafePointer<Float>, count: Int, workspace: UnsafeMutableRawPointer) -> Bool {
    let cut = PieceCut.elements(count)
    let results = workspace.bindMemory(to: Bool.self, capacity: cut.pieces)
    run(FiniteWork(kernels: kernels.reduction, x: x, results: results, cut: cut), pieces: cut.pieces)
    for piece in 0..<cut.pieces where !results[piece] { return false }
    return true
  }
}

private struct FiniteWork: PieceWork {
  let kernels: ReductionKernels
  let x: UnsafePointer<Float>
  let results: UnsafeMutablePointer<Bool>
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    results[piece] = kernels.isFinite(x + start, count)
  }
}
