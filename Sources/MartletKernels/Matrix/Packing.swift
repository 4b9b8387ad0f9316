// Packing: copies of parts of A and B in the order in which the tiles read them.

/// Copies `B[depth, columns]` to a panel: row k at `panel[k·width]`, `width` the columns rounded up to whole vectors. Element (k, j)
/// lies at `b[k·rowStride + j·columnStride]`.
///
/// The padding is zero or a copy of the last column: no one stores its lanes, and lanes do not leak into each other.
@inlinable
public func packPanel<I: InstructionSet>(
  _: I.Type, _ b: UnsafePointer<Float>, rowStride: Int, columnStride: Int, depth: Int, columns: Int,
  into panel: UnsafeMutablePointer<Float>
) {
  let width = (columns + I.lanes - 1) / I.lanes * I.lanes
  if columnStride == 1 {
    copyRows(I.self, b, rowStride, depth, columns, panel, width)
  } else if rowStride == 1 {
    transposeColumns(I.self, b, columnStride, depth, columns, panel, width)
  } else {
    gather(b, rowStride, columnStride, 0..<depth, columns, panel, width)
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
    if j < columns { I.store(I.load(first: columns - j, source + j), target + j) }
  }
}

/// Columns each of which is contiguous, a vector of them at a time, so that each cache line of the source is used up while it is
/// near.
@inlinable @inline(__always)
func transposeColumns<I: InstructionSet>(
  _: I.Type, _ b: UnsafePointer<Float>, _ columnStride: Int, _ depth: Int, _ columns: Int,
  _ panel: UnsafeMutablePointer<Float>, _ width: Int
) {
  let wholeDepth = depth & ~3
  var j = 0
  while j < columns {
    let source = b + j * columnStride
    var k = 0
    if j + I.lanes <= columns {
      while k < wholeDepth {
        I.transpose(
          source + k, count: I.lanes, columnStride: columnStride, into: panel + k * width + j, rowStride: width)
        k += 4
      }
    } else {
      while k < wholeDepth {
        I.transpose(
          source + k, count: columns - j, columnStride: columnStride, into: panel + k * width + j, rowStride: width)
        k += 4
      }
    }
    j += I.lanes
  }
  gather(b, 1, columnStride, wholeDepth..<depth, columns, panel, width)
}

/// Element by element.
@inlinable @inline(__always)
func gather(
  _ b: UnsafePointer<Float>, _ rowStride: Int, _ columnStride: Int, _ rows: Range<Int>, _ columns: Int,
  _ panel: UnsafeMutablePointer<Float>, _ width: Int
) {
  for k in rows {
    for j in 0..<columns { panel[k * width + j] = b[k * rowStride + j * columnStride] }
    for j in columns..<width { panel[k * width + j] = 0 }
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
  if rowStride == 1 {
    // Eight tiles side by side: a line of the source is read whole while it is near. Lines far apart share a set of the cache, so it
    // would be gone before the next tile came for its rest.
    while first + 8 * I.tileRows <= rows {
      packTiles(I.self, 8, a + first, columnStride, depth, packed + first * depth)
      first += 8 * I.tileRows
    }
    while first + I.tileRows <= rows {
      packTiles(I.self, 1, a + first, columnStride, depth, packed + first * depth)
      first += I.tileRows
    }
  }
  if columnStride == 1 {
    while first + I.tileRows <= rows {
      packTile(I.self, a + first * rowStride, rowStride, depth, packed + first * depth)
      first += I.tileRows
    }
  }
  while first < rows {
    let count = min(I.tileRows, rows - first)
    let source = a + first * rowStride
    let target = packed + first * depth
    for k in 0..<depth {
      for i in 0..<count { target[k * count + i] = source[k * columnStride + i * rowStride] }
    }
    first += count
  }
}

/// A whole tile of rows whose values lie side by side.
@inlinable @inline(__always)
func packTile<I: InstructionSet>(
  _: I.Type, _ a: UnsafePointer<Float>, _ rowStride: Int, _ depth: Int, _ packed: UnsafeMutablePointer<Float>
) {
  var source = a
  var target = packed
  let end = a + depth
  while source != end {
    for i in 0..<I.tileRows { target[i] = source[i * rowStride] }
    source += 1
    target += I.tileRows
  }
}

/// Whole tiles of rows that lie side by side.
@inlinable @inline(__always)
func packTiles<I: InstructionSet>(
  _: I.Type, _ tiles: Int, _ a: UnsafePointer<Float>, _ columnStride: Int, _ depth: Int, _ packed: UnsafeMutablePointer<Float>
) {
  for k in 0..<depth {
    var source = UnsafeRawPointer(a + k * columnStride)
    var target = UnsafeMutableRawPointer(packed + k * I.tileRows)
    for _ in 0..<tiles {
      // Two floats at a time: a tile has an even number of rows.
      for i in 0..<I.tileRows / 2 {
        target.storeBytes(
          of: source.loadUnaligned(fromByteOffset: 8 * i, as: UInt64.self), toByteOffset: 8 * i, as: UInt64.self)
      }
      source += 4 * I.tileRows
      target += 4 * I.tileRows * depth
    }
  }
}
