// The right operand of many products, copied once into the order in which the kernels read it.
import MartletKernels

/// Panels of a matrix `[depth, columns]`, each as wide as a register tile and of full depth, one after the other; made by
/// ``Compute/pack(_:columns:depth:into:)``. The layout belongs to one instruction set.
public struct PackedMatrix {
  enum Panels {
    case floats(UnsafePointer<Float>)
    case halves(UnsafePointer<Half>)
  }

  let panels: Panels
  public let columns: Int
  public let depth: Int

  /// - Parameter panels: filled by `pack` for the same numbers.
  public init(panels: UnsafePointer<Float>, columns: Int, depth: Int) {
    self.panels = .floats(panels)
    self.columns = columns
    self.depth = depth
  }

  /// - Parameter halves: those panels, rounded by ``Compute/roundToHalves(_:count:into:)``.
  public init(halves: UnsafeRawPointer, columns: Int, depth: Int) {
    panels = .halves(halves.assumingMemoryBound(to: Half.self))
    self.columns = columns
    self.depth = depth
  }

  fileprivate var operand: MatrixProduct.OperandB {
    switch panels {
    case .floats(let panels): .packed(panels)
    case .halves(let panels): .packedHalves(panels)
    }
  }

  fileprivate var isHalf: Bool {
    if case .halves = panels { true } else { false }
  }
}

extension Compute {
  /// Memory of ``pack(_:columns:depth:into:)``: the matrix, its columns rounded up to whole vectors.
  public func packedByteCount(columns: Int, depth: Int) -> Int {
    let lanes = kernels.matrix.lanes
    return MatrixBlocking.quotientUp(columns, lanes) * lanes * depth * MemoryLayout<Float>.stride
  }

  /// Copies `B[depth, columns]` for ``multiply(rows:_:_:into:rowStride:tail:workspace:)``; padding lanes hold finite numbers if B does.
  public func pack(_ b: MatrixView, columns: Int, depth: Int, into panels: UnsafeMutablePointer<Float>) {
    let width = kernels.matrix.panelColumns
    run(
      PanelPacking(matrix: kernels.matrix, source: b, columns: columns, depth: depth, panels: panels),
      pieces: MatrixBlocking.quotientUp(columns, width))
  }

  /// Multiplies each column of packed panels by the power of two that brings its largest magnitude to 2⁸ up to 2⁹: then
  /// ``roundToHalves(_:count:into:)`` keeps 11 bits of every number down to 2⁻²² of the largest, and the product's sums are far from both
  /// ends of Float32's range.
  ///
  /// - Parameter inverses: receives what a product's column is multiplied by to take that back, `columns` powers of two. Columns of zeros have 1.
  /// - Returns: false, with the panels half changed, if a number is not finite, or a column's largest magnitude is below 2⁻¹¹⁸.
  public func scalePanels(
    _ panels: UnsafeMutablePointer<Float>, columns: Int, depth: Int, inverses: UnsafeMutablePointer<Float>
  ) -> Bool {
    let (panelColumns, lanes) = (kernels.matrix.panelColumns, kernels.matrix.lanes)
    for first in stride(from: 0, to: columns, by: panelColumns) {
      let count = min(panelColumns, columns - first)
      let width = MatrixBlocking.quotientUp(count, lanes) * lanes
      let panel = panels + first * depth
      for j in 0..<count {
        var largest: Float = 0
        for k in 0..<depth {
          let magnitude = panel[k * width + j].magnitude
          // NaN, too.
          guard magnitude <= .greatestFiniteMagnitude else { return false }
          largest = max(largest, magnitude)
        }
        guard largest == 0 || largest >= 0x1p-118 else { return false }
        let scale = largest == 0 ? 1 : Float(sign: .plus, exponent: 8 - Int(largest.exponent), significand: 1)
        inverses[first + j] = 1 / scale
        for k in 0..<depth { panel[k * width + j] *= scale }
      }
      // Nobody reads these lanes' sums; zeros fit the format.
      for j in count..<width { for k in 0..<depth { panel[k * width + j] = 0 } }
    }
    return true
  }

  /// Rounds each of `count` numbers to the nearest half-precision one, 2 bytes each.
  ///
  /// - Returns: false if one has no such neighbour (NaN, or a magnitude of 65520 or more); then `halves` means nothing.
  public func roundToHalves(_ floats: UnsafePointer<Float>, count: Int, into halves: UnsafeMutableRawPointer) -> Bool {
    let target = halves.assumingMemoryBound(to: Half.self)
    for i in 0..<count {
      guard let half = Half(rounding: floats[i]) else { return false }
      target[i] = half
    }
    return true
  }

  /// Scratch memory of ``multiply(rows:_:_:into:rowStride:tail:workspace:)`` for at most so many rows, and any thread count.
  public func packedMultiplyWorkspaceByteCount(rows: Int, columns: Int, depth: Int, areHalves: Bool = false) -> Int {
    MatrixBlocking(rows: rows, columns: columns, depth: depth, b: areHalves ? .halves : .packed, kernels.matrix)
      .workspaceByteCount
  }

  /// `C[rows, columns] = A[rows, depth] · B[depth, columns]`, then the tail, to the bit as with B unpacked (and rounded, if its
  /// numbers were).
  ///
  /// Edge cases: as there. C must not overlap A or B.
  /// Cost: of one row: B is read once.
  public func multiply(
    rows: Int, _ a: MatrixView, _ b: PackedMatrix, into c: UnsafeMutablePointer<Float>, rowStride: Int,
    tail: MatrixTail = MatrixTail(), workspace: UnsafeMutableRawPointer, moments: UnsafeMutableRawPointer? = nil
  ) {
    guard rows > 0, b.columns > 0 else { return }
    let blocking = MatrixBlocking(
      rows: rows, columns: b.columns, depth: b.depth, b: b.isHalf ? .halves : .packed, isShared: pool.threadCount > 1,
      hasMoments: moments != nil, kernels.matrix)
    run(
      MatrixProduct(
        kernels: kernels.matrix, blocking: blocking, a: a, b: b.operand, c: c, cRowStride: rowStride, accumulate: false,
        tail: tail, slots: blocking.slots(workspace)), moments)
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
