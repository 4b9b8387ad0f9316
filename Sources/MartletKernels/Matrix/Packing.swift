// Packing: copies of parts of A and B in the order in which the tiles read them.

/// Copies `B[depth, columns]` to a panel: row k at `panel[k·width]`, `width` the columns rounded up to whole vectors, the
/// padding zero. Element (k, j) lies at `b[k·rowStride + j·columnStride]`.
///
/// A padding lane multiplies zeros into lanes that no one stores: what A holds there, infinities included, cannot leak.
@inlinable
public func packPanel<I: InstructionSet>(
  _: I.Type, _ b: UnsafePointer<Float>, rowStride: Int, columnStride: Int, depth: Int, columns: Int,
  into panel: UnsafeMutablePointer<Float>
) {
  let width = (columns + I.lanes - 1) / I.lanes * I.lanes
  var column = 0
  while column < columns {
    let count = min(I.lanes, columns - column)
    let source = b + column * columnStride
    let target = panel + column
    if columnStride == 1 {
      copyColumns(I.self, source, rowStride: rowStride, depth: depth, count: count, target, width)
    } else if rowStride == 1 && count == I.lanes {
      transposeColumns(I.self, source, columnStride: columnStride, depth: depth, target, width)
    } else {
      gatherColumns(I.self, source, rowStride, columnStride, 0..<depth, count, target, width)
    }
    column += I.lanes
  }
}

/// One vector of columns whose rows lie side by side.
@inlinable @inline(__always)
func copyColumns<I: InstructionSet>(
  _: I.Type, _ b: UnsafePointer<Float>, rowStride: Int, depth: Int, count: Int, _ panel: UnsafeMutablePointer<Float>,
  _ width: Int
) {
  for k in 0..<depth {
    let row = b + k * rowStride
    I.store(count == I.lanes ? I.load(row) : I.load(first: count, row), panel + k * width)
  }
}

/// One vector of columns each of which is contiguous: 4×4 blocks are transposed in registers.
@inlinable @inline(__always)
func transposeColumns<I: InstructionSet>(
  _: I.Type, _ b: UnsafePointer<Float>, columnStride: Int, depth: Int, _ panel: UnsafeMutablePointer<Float>, _ width: Int
) {
  var k = 0
  while k + 4 <= depth {
    let column = b + k
    let (r0, r1, r2, r3) = I.transposedQuads(
      I.quads(column, stride: columnStride), I.quads(column + columnStride, stride: columnStride),
      I.quads(column + 2 * columnStride, stride: columnStride), I.quads(column + 3 * columnStride, stride: columnStride))
    let row = panel + k * width
    I.store(r0, row)
    I.store(r1, row + width)
    I.store(r2, row + 2 * width)
    I.store(r3, row + 3 * width)
    k += 4
  }
  gatherColumns(I.self, b, 1, columnStride, k..<depth, I.lanes, panel, width)
}

/// At most one vector of columns, element by element.
@inlinable @inline(__always)
func gatherColumns<I: InstructionSet>(
  _: I.Type, _ b: UnsafePointer<Float>, _ rowStride: Int, _ columnStride: Int, _ rows: Range<Int>, _ count: Int,
  _ panel: UnsafeMutablePointer<Float>, _ width: Int
) {
  for k in rows {
    let source = b + k * rowStride
    let target = panel + k * width
    for j in 0..<count { target[j] = source[j * columnStride] }
    for j in count..<I.lanes { target[j] = 0 }
  }
}

/// Copies `A[rows, depth]` so that the values of one column lie side by side: element (i, k) goes to `packed[k·rows + i]`.
@inlinable
public func packRows<I: InstructionSet>(
  _: I.Type, _ a: UnsafePointer<Float>, rowStride: Int, columnStride: Int, rows: Int, depth: Int,
  into packed: UnsafeMutablePointer<Float>
) {
  for k in 0..<depth {
    let source = a + k * columnStride
    let target = packed + k * rows
    for i in 0..<rows { target[i] = source[i * rowStride] }
  }
}
