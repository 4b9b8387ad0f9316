// A block of rows of A times one panel of B: the loop that does the arithmetic of every matrix product.

/// `C[rows, columns] (+)= A[rows, depth] · B[depth, columns]` for one panel, at most `MatrixKernels.panelColumns` wide, or
/// `MatrixKernels.rowColumns` if it has one row.
@frozen
public struct PanelProduct {
  public var rows: Int
  public var columns: Int
  public var depth: Int
  /// The first row of A. Within a tile, element (i, k) lies at `a[i·aRowStride + k·aDepthStride]`; one of the strides is 1.
  public var a: UnsafePointer<Float>
  public var aRowStride: Int
  public var aDepthStride: Int
  /// From tile to tile, row i begins at `a[i·aTileStride]`: `aRowStride`, or the depth where tiles were packed one after the other.
  public var aTileStride: Int
  /// Row k of the panel lies at `b[k·bDepthStride]`, and is readable to a whole number of vectors; not 0.
  public var b: UnsafePointer<Float>
  public var bDepthStride: Int
  public var c: UnsafeMutablePointer<Float>
  public var cRowStride: Int
  /// Adds to C instead of writing it.
  public var accumulate: Bool
  /// Room for the largest tile, `MatrixKernels.tileRows · panelColumns`: there it lands whole where C is not a whole number of vectors wide.
  public var edge: UnsafeMutablePointer<Float>

  @inlinable
  public init(
    rows: Int, columns: Int, depth: Int, a: UnsafePointer<Float>, aRowStride: Int, aDepthStride: Int,
    aTileStride: Int, b: UnsafePointer<Float>, bDepthStride: Int, c: UnsafeMutablePointer<Float>, cRowStride: Int,
    accumulate: Bool,
    edge: UnsafeMutablePointer<Float>
  ) {
    self.rows = rows
    self.columns = columns
    self.depth = depth
    self.a = a
    self.aRowStride = aRowStride
    self.aDepthStride = aDepthStride
    self.aTileStride = aTileStride
    self.b = b
    self.bDepthStride = bDepthStride
    self.c = c
    self.cRowStride = cRowStride
    self.accumulate = accumulate
    self.edge = edge
  }
}

/// Each element is one chain of multiply-adds in order of depth, whatever tile it falls into: tiles differ in size only.
@inlinable
public func multiplyPanel<I: InstructionSet>(_: I.Type, _ p: PanelProduct) {
  typealias Two = Joined<Single<I>, Single<I>>
  typealias Four = Joined<Two, Two>
  let vectors = (p.columns + I.lanes - 1) / I.lanes
  if I.rowVectors > I.tileVectors, p.rows == 1, vectors > 2 {
    switch vectors {
    case 3: multiplyRow(Joined<Two, Single<I>>.self, p)
    case 4: multiplyRow(Four.self, p)
    case 5: multiplyRow(Joined<Four, Single<I>>.self, p)
    case 6: multiplyRow(Joined<Four, Two>.self, p)
    case 7: multiplyRow(Joined<Four, Joined<Two, Single<I>>>.self, p)
    default: multiplyRow(Joined<Four, Four>.self, p)
    }
  } else if I.tileVectors == 2 {
    if vectors == 1 { multiplyRows(Single<I>.self, p) } else { multiplyRows(Two.self, p) }
  } else {
    switch vectors {
    case 1: multiplyRows(Single<I>.self, p)
    case 2: multiplyRows(Two.self, p)
    case 3: multiplyRows(Joined<Two, Single<I>>.self, p)
    default: multiplyRows(Four.self, p)
    }
  }
}

/// How A lies within a tile. A type, so that the stride of 1 is a constant in the loop: as an argument it came in a register, and each
/// address was an addition (168 instructions for four steps of depth, where rows that lie side by side took 148).
public protocol TileOrder {
  static func rowStride(_ p: PanelProduct) -> Int
  static func depthStride(_ p: PanelProduct) -> Int
}

/// Each row's values lie side by side.
public enum ContiguousRows: TileOrder {
  @inlinable @inline(__always)
  public static func rowStride(_ p: PanelProduct) -> Int { p.aRowStride }
  @inlinable @inline(__always)
  public static func depthStride(_ p: PanelProduct) -> Int { 1 }
}

/// Each column's values lie side by side: A is a transpose, or was packed.
public enum ContiguousColumns: TileOrder {
  @inlinable @inline(__always)
  public static func rowStride(_ p: PanelProduct) -> Int { 1 }
  @inlinable @inline(__always)
  public static func depthStride(_ p: PanelProduct) -> Int { p.aDepthStride }
}

/// There is no second row.
public enum OnlyRow: TileOrder {
  @inlinable @inline(__always)
  public static func rowStride(_ p: PanelProduct) -> Int { 0 }
  @inlinable @inline(__always)
  public static func depthStride(_ p: PanelProduct) -> Int { p.aDepthStride }
}

