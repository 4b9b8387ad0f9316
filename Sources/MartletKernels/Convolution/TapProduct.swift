// Positions of an image times one panel of filters: the loop that does the arithmetic of a convolution and of its input's gradient.

/// A run of values that are contiguous at every position: one tap's channels, or those of all taps of a kernel's row.
@frozen
public struct TapSegment {
  /// From the position's own offset.
  public var offset: Int
  public var depth: Int

  @inlinable
  public init(offset: Int, depth: Int) {
    self.offset = offset
    self.depth = depth
  }
}

/// What to ask for while a block of positions is computed; nothing where both numbers are 0.
@frozen
public struct TapLookahead {
  /// What the next block will read.
  public var x: UnsafePointer<Float>
  /// Floats of it for each position of this block.
  public var xPerPosition: Int
  /// From where a position is written to where one will be written some positions later.
  public var y: Int

  @inlinable
  public init(x: UnsafePointer<Float>, xPerPosition: Int, y: Int) {
    self.x = x
    self.xPerPosition = xPerPosition
    self.y = y
  }
}

/// `y[targets[p] + j] (+)= Σ_k x[sources[p] + k]·B[k, j]`, k over the segments one after the other; at most
/// `ConvolutionKernels.panelColumns` columns.
@frozen
public struct TapProduct {
  public var positions: Int
  public var columns: Int
  public var x: UnsafePointer<Float>
  public var sources: UnsafePointer<Int>
  public var segments: UnsafePointer<TapSegment>
  public var segmentCount: Int
  /// Whole vectors wide, the rows of all segments below each other.
  public var b: UnsafePointer<Float>
  public var y: UnsafeMutablePointer<Float>
  public var targets: UnsafePointer<Int>
  /// Adds to y instead of writing it.
  public var accumulate: Bool
  /// Room for `ConvolutionKernels.edgeFloats`: there a tile lands whole where the columns are not whole vectors.
  public var edge: UnsafeMutablePointer<Float>
  public var ahead: TapLookahead

  @inlinable
  public init(
    positions: Int, columns: Int, x: UnsafePointer<Float>, sources: UnsafePointer<Int>, segments: UnsafePointer<TapSegment>,
    segmentCount: Int, b: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>, targets: UnsafePointer<Int>,
    accumulate: Bool, edge: UnsafeMutablePointer<Float>, ahead: TapLookahead
  ) {
    self.positions = positions
    self.columns = columns
    self.x = x
    self.sources = sources
    self.segments = segments
    self.segmentCount = segmentCount
    self.b = b
    self.y = y
    self.targets = targets
    self.accumulate = accumulate
    self.edge = edge
    self.ahead = ahead
  }

  /// Asks for the part of these positions, at most `width` columns wide.
  @inlinable @inline(__always)
  func lookAhead<I: InstructionSet>(_: I.Type, from position: Int, count: Int, width: Int) {
    var place = position * ahead.xPerPosition
    let end = place + count * ahead.xPerPosition
    while place < end {
      I.prefetchFar(ahead.x + place)
      place += Lookahead.line
    }
    if ahead.y == 0 { return }
    for i in position..<position + count {
      let target = y + (targets[i] + ahead.y)
      I.prefetch(target)
      if width > Lookahead.line { I.prefetch(target + Lookahead.line) }
    }
  }
}

/// Each element is one chain of multiply-adds in order of depth, whatever tile it falls into: tiles differ in size only.
@inlinable
public func multiplyTaps<I: InstructionSet>(_: I.Type, _ p: TapProduct) {
  if p.columns > I.lanes {
    multiplyPositions(Joined<Single<I>, Single<I>>.self, p)
  } else {
    multiplyPositions(Single<I>.self, p)
  }
}

/// All positions, in the tallest tiles that fit. With 32 registers two vectors make 24 sums with twelve rows; a single one takes ten, as many
/// as there are registers for the rows' pointers: every other instruction is a load, and another load for a pointer would show.
@inlinable @inline(__always)
func multiplyPositions<Row: TileRow>(_: Row.Type, _ p: TapProduct) {
  typealias One = OneRow<Row>
  typealias Two = Stacked<One, One>
  typealias Four = Stacked<Two, Two>
  typealias Six = Stacked<Four, Two>
  var i = 0
  if Row.vectors == 1 {
    while i + 10 <= p.positions {
      multiplyTapTile(Stacked<Six, Four>.self, p, i)
      i += 10
    }
  } else if Row.I.tileVectors == 4 {
    while i + 12 <= p.positions {
      multiplyTapTile(Stacked<Six, Six>.self, p, i)
      i += 12
    }
  }
  while i + 6 <= p.positions {
    multiplyTapTile(Six.self, p, i)
    i += 6
  }
  if i + 4 <= p.positions {
    multiplyTapTile(Four.self, p, i)
    i += 4
  }
  if i + 2 <= p.positions {
    multiplyTapTile(Two.self, p, i)
    i += 2
  }
  if i < p.positions { multiplyTapTile(One.self, p, i) }
}

@inlinable @inline(__always)
func multiplyTapTile<Rows: PointedRows>(_: Rows.Type, _ p: TapProduct, _ position: Int) {
  let width = Rows.Row.vectors * Rows.Row.I.lanes
  p.lookAhead(Rows.Row.I.self, from: position, count: Rows.count, width: width)
  let sources = Rows.sources(p.x, p.sources + position)
  var tile = Rows.zero
  var b = p.b
  for s in 0..<p.segmentCount {
    var k = p.segments[s].offset
    let end = k + p.segments[s].depth
    repeat {
      tile.addOuterProduct(sources, k, Rows.Row.load(b))
      b += width
      k += 1
    } while k != end
  }
  let targets = p.targets + position
  if p.columns < width {
    tile.store(p.edge, rowStride: width)
    copyTapEdge(Rows.Row.I.self, p, Rows.count, width, targets)
  } else if p.accumulate {
    tile.add(to: p.y, offsets: targets)
  } else {
    tile.store(p.y, offsets: targets)
  }
}

/// Moves the part of a tile that y has from `edge` to y.
@inlinable @inline(never)
func copyTapEdge<I: InstructionSet>(_: I.Type, _ p: TapProduct, _ rows: Int, _ width: Int, _ targets: UnsafePointer<Int>) {
  let whole = p.columns / I.lanes * I.lanes
  let rest = p.columns - whole
  for i in 0..<rows {
    let source = UnsafePointer(p.edge + i * width)
    let target = p.y + targets[i]
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
