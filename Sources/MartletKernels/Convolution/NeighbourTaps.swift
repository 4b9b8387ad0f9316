// Three taps side by side over few channels: neighbouring positions read the same values, so each is loaded once for all three.

/// Rows of positions side by side times one panel of filters, at most one vector of columns:
///
///     y[targets[r·length] + p·targetStride + j] (+)= Σ_s Σ_c Σ_(t<3) x[sources[r·length] + segments[s].offset + (p + t)·C + c]·B[(s·3 + t)·C + c, j]
///
/// for the runs r and their positions p; C is ``NeighbourTaps/channels``.
@frozen
public struct NeighbourTaps {
  public var product: TapProduct
  /// Positions of each run.
  public var length: Int
  public var targetStride: Int

  @inlinable
  public init(product: TapProduct, length: Int, targetStride: Int) {
    self.product = product
    self.length = length
    self.targetStride = targetStride
  }

  /// A constant, so that every value's address is a pointer and a number in the instruction. Sixteen channels are also where it matters:
  /// a position has one vector of columns for each value that is loaded, and the loads take longer than the arithmetic.
  @inlinable @inline(__always)
  public static var channels: Int { 16 }
  @inlinable @inline(__always)
  public static var taps: Int { 3 }
}

/// Each element is one chain of multiply-adds: the kernel's rows, in each the channels, in each the taps.
@inlinable
public func multiplyNeighbours<I: InstructionSet>(_: I.Type, _ n: NeighbourTaps) {
  typealias Two = Stacked<OneRow<Single<I>>, OneRow<Single<I>>>
  typealias Four = Stacked<Two, Two>
  typealias Eight = Stacked<Four, Four>
  var run = 0
  while run < n.product.positions {
    let x = n.product.x + n.product.sources[run]
    let y = n.product.y + n.product.targets[run]
    var p = 0
    if I.tileVectors == 4 {
      while p + 16 <= n.length {
        multiplyNeighbourTile(Stacked<Eight, Eight>.self, n, run, x, y, p)
        p += 16
      }
    }
    while p + 8 <= n.length {
      multiplyNeighbourTile(Eight.self, n, run, x, y, p)
      p += 8
    }
    if p + 4 <= n.length {
      multiplyNeighbourTile(Four.self, n, run, x, y, p)
      p += 4
    }
    if p + 2 <= n.length {
      multiplyNeighbourTile(Two.self, n, run, x, y, p)
      p += 2
    }
    if p < n.length { multiplyNeighbourTile(OneRow<Single<I>>.self, n, run, x, y, p) }
    run += n.length
  }
}

@inlinable @inline(__always)
func multiplyNeighbourTile<Rows: NeighbourRows>(
  _: Rows.Type, _ n: NeighbourTaps, _ run: Int, _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, _ position: Int
) {
  let channels = NeighbourTaps.channels
  let width = Rows.Row.I.lanes
  let p = n.product
  p.lookAhead(Rows.Row.I.self, from: run + position, count: Rows.count, width: width)
  var tile = Rows.zero
  var b = p.b
  for s in 0..<p.segmentCount {
    var a = x + (p.segments[s].offset + position * channels)
    let end = a + channels
    repeat {
      tile.addTaps(a, Rows.Row.load(b), Rows.Row.load(b + channels * width), Rows.Row.load(b + 2 * channels * width))
      a += 1
      b += width
    } while a != end
    b += 2 * channels * width
  }
  let target = y + position * n.targetStride
  if p.columns < width {
    tile.store(p.edge, rowStride: width)
    for i in 0..<Rows.count {
      for j in 0..<p.columns {
        let value = p.edge[i * width + j]
        target[i * n.targetStride + j] = p.accumulate ? target[i * n.targetStride + j] + value : value
      }
    }
  } else if p.accumulate {
    tile.add(to: target, rowStride: n.targetStride)
  } else {
    tile.store(target, rowStride: n.targetStride)
  }
}

/// Rows whose values lie ``NeighbourTaps/channels`` apart.
public protocol NeighbourRows: TileRows {
  /// Adds the products of each row's own value and of its two neighbours' with a row of B each. Row by row, so that what neighbours share
  /// stays in a register from one to the next.
  mutating func addTaps(_ a: UnsafePointer<Float>, _ b0: Row, _ b1: Row, _ b2: Row)
}

extension OneRow: NeighbourRows {
  @inlinable @inline(__always)
  public mutating func addTaps(_ a: UnsafePointer<Float>, _ b0: Row, _ b1: Row, _ b2: Row) {
    row.addProduct(Row.I.Vector(repeating: a[0]), b0)
    row.addProduct(Row.I.Vector(repeating: a[NeighbourTaps.channels]), b1)
    row.addProduct(Row.I.Vector(repeating: a[2 * NeighbourTaps.channels]), b2)
  }
}

extension Stacked: NeighbourRows where Upper: NeighbourRows, Lower: NeighbourRows {
  @inlinable @inline(__always)
  public mutating func addTaps(_ a: UnsafePointer<Float>, _ b0: Upper.Row, _ b1: Upper.Row, _ b2: Upper.Row) {
    upper.addTaps(a, b0, b1, b2)
    lower.addTaps(a + Upper.count * NeighbourTaps.channels, b0, b1, b2)
  }
}
