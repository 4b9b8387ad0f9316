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
  if columnStride == 1 {
    copyRows(I.self, b, rowStride, depth, columns, panel, width)
  } else if rowStride == 1 {
    transposeColumns(b, columnStride, depth, columns, panel, width)
  } else {
    gather(b, rowStride, columnStride, 0..<depth, 0..<columns, panel, width)
  }
  if columns < width {
    for k in 0..<depth {
      for j in columns..<width { panel[k * width + j] = 0 }
    }
  }
}

/// Rows that lie side by side.
@inlinable @inline(__always)
func copyRows<I: InstructionSet>(
  _: I.Type, _ b: UnsafePointer<Float>, _ rowStride: Int, _ depth: Int, _ columns: Int,
  _ panel: UnsafeMutablePointer<Float>, _ width: Int
) {
  let whole = columns / I.lanes * I.lanes
  for k in 0..<depth {
    let source = b + k * rowStride
    let target = panel + k * width
    var j = 0
    while j < whole {
      I.store(I.load(source + j), target + j)
      j += I.lanes
    }
    while j < columns {
      target[j] = source[j]
      j += 1
    }
  }
}

/// Columns each of which is contiguous: 4×4 blocks are transposed in registers, down four columns at a time, so that each
/// cache line of the source is used up while it is near.
@inlinable @inline(__always)
func transposeColumns(
  _ b: UnsafePointer<Float>, _ columnStride: Int, _ depth: Int, _ columns: Int,
  _ panel: UnsafeMutablePointer<Float>, _ width: Int
) {
  let wholeColumns = columns & ~3
  let wholeDepth = depth & ~3
  var j = 0
  while j < wholeColumns {
    var source = UnsafeRawPointer(b + j * columnStride)
    var target = UnsafeMutableRawPointer(panel + j)
    let columnBytes = 4 * columnStride
    let rowBytes = 4 * width
    var k = 0
    while k < wholeDepth {
      let (r0, r1, r2, r3) = transposed(
        source.loadUnaligned(as: SIMD4<Float>.self), (source + columnBytes).loadUnaligned(as: SIMD4<Float>.self),
        (source + 2 * columnBytes).loadUnaligned(as: SIMD4<Float>.self),
        (source + 3 * columnBytes).loadUnaligned(as: SIMD4<Float>.self))
      target.storeBytes(of: r0, as: SIMD2<Double>.self)
      (target + rowBytes).storeBytes(of: r1, as: SIMD2<Double>.self)
      (target + 2 * rowBytes).storeBytes(of: r2, as: SIMD2<Double>.self)
      (target + 3 * rowBytes).storeBytes(of: r3, as: SIMD2<Double>.self)
      source += 16
      target += 4 * rowBytes
      k += 4
    }
    j += 4
  }
  gather(b, 1, columnStride, wholeDepth..<depth, 0..<wholeColumns, panel, width)
  gather(b, 1, columnStride, 0..<depth, wholeColumns..<columns, panel, width)
}

/// The rows of a 4×4 block given by its columns.
///
/// Two neighbours travel as one Float64 in the second half: eight shuffles, where sixteen separate lanes become eleven.
@inlinable @inline(__always)
func transposed(
  _ a: SIMD4<Float>, _ b: SIMD4<Float>, _ c: SIMD4<Float>, _ d: SIMD4<Float>
) -> (SIMD2<Double>, SIMD2<Double>, SIMD2<Double>, SIMD2<Double>) {
  func pairs(_ v: SIMD4<Float>) -> SIMD2<Double> { unsafeBitCast(v, to: SIMD2<Double>.self) }
  let abLow = pairs(SIMD4(a[0], b[0], a[1], b[1]))
  let abHigh = pairs(SIMD4(a[2], b[2], a[3], b[3]))
  let cdLow = pairs(SIMD4(c[0], d[0], c[1], d[1]))
  let cdHigh = pairs(SIMD4(c[2], d[2], c[3], d[3]))
  return (
    SIMD2(abLow[0], cdLow[0]), SIMD2(abLow[1], cdLow[1]), SIMD2(abHigh[0], cdHigh[0]), SIMD2(abHigh[1], cdHigh[1])
  )
}

/// Element by element.
@inlinable @inline(__always)
func gather(
  _ b: UnsafePointer<Float>, _ rowStride: Int, _ columnStride: Int, _ rows: Range<Int>, _ columns: Range<Int>,
  _ panel: UnsafeMutablePointer<Float>, _ width: Int
) {
  for j in columns {
    for k in rows { panel[k * width + j] = b[k * rowStride + j * columnStride] }
  }
}

/// Copies `A[rows, depth]` tile by tile: row i of A begins at `packed[i·depth]` where it begins a tile, and within a tile of r
/// rows (`tileRows`, the last one what is left) element (i, k) lies at `i + k·r`.
@inlinable
public func packRows<I: InstructionSet>(
  _: I.Type, _ a: UnsafePointer<Float>, rowStride: Int, columnStride: Int, rows: Int, depth: Int,
  into packed: UnsafeMutablePointer<Float>
) {
  var first = 0
  while first < rows {
    let count = min(I.tileRows, rows - first)
    let source = a + first * rowStride
    let target = packed + first * depth
    if count == I.tileRows, rowStride == 1 {
      for k in 0..<depth {
        for i in 0..<I.tileRows { target[k * I.tileRows + i] = source[k * columnStride + i] }
      }
    } else {
      for k in 0..<depth {
        for i in 0..<count { target[k * count + i] = source[k * columnStride + i * rowStride] }
      }
    }
    first += count
  }
}
