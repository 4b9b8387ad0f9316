// Winograd's minimal filtering F(2×2, 3×3): four outputs of a 3×3 convolution from 16 products instead of 36.
//
//     Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A        d a 4×4 patch of the input, g the filter, Y 2×2 outputs
//
//     Bᵀ = 1  0 −1  0     G = 1    0    0     Aᵀ = 1  1  1  0
//          0  1  1  0         ½    ½    ½          0  1 −1 −1
//          0 −1  1  0         ½   −½    ½
//          0  1  0 −1         0    0    1
//
// The 16 products are sums over channels, so each is a matrix product of its own. Source: Lavin & Gray 2016, Fast Algorithms for
// Convolutional Neural Networks, section 4.1.

/// One patch: (i, j), channel c at `x[i·rowStride + j·channels + c]`, transformed: element e = 4·i + j at `v[e·elementStride + c]`.
@frozen
public struct WinogradPatch {
  public var x: UnsafePointer<Float>
  public var rowStride: Int
  public var channels: Int
  public var v: UnsafeMutablePointer<Float>
  public var elementStride: Int
  /// Of the 4×4 values those inside the input; the others count as zeros and are not read.
  public var rows: Range<Int>
  public var columns: Range<Int>

  @inlinable
  public init(
    x: UnsafePointer<Float>, rowStride: Int, channels: Int, v: UnsafeMutablePointer<Float>, elementStride: Int,
    rows: Range<Int> = 0..<4, columns: Range<Int> = 0..<4
  ) {
    self.x = x
    self.rowStride = rowStride
    self.channels = channels
    self.v = v
    self.elementStride = elementStride
    self.rows = rows
    self.columns = columns
  }

  /// Asks for what the patch below will read that this one does not.
  @inlinable @inline(__always)
  func lookAhead<I: InstructionSet>(_: I.Type, _ channel: Int) {
    let below = x + (4 * rowStride + channel)
    I.prefetchFar(below)
    I.prefetchFar(below + channels)
    I.prefetchFar(below + rowStride)
    I.prefetchFar(below + rowStride + channels)
  }
}

/// Bᵀ d B of neighbouring patches, two columns apart: patch p reads `x[2·p·channels]` on and writes from `v[p·channels]` on.
@inlinable
public func winogradPatches<I: InstructionSet>(_: I.Type, _ first: WinogradPatch, count: Int) {
  var p = first
  let isInside = p.rows == 0..<4 && p.columns == 0..<4
  for _ in 0..<count {
    var channel = 0
    if isInside {
      while channel + I.lanes <= p.channels {
        winogradPatch(I.self, p, channel, I.lanes)
        channel += I.lanes
      }
    } else {
      while channel + I.lanes <= p.channels {
        winogradBorderPatch(I.self, p, channel, I.lanes)
        channel += I.lanes
      }
    }
    if channel < p.channels { winogradBorderPatch(I.self, p, channel, p.channels - channel) }
    p.x += 2 * p.channels
    p.v += p.channels
  }
}

/// Four vectors: a row or a column of a patch.
@frozen
public struct WinogradQuad<I: InstructionSet> {
  @usableFromInline var v0: I.Vector
  @usableFromInline var v1: I.Vector
  @usableFromInline var v2: I.Vector
  @usableFromInline var v3: I.Vector

  @inlinable @inline(__always)
  init(_ v0: I.Vector, _ v1: I.Vector, _ v2: I.Vector, _ v3: I.Vector) {
    self.v0 = v0
    self.v1 = v1
    self.v2 = v2
    self.v3 = v3
  }

  /// Bᵀ·self
  @inlinable @inline(__always)
  var input: Self { Self(v0 - v2, v1 + v2, v2 - v1, v1 - v3) }
}

