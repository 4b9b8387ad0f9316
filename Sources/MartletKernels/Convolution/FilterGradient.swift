// Windows of the input times gradients of the output, summed over positions: the filters' gradient.

/// A run of positions whose windows and gradients each lie one stride apart: a row of the output.
@frozen
public struct PositionRun {
  public var x: Int
  public var gradient: Int

  @inlinable
  public init(x: Int, gradient: Int) {
    self.x = x
    self.gradient = gradient
  }
}

/// `C[i, j] (+)= Σ_runs Σ_p x[run.x + p·xStride + i]·g[run.gradient + p·gradientStride + j]`, p below `length`; at most
/// `ConvolutionKernels.panelColumns` columns.
@frozen
public struct FilterGradientProduct {
  public var rows: Int
  public var columns: Int
  public var x: UnsafePointer<Float>
  public var xStride: Int
  /// Where row i begins instead of i, for windows too narrow to fill a tile with neighbours. Then whole tiles of rows are computed: the table and C
  /// have room for a multiple of ``FilterGradientProduct/rowMultiple``.
  public var offsets: UnsafePointer<Int>?
  public var gradient: UnsafePointer<Float>
  /// Readable to a whole number of vectors at every position; not 0.
  public var gradientStride: Int
  public var runs: UnsafePointer<PositionRun>
  public var runCount: Int
  public var length: Int
  /// Whole vectors wide.
  public var c: UnsafeMutablePointer<Float>
  public var cRowStride: Int
  public var accumulate: Bool

  @inlinable
  public init(
    rows: Int, columns: Int, x: UnsafePointer<Float>, xStride: Int, offsets: UnsafePointer<Int>?,
    gradient: UnsafePointer<Float>, gradientStride: Int, runs: UnsafePointer<PositionRun>, runCount: Int, length: Int,
    c: UnsafeMutablePointer<Float>, cRowStride: Int,
    accumulate: Bool
  ) {
    self.rows = rows
    self.columns = columns
    self.x = x
    self.xStride = xStride
    self.offsets = offsets
    self.gradient = gradient
    self.gradientStride = gradientStride
    self.runs = runs
    self.runCount = runCount
    self.length = length
    self.c = c
    self.cRowStride = cRowStride
    self.accumulate = accumulate
  }

  /// Of the tiles of six and of twelve rows.
  public static var rowMultiple: Int { 12 }
}

@inlinable
public func multiplyFilterGradient<I: InstructionSet>(_: I.Type, _ p: FilterGradientProduct) {
  if let offsets = p.offsets {
    if p.columns > I.lanes {
      multiplyPointedWindows(Joined<Single<I>, Single<I>>.self, p, offsets)
    } else {
      multiplyPointedWindows(Single<I>.self, p, offsets)
    }
  } else if p.columns > I.lanes {
    multiplyWindows(Joined<Single<I>, Single<I>>.self, p)
  } else {
    multiplyWindows(Single<I>.self, p)
  }
}

@inlinable @inline(__always)
func multiplyPointedWindows<Row: TileRow>(_: Row.Type, _ p: FilterGradientProduct, _ offsets: UnsafePointer<Int>) {
  typealias Two = Stacked<OneRow<Row>, OneRow<Row>>
  typealias Six = Stacked<Stacked<Two, Two>, Two>
  var i = 0
  if Row.vectors == 1 || Row.I.tileVectors == 4 {
    while i + 6 < p.rows {
      multiplyPointedTile(Stacked<Six, Six>.self, p, offsets, i)
      i += 12
    }
  }
  while i < p.rows {
    multiplyPointedTile(Six.self, p, offsets, i)
    i += 6
  }
}

@inlinable @inline(__always)
func multiplyPointedTile<Rows: PointedRows>(
  _: Rows.Type, _ p: FilterGradientProduct, _ offsets: UnsafePointer<Int>, _ row: Int
) {
  let sources = Rows.sources(p.x, offsets + row)
  var tile = Rows.zero
  for r in 0..<p.runCount {
    var k = p.runs[r].x
    var b = p.gradient + p.runs[r].gradient
    let end = b + p.length * p.gradientStride
    repeat {
      tile.addOuterProduct(sources, k, Rows.Row.load(b))
      k += p.xStride
      b += p.gradientStride
    } while b != end
  }
  let c = p.c + row * p.cRowStride
  if p.accumulate { tile.add(to: c, rowStride: p.cRowStride) } else { tile.store(c, rowStride: p.cRowStride) }
}

@inlinable @inline(__always)
func multiplyWindows<Row: TileRow>(_: Row.Type, _ p: FilterGradientProduct) {
  typealias One = OneRow<Row>
  typealias Two = Stacked<One, One>
  typealias Four = Stacked<Two, Two>
  typealias Six = Stacked<Four, Two>
  var i = 0
  if Row.vectors == 1 || Row.I.tileVectors == 4 {
    while i + 12 <= p.rows {
      multiplyWindowTile(Stacked<Six, Six>.self, p, i)
      i += 12
    }
  }
  while i + 6 <= p.rows {
    multiplyWindowTile(Six.self, p, i)
    i += 6
  }
  if i + 4 <= p.rows {
    multiplyWindowTile(Four.self, p, i)
    i += 4
  }
  if i + 2 <= p.rows {
    multiplyWindowTile(Two.self, p, i)
    i += 2
  }
  if i < p.rows { multiplyWindowTile(One.self, p, i) }
}

@inlinable @inline(__always)
func multiplyWindowTile<Rows: TileRows>(_: Rows.Type, _ p: FilterGradientProduct, _ row: Int) {
  var tile = Rows.zero
  for r in 0..<p.runCount {
    var a = p.x + p.runs[r].x + row
    var b = p.gradient + p.runs[r].gradient
    let end = b + p.length * p.gradientStride
    repeat {
      tile.addOuterProduct(a, rowStride: 1, Rows.Row.load(b))
      a += p.xStride
      b += p.gradientStride
    } while b != end
  }
  let c = p.c + row * p.cRowStride
  if p.accumulate { tile.add(to: c, rowStride: p.cRowStride) } else { tile.store(c, rowStride: p.cRowStride) }
}
