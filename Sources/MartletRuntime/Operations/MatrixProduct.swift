// One matrix product under way: what a piece of it computes.
import MartletKernels

/// The operands of one product and its cuts; every thread reads it, none writes it.
struct MatrixProduct {
  let kernels: MatrixKernels
  let blocking: MatrixBlocking
  let a: MatrixView
  let b: OperandB
  let c: UnsafeMutablePointer<Float>
  let cRowStride: Int
  let accumulate: Bool
  let tail: MatrixTail
  let slots: WorkspaceSlots
  /// Where C's rows lie end to end: what gathers their moments. Through a pointer, so that a product without moments costs one row no
  /// more than before.
  var moments: UnsafePointer<OutputMomentsGathering>?

  /// The right operand: where it lies, or its panels, packed beforehand.
  enum OperandB {
    case view(MatrixView)
    case packed(UnsafePointer<Float>)
    /// Packed, and each number rounded to half precision.
    case packedHalves(UnsafePointer<Half>)
  }

  /// Rows from which a copy of B pays although B could be read in place.
  private static var rowsWorthPacking: Int { 96 }

  /// Floats between neighbours of a row of A (a column of its transpose) from which each lies in a page of its own and many
  /// share a set of the cache.
  private static var farApart: Int { 512 }

  /// Columns that pay for a copy of A whose rows lie side by side already: rows far apart share a few sets of the cache.
  private static var columnsWorthPacking: Int { 512 }

  func computePiece(_ piece: Int) {
    let strips = blocking.stripRange(piece)
    let rows = blocking.rowRange(piece)
    let taken = slots.take()
    defer { slots.giveBack(taken.index) }
    let slot = blocking.parts(taken.memory)
    if blocking.rows == 1 {
      switch b {
      case .packed(let panels):
        for strip in strips { computePackedRow(panels, strip, slot.edge, kernels.multiplyPackedRow) }
        return
      case .packedHalves(let panels):
        for strip in strips { computePackedRow(panels, strip, slot.edge, kernels.multiplyHalfRow) }
        return
      case .view: break
      }
    }
    var row = rows.lowerBound
    let height = blocking.blockHeight(of: rows.count)
    while row < rows.upperBound {
      let block = row..<min(row + height, rows.upperBound)
      computeBlock(block, strips, slot.panel, slot.edge, slot.rows)
      if let moments {
        for columns in blocking.momentColumns(piece) {
          moments.pointee.gather(
            c + block.lowerBound * cRowStride + columns.lowerBound, rows: block.count, columns: columns,
            chunk: piece / blocking.columnPieces, before: block.lowerBound - rows.lowerBound, piece: piece)
        }
      }
      row = block.upperBound
    }
  }

  /// The rows of one block: groups of depth outside, strips inside, so that the group's part of A is read from the nearby cache; and
  /// within a strip one depth after the other, so that its part of C is still there to be added to.
  private func computeBlock(
    _ rows: Range<Int>, _ strips: Range<Int>, _ panel: UnsafeMutablePointer<Float>, _ edge: UnsafeMutablePointer<Float>,
    _ packedRows: UnsafeMutablePointer<Float>
  ) {
    let packsA = packsRows(rows.count, strips)
    let groupDepth = blocking.groupDepth(rows: rows.count)
    var group = 0
    repeat {
      let end = min(group + groupDepth, blocking.depth)
      let depths = stride(from: group, to: max(end, group + 1), by: MatrixBlocking.depthBlock)
      if packsA {
        for depth in depths {
          kernels.packRows(
            a.data + rows.lowerBound * a.rowStride + depth * a.columnStride, a.rowStride, a.columnStride, rows.count,
            min(MatrixBlocking.depthBlock, end - depth), packedRows + (depth - group) * rows.count)
        }
      }
      for strip in strips {
        let columns = blocking.columnRange(strip: strip)
        for depth in depths {
          let block = depth..<min(depth + MatrixBlocking.depthBlock, end)
          var part = PanelProduct(
            rows: rows.count, columns: columns.count, depth: block.count,
            a: a.data + rows.lowerBound * a.rowStride + depth * a.columnStride, aRowStride: a.rowStride,
            aDepthStride: a.columnStride, aTileStride: a.rowStride, b: panel, bDepthStride: 0,
            c: c + rows.lowerBound * cRowStride + columns.lowerBound, cRowStride: cRowStride,
            accumulate: accumulate || depth > 0, edge: edge)
          placeB(&part, rows: rows.count, block, columns, panel)
          if packsA { multiplyPacked(&part, packedRows + (depth - group) * rows.count) } else { kernels.multiplyPanel(part) }
        }
        if end == blocking.depth { applyTail(rows, columns) }
      }
      group = end
    } while group < blocking.depth
  }

