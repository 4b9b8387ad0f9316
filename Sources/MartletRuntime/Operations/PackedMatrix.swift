// The right operand of many products, copied once into the order in which the kernels read it.
import MartletKernels

/// Panels of a matrix `[depth, columns]`, each as wide as a register tile and of full depth, one after the other; made by
/// ``Compute/pack(_:columns:depth:into:)``. The layout belongs to one instruction set.
public struct PackedMatrix {
  let panels: UnsafePointer<Float>
  public let columns: Int
  public let depth: Int

  /// - Parameter panels: filled by `pack` for the same numbers.
  public init(panels: UnsafePointer<Float>, columns: Int, depth: Int) {
    self.panels = panels
    self.columns = columns
    self.depth = depth
  }
}

extension Compute {
  /// Memory of ``pack(_:columns:depth:into:)``: the matrix, its columns rounded up to whole vectors.
  public func packedByteCount(columns: Int, depth: Int) -> Int {
    let lanes = kernels.matrix.lanes
    return MatrixBlocking.quotientUp(columns, lanes) * lanes * depth * MemoryLayout<Float>.stride
  }

  /// Copies `B[depth, columns]` for ``multiply(rows:_:_:into:rowStride:tail:workspace:)``.
  public func pack(_ b: MatrixView, columns: Int, depth: Int, into panels: UnsafeMutablePointer<Float>) {
    let width = kernels.matrix.panelColumns
    run(
      PanelPacking(matrix: kernels.matrix, source: b, columns: columns, depth: depth, panels: panels),
      pieces: MatrixBlocking.quotientUp(columns, width))
  }

  /// Scratch memory of ``multiply(rows:_:_:into:rowStride:tail:workspace:)`` for at most so many rows, and any thread count.
  public func packedMultiplyWorkspaceByteCount(rows: Int, columns: Int, depth: Int) -> Int {
    MatrixBlocking(rows: rows, columns: columns, depth: depth, isPacked: true, kernels.matrix).workspaceByteCount
  }

  /// `C[rows, columns] = A[rows, depth] · B[depth, columns]`, then the tail, to the bit as with B unpacked.
  ///
  /// Edge cases: as there. C must not overlap A or B.
  /// Cost: of one row: B is read once.
  public func multiply(
    rows: Int, _ a: MatrixView, _ b: PackedMatrix, into c: UnsafeMutablePointer<Float>, rowStride: Int,
    tail: MatrixTail = MatrixTail(), workspace: UnsafeMutableRawPointer
  ) {
    guard rows > 0, b.columns > 0 else { return }
    run(
      MatrixProduct(
        kernels: kernels.matrix,
        blocking: MatrixBlocking(rows: rows, columns: b.columns, depth: b.depth, isPacked: true, kernels.matrix),
        a: a, b: .packed(b.panels), c: c, cRowStride: rowStride, accumulate: false, tail: tail, workspace: workspace))
  }
}

/// One panel a piece.
private struct PanelPacking: PieceWork {
  let matrix: MatrixKernels
  let source: MatrixView
  let columns: Int
  let depth: Int
  let panels: UnsafeMutablePointer<Float>

  func run(_ piece: Int) {
    let first = piece * matrix.panelColumns
    matrix.packPanel(
      source.data + first * source.columnStride, source.rowStride, source.columnStride, depth,
      min(matrix.panelColumns, columns - first), panels + first * depth)
  }
}
