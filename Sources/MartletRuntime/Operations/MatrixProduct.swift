// One matrix product under way: what a piece of it computes.
import MartletKernels

/// The operands of one product and its cuts; every thread reads it, none writes it.
struct MatrixProduct {
  let kernels: MatrixKernels
  let blocking: MatrixBlocking
  let a: MatrixView
  let b: MatrixView
  let c: UnsafeMutablePointer<Float>
  let cRowStride: Int
  let accumulate: Bool
  let tail: MatrixTail
  let workspace: UnsafeMutableRawPointer

  /// Rows from which a copy of B pays although B could be read in place.
  private static var rowsWorthPacking: Int { 96 }

  func computePiece(_ piece: Int) {
    let strips = blocking.stripRange(piece)
    let rows = blocking.rowRange(piece)
    let slot = blocking.slot(piece, workspace)
    var row = rows.lowerBound
    while row < rows.upperBound {
      let block = row..<min(row + MatrixBlocking.rowsPerBlock, rows.upperBound)
      computeBlock(block, strips, slot.panel, slot.edge, slot.rows)
      row = block.upperBound
    }
  }

  /// The rows of one block: depth outside, strips inside, so that the block's part of A is read from the nearby cache.
  private func computeBlock(
    _ rows: Range<Int>, _ strips: Range<Int>, _ panel: UnsafeMutablePointer<Float>, _ edge: UnsafeMutablePointer<Float>,
    _ packedRows: UnsafeMutablePointer<Float>
  ) {
    var depth = 0
    repeat {
      let depths = depth..<min(depth + MatrixBlocking.depthBlock, blocking.depth)
      for strip in strips {
        let columns = blocking.columnRange(strip: strip)
        var part = PanelProduct(
          rows: rows.count, columns: columns.count, depth: depths.count, a: a.data, aRowStride: 0, aDepthStride: 0,
          b: panel, bDepthStride: 0, c: c + columns.lowerBound, cRowStride: cRowStride,
          accumulate: accumulate || depth > 0, edge: edge)
        placeB(&part, rows: rows.count, depths, columns, panel)
        multiply(&part, rows, depths, packedRows)
        if depths.upperBound == blocking.depth { applyTail(rows, columns) }
      }
      depth = depths.upperBound
    } while depth < blocking.depth
  }

  /// Reads B in place where its rows are contiguous, whole vectors wide and used few times; else copies the panel.
  private func placeB(
    _ part: inout PanelProduct, rows: Int, _ depths: Range<Int>, _ columns: Range<Int>, _ panel: UnsafeMutablePointer<Float>
  ) {
    let source = b.data + depths.lowerBound * b.rowStride + columns.lowerBound * b.columnStride
    if b.columnStride == 1, columns.count % kernels.lanes == 0, rows < Self.rowsWorthPacking {
      part.b = source
      part.bDepthStride = b.rowStride
    } else {
      kernels.packPanel(source, b.rowStride, b.columnStride, depths.count, columns.count, panel)
      part.bDepthStride = MatrixBlocking.quotientUp(columns.count, kernels.lanes) * kernels.lanes
    }
  }

  /// Reads A in place where either of its strides is 1; else copies a few rows at a time.
  private func multiply(
    _ part: inout PanelProduct, _ rows: Range<Int>, _ depths: Range<Int>, _ packedRows: UnsafeMutablePointer<Float>
  ) {
    let c = part.c
    func source(_ row: Int) -> UnsafePointer<Float> { a.data + row * a.rowStride + depths.lowerBound * a.columnStride }
    if a.columnStride == 1 || a.rowStride == 1 {
      part.a = source(rows.lowerBound)
      part.aRowStride = a.rowStride
      part.aDepthStride = a.columnStride
      part.c = c + rows.lowerBound * cRowStride
      kernels.multiplyPanel(part)
      return
    }
    for first in stride(from: rows.lowerBound, to: rows.upperBound, by: MatrixBlocking.packedRows) {
      part.rows = min(MatrixBlocking.packedRows, rows.upperBound - first)
      kernels.packRows(source(first), a.rowStride, a.columnStride, part.rows, depths.count, packedRows)
      part.a = UnsafePointer(packedRows)
      part.aRowStride = 1
      part.aDepthStride = part.rows
      part.c = c + first * cRowStride
      kernels.multiplyPanel(part)
    }
  }

  private func applyTail(_ rows: Range<Int>, _ columns: Range<Int>) {
    if tail.bias == nil, tail.multiplier == nil, tail.offset == nil, tail.activation == .identity { return }
    kernels.applyTail(
      c + rows.lowerBound * cRowStride + columns.lowerBound, cRowStride, rows.count, columns.count,
      ProductTail(
        bias: tail.bias.map { $0 + columns.lowerBound }, multiplier: tail.multiplier.map { $0 + columns.lowerBound },
        offset: tail.offset.map { $0 + columns.lowerBound }, activation: tail.activation.rawValue))
  }
}