  /// Whether so many rows of A are copied for the strips, into the order in which tiles read them.
  private func packsRows(_ rows: Int, _ strips: Range<Int>) -> Bool {
    if a.columnStride != 1 { return a.rowStride != 1 || (a.columnStride >= Self.farApart && strips.count > 1) }
    return rows >= kernels.tileRows && strips.count * kernels.panelColumns >= Self.columnsWorthPacking
  }

  /// The only row, across the panels of one strip.
  private func computePackedRow<Element: PanelElement>(
    _ panels: UnsafePointer<Element>, _ strip: Int, _ edge: UnsafeMutablePointer<Float>,
    _ multiply: (PackedRowProduct<Element>) -> Void
  ) {
    let columns = blocking.columnRange(strip: strip)
    multiply(
      PackedRowProduct(
        columns: columns.count, depth: blocking.depth, depthBlock: MatrixBlocking.depthBlock, a: a.data,
        aStride: a.columnStride, b: panels + columns.lowerBound * blocking.depth, c: c + columns.lowerBound, edge: edge))
    applyTail(0..<1, columns)
  }

  /// Reads B where it was packed, or in place; else copies the panel.
  private func placeB(
    _ part: inout PanelProduct, rows: Int, _ depths: Range<Int>, _ columns: Range<Int>, _ panel: UnsafeMutablePointer<Float>
  ) {
    let width = MatrixBlocking.quotientUp(columns.count, kernels.lanes) * kernels.lanes
    let b: MatrixView
    switch self.b {
    case .packed(let panels):
      // The panels before this one are whole: `columns.lowerBound` columns of full depth.
      part.b = panels + columns.lowerBound * blocking.depth + depths.lowerBound * width
      part.bDepthStride = width
      return
    case .packedHalves(let panels):
      kernels.widenHalves(
        panels + columns.lowerBound * blocking.depth + depths.lowerBound * width, depths.count * width, panel)
      part.bDepthStride = width
      return
    case .view(let view): b = view
    }
    let source = b.data + depths.lowerBound * b.rowStride + columns.lowerBound * b.columnStride
    if readsInPlace(b, columns, rows) {
      part.b = source
      part.bDepthStride = b.rowStride
    } else {
      kernels.packPanel(source, b.rowStride, b.columnStride, depths.count, columns.count, panel)
      part.bDepthStride = width
    }
  }

  /// Whether a panel's rows are contiguous, whole vectors wide and used few times.
  private func readsInPlace(_ b: MatrixView, _ columns: Range<Int>, _ rows: Int) -> Bool {
    b.columnStride == 1 && b.rowStride != 0 && columns.count % kernels.lanes == 0 && rows < Self.rowsWorthPacking
  }

  /// The whole tiles, then the last, lower one: their columns are of different lengths.
  private func multiplyPacked(_ part: inout PanelProduct, _ packedRows: UnsafeMutablePointer<Float>) {
    let rows = part.rows
    let whole = rows / kernels.tileRows * kernels.tileRows
    part.a = UnsafePointer(packedRows)
    part.aRowStride = 1
    part.aDepthStride = kernels.tileRows
    part.aTileStride = part.depth
    part.rows = whole
    kernels.multiplyPanel(part)
    if whole < rows {
      part.a += whole * part.depth
      part.aDepthStride = rows - whole
      part.aTileStride = 1
      part.rows = rows - whole
      part.c += whole * cRowStride
      kernels.multiplyPanel(part)
    }
  }

  private func applyTail(_ rows: Range<Int>, _ columns: Range<Int>) {
    if !tail.isPresent { return }
    let first = rows.lowerBound * cRowStride + columns.lowerBound
    kernels.applyTail(
      c + first, cRowStride, rows.count, columns.count, tail.kernelTail(from: columns.lowerBound, element: first))
  }
}