/// A panel of one row, in a single tile.
@inlinable @inline(__always)
func multiplyRow<Row: TileRow>(_: Row.Type, _ p: PanelProduct) {
  multiplyTile(OneRow<Row>.self, OnlyRow.self, p, 0)
}

/// The panel from top to bottom, in the tallest tiles that fit.
@inlinable @inline(__always)
func multiplyRows<Row: TileRow>(_: Row.Type, _ p: PanelProduct) {
  if p.aDepthStride == 1 {
    multiplyRows(Row.self, ContiguousRows.self, p)
  } else {
    multiplyRows(Row.self, ContiguousColumns.self, p)
  }
}

@inlinable @inline(__always)
func multiplyRows<Row: TileRow, Order: TileOrder>(_: Row.Type, _: Order.Type, _ p: PanelProduct) {
  typealias One = OneRow<Row>
  typealias Two = Stacked<One, One>
  typealias Four = Stacked<Two, Two>
  typealias Six = Stacked<Four, Two>
  var i = 0
  if Row.vectors == 1, p.aTileStride == p.aRowStride {
    // A narrow tile of six rows has too few independent sums to hide the latency of the additions (packed rows come in sixes).
    while i + 12 <= p.rows {
      multiplyTile(Stacked<Six, Six>.self, Order.self, p, i)
      i += 12
    }
  }
  while i + 6 <= p.rows {
    multiplyTile(Six.self, Order.self, p, i)
    i += 6
  }
  if i + 4 <= p.rows {
    multiplyTile(Four.self, Order.self, p, i)
    i += 4
  }
  if i + 2 <= p.rows {
    multiplyTile(Two.self, Order.self, p, i)
    i += 2
  }
  if i < p.rows { multiplyTile(One.self, Order.self, p, i) }
}

@inlinable @inline(__always)
func multiplyTile<Rows: TileRows, Order: TileOrder>(_: Rows.Type, _: Order.Type, _ p: PanelProduct, _ row: Int) {
  let aRowStride = Order.rowStride(p)
  let aDepthStride = Order.depthStride(p)
  var tile = Rows.zero
  // C is wanted when the depth is summed: from a far cache it takes as long to come.
  let c = p.c + row * p.cRowStride
  for i in 0..<Rows.count {
    for v in 0..<Rows.Row.vectors { Rows.Row.I.prefetch(c + i * p.cRowStride + v * Rows.Row.I.lanes) }
  }
  var a = p.a + row * p.aTileStride
  var b = p.b
  // Four steps a turn: addresses and the count are a fifth of a step's instructions, and a processor that shares its core with a
  // neighbour has none to spare. B's pointer counts, so that its stride must not be 0.
  let fours = b + (p.depth & ~3) * p.bDepthStride
  while b != fours {
    tile.addOuterProduct(a, rowStride: aRowStride, Rows.Row.load(b))
    tile.addOuterProduct(a + aDepthStride, rowStride: aRowStride, Rows.Row.load(b + p.bDepthStride))
    tile.addOuterProduct(a + 2 * aDepthStride, rowStride: aRowStride, Rows.Row.load(b + 2 * p.bDepthStride))
    tile.addOuterProduct(a + 3 * aDepthStride, rowStride: aRowStride, Rows.Row.load(b + 3 * p.bDepthStride))
    a += 4 * aDepthStride
    b += 4 * p.bDepthStride
  }
  let end = p.b + p.depth * p.bDepthStride
  while b != end {
    tile.addOuterProduct(a, rowStride: aRowStride, Rows.Row.load(b))
    a += aDepthStride
    b += p.bDepthStride
  }
  let width = Rows.Row.vectors * Rows.Row.I.lanes
  if p.columns < width {
    tile.store(p.edge, rowStride: width)
    copyEdge(Rows.Row.I.self, p, Rows.count, width, c)
  } else if p.accumulate {
    tile.add(to: c, rowStride: p.cRowStride)
  } else {
    tile.store(c, rowStride: p.cRowStride)
  }
}

/// Moves the part of a tile that C has from `edge` to C.
@inlinable @inline(never)
func copyEdge<I: InstructionSet>(
  _: I.Type, _ p: PanelProduct, _ rows: Int, _ width: Int, _ c: UnsafeMutablePointer<Float>
) {
  let whole = p.columns / I.lanes * I.lanes
  let rest = p.columns - whole
  for i in 0..<rows {
    let source = UnsafePointer(p.edge + i * width)
    let target = c + i * p.cRowStride
    var j = 0
    while j < whole {
      let v = I.load(source + j)
      I.store(p.accumulate ? I.load(target + j) + v : v, target + j)
      j += I.lanes
    }
    if rest > 0 {
      let v = I.load(first: rest, source + j)
      I.store(first: rest, p.accumulate ? I.load(first: rest, target + j) + v : v, target + j)
    }
  }
}
