// The table of matrix kernels.

public struct MatrixKernels: Sendable {
  /// Widest panel of ``multiplyPanel``.
  public let panelColumns: Int
  /// Widest panel of one row.
  public let rowColumns: Int
  /// Most columns of one row of ``multiplyPackedRow``; a whole number of panels.
  public let packedRowColumns: Int
  /// Float32 lanes of one vector.
  public let lanes: Int
  /// Rows of the tallest tile.
  public let tileRows: Int
  /// `C[rows, columns] (+)= A · B` for one panel of B.
  public let multiplyPanel: @Sendable (_ product: PanelProduct) -> Void
  /// `C[1, columns] = A · B` for panels packed beforehand.
  public let multiplyPackedRow: @Sendable (_ product: PackedRowProduct<Float>) -> Void
  /// The same for panels of half-precision numbers.
  public let multiplyHalfRow: @Sendable (_ product: PackedRowProduct<Half>) -> Void
  /// (halves, count, floats): a part of a panel as Float32.
  public let widenHalves: @Sendable (UnsafePointer<Half>, Int, UnsafeMutablePointer<Float>) -> Void
  /// (b, rowStride, columnStride, depth, columns, panel): one panel of B in the order of reading.
  public let packPanel: @Sendable (UnsafePointer<Float>, Int, Int, Int, Int, UnsafeMutablePointer<Float>) -> Void
  /// (a, rowStride, columnStride, rows, depth, packed): rows of A with each column's values side by side.
  public let packRows: @Sendable (UnsafePointer<Float>, Int, Int, Int, Int, UnsafeMutablePointer<Float>) -> Void
  /// (c, rowStride, rows, columns, tail): what follows the product, in place.
  public let applyTail: @Sendable (UnsafeMutablePointer<Float>, Int, Int, Int, ProductTail) -> Void

  @inlinable
  public init<I: InstructionSet>(_ set: I.Type) {
    panelColumns = I.tileVectors * I.lanes
    rowColumns = I.rowVectors * I.lanes
    packedRowColumns = 8 * I.lanes
    lanes = I.lanes
    tileRows = I.tileRows
    multiplyPanel = { MartletKernels.multiplyPanel(I.self, $0) }
    multiplyPackedRow = { MartletKernels.multiplyPackedRow(I.self, $0) }
    multiplyHalfRow = { MartletKernels.multiplyPackedRow(I.self, $0) }
    widenHalves = { MartletKernels.widenHalves(I.self, $0, count: $1, into: $2) }
    packPanel = { MartletKernels.packPanel(I.self, $0, rowStride: $1, columnStride: $2, depth: $3, columns: $4, into: $5) }
    packRows = { MartletKernels.packRows(I.self, $0, rowStride: $1, columnStride: $2, rows: $3, depth: $4, into: $5) }
    applyTail = { MartletKernels.applyTail(I.self, $0, rowStride: $1, rows: $2, columns: $3, $4) }
  }
}