@inlinable @inline(__always)
func winogradPatch<I: InstructionSet>(_: I.Type, _ p: WinogradPatch, _ channel: Int, _ count: Int) {
  p.lookAhead(I.self, channel)
  @inline(__always)
  func row(_ i: Int) -> WinogradQuad<I> {
    let x = p.x + (i * p.rowStride + channel)
    return WinogradQuad(
      vectorOf(I.self, count, x), vectorOf(I.self, count, x + p.channels), vectorOf(I.self, count, x + 2 * p.channels),
      vectorOf(I.self, count, x + 3 * p.channels)
    ).input
  }
  writePatch(I.self, p, channel, count, row(0), row(1), row(2), row(3))
}

/// Of a patch that the input covers in part, or of a last few channels.
@inlinable @inline(never)
func winogradBorderPatch<I: InstructionSet>(_: I.Type, _ p: WinogradPatch, _ channel: Int, _ count: Int) {
  p.lookAhead(I.self, channel)
  @inline(__always)
  func value(_ x: UnsafePointer<Float>, _ j: Int) -> I.Vector {
    j >= p.columns.lowerBound && j < p.columns.upperBound
      ? vectorOf(I.self, count, x + j * p.channels) : I.Vector(repeating: 0)
  }
  @inline(__always)
  func row(_ i: Int) -> WinogradQuad<I> {
    let zero = I.Vector(repeating: 0)
    guard i >= p.rows.lowerBound, i < p.rows.upperBound else { return WinogradQuad(zero, zero, zero, zero) }
    let x = p.x + (i * p.rowStride + channel)
    return WinogradQuad(value(x, 0), value(x, 1), value(x, 2), value(x, 3)).input
  }
  writePatch(I.self, p, channel, count, row(0), row(1), row(2), row(3))
}

/// Bᵀ of the four rows, each of which is d B already.
@inlinable @inline(__always)
func writePatch<I: InstructionSet>(
  _: I.Type, _ p: WinogradPatch, _ channel: Int, _ count: Int, _ r0: WinogradQuad<I>, _ r1: WinogradQuad<I>,
  _ r2: WinogradQuad<I>, _ r3: WinogradQuad<I>
) {
  @inline(__always)
  func write(_ j: Int, _ column: WinogradQuad<I>) {
    let v = p.v + (j * p.elementStride + channel)
    let t = column.input
    put(I.self, count, t.v0, v, false)
    put(I.self, count, t.v1, v + 4 * p.elementStride, false)
    put(I.self, count, t.v2, v + 8 * p.elementStride, false)
    put(I.self, count, t.v3, v + 12 * p.elementStride, false)
  }
  write(0, WinogradQuad(r0.v0, r1.v0, r2.v0, r3.v0))
  write(1, WinogradQuad(r0.v1, r1.v1, r2.v1, r3.v1))
  write(2, WinogradQuad(r0.v2, r1.v2, r2.v2, r3.v2))
  write(3, WinogradQuad(r0.v3, r1.v3, r2.v3, r3.v3))
}

/// The outputs of neighbouring tiles of one row: element e of column c at `m[e·elementStride + c]`, output (i, j) at `y[i·rowStride + j·pixelStride + c]`.
@frozen
public struct WinogradTiles {
  public var m: UnsafePointer<Float>
  public var elementStride: Int
  public var columns: Int
  public var y: UnsafeMutablePointer<Float>
  public var rowStride: Int
  public var pixelStride: Int
  /// Of the outputs those that exist: one row of pixels or two, and pixels in each, an odd one in the last tile.
  public var rows: Int
  public var pixels: Int
  public var accumulate: Bool

  @inlinable
  public init(
    m: UnsafePointer<Float>, elementStride: Int, columns: Int, y: UnsafeMutablePointer<Float>, rowStride: Int,
    pixelStride: Int, rows: Int, pixels: Int, accumulate: Bool
  ) {
    self.m = m
    self.elementStride = elementStride
    self.columns = columns
    self.y = y
    self.rowStride = rowStride
    self.pixelStride = pixelStride
    self.rows = rows
    self.pixels = pixels
    self.accumulate = accumulate
  }
}

/// Aᵀ m A of ⌈pixels / 2⌉ tiles: tile t reads from `m[t·tileWidth]`, and writes from `y[2·t·pixelStride]` on.
@inlinable
public func winogradTiles<I: InstructionSet>(_: I.Type, _ first: WinogradTiles, tileWidth: Int) {
  var p = first
  while p.pixels > 0 {
    var column = 0
    while column + I.lanes <= p.columns {
      winogradOutputs(I.self, p, column, I.lanes)
      column += I.lanes
    }
    if column < p.columns { winogradEdgeOutputs(I.self, p, column, p.columns - column) }
    p.m += tileWidth
    p.y += 2 * p.pixelStride
    p.pixels -= 2
  }
}

@inlinable @inline(never)
func winogradEdgeOutputs<I: InstructionSet>(_: I.Type, _ p: WinogradTiles, _ column: Int, _ count: Int) {
  winogradOutputs(I.self, p, column, count)
}

@inlinable @inline(__always)
func winogradOutputs<I: InstructionSet>(_: I.Type, _ p: WinogradTiles, _ column: Int, _ count: Int) {
  // Reading a whole vector is allowed: rows of m are whole vectors wide.
  @inline(__always)
  func pair(_ i: Int) -> (I.Vector, I.Vector) {
    let m = p.m + (4 * i * p.elementStride + column)
    let (m1, m2) = (I.load(m + p.elementStride), I.load(m + 2 * p.elementStride))
    return (I.load(m) + m1 + m2, m1 - m2 - I.load(m + 3 * p.elementStride))
  }
  let (a, b, c, d) = (pair(0), pair(1), pair(2), pair(3))
  let y = p.y + column
  // Where the tile below will be written.
  let below = y + 2 * p.rowStride
  I.prefetchFar(below)
  I.prefetchFar(below + p.pixelStride)
  I.prefetchFar(below + p.rowStride)
  I.prefetchFar(below + (p.rowStride + p.pixelStride))
  put(I.self, count, a.0 + b.0 + c.0, y, p.accumulate)
  if p.pixels > 1 { put(I.self, count, a.1 + b.1 + c.1, y + p.pixelStride, p.accumulate) }
  if p.rows > 1 {
    put(I.self, count, b.0 - c.0 - d.0, y + p.rowStride, p.accumulate)
    if p.pixels > 1 { put(I.self, count, b.1 - c.1 - d.1, y + (p.rowStride + p.pixelStride), p.accumulate) }
  }
}

/// G g Gᵀ of one panel in place: tap t of its `rows · width` values at `panel[(7 + t)·count]`, element e afterwards at `panel[e·count]`;
/// count is a whole number of vectors.
@inlinable
public func winogradFilters<I: InstructionSet>(_: I.Type, _ panel: UnsafeMutablePointer<Float>, count: Int) {
  let half = I.Vector(repeating: 0.5)
  @inline(__always)
  func spread(_ g0: I.Vector, _ g1: I.Vector, _ g2: I.Vector) -> WinogradQuad<I> {
    let outer = (g0 + g2) * half
    return WinogradQuad(g0, I.multiplyAdd(g1, half, outer), I.multiplyAdd(g1, -half, outer), g2)
  }
  var i = 0
  while i < count {
    let p = panel + i
    @inline(__always)
    func column(_ j: Int) -> WinogradQuad<I> {
      spread(I.load(p + (7 + j) * count), I.load(p + (10 + j) * count), I.load(p + (13 + j) * count))
    }
    @inline(__always)
    func write(_ row: Int, _ u: WinogradQuad<I>) {
      I.store(u.v0, p + 4 * row * count)
      I.store(u.v1, p + (4 * row + 1) * count)
      I.store(u.v2, p + (4 * row + 2) * count)
      I.store(u.v3, p + (4 * row + 3) * count)
    }
    let (c0, c1, c2) = (column(0), column(1), column(2))
    write(0, spread(c0.v0, c1.v0, c2.v0))
    write(1, spread(c0.v1, c1.v1, c2.v1))
    write(2, spread(c0.v2, c1.v2, c2.v2))
    write(3, spread(c0.v3, c1.v3, c2.v3))
    i += I.lanes
  }
}
