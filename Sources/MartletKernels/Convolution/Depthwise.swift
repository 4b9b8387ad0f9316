// Depthwise convolution: each channel has a filter of its own, so a vector holds channels and every value read serves one sum.

/// `y[p·yStride + c] (+)= Σ_(i, j) x[i·rowStride + p·xStride + j·tapStride + c]·w[(i·tapsWidth + j)·channels + c]` for `positions` p and
/// all channels.
@frozen
public struct DepthwiseRow {
  public var positions: Int
  public var channels: Int
  public var tapsHeight: Int
  public var tapsWidth: Int
  public var x: UnsafePointer<Float>
  public var xStride: Int
  public var rowStride: Int
  public var tapStride: Int
  public var filters: UnsafePointer<Float>
  public var y: UnsafeMutablePointer<Float>
  public var yStride: Int
  public var accumulate: Bool

  @inlinable
  public init(
    positions: Int, channels: Int, tapsHeight: Int, tapsWidth: Int, x: UnsafePointer<Float>, xStride: Int, rowStride: Int,
    tapStride: Int, filters: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>, yStride: Int, accumulate: Bool
  ) {
    self.positions = positions
    self.channels = channels
    self.tapsHeight = tapsHeight
    self.tapsWidth = tapsWidth
    self.x = x
    self.xStride = xStride
    self.rowStride = rowStride
    self.tapStride = tapStride
    self.filters = filters
    self.y = y
    self.yStride = yStride
    self.accumulate = accumulate
  }
}

@inlinable
public func depthwiseRow<I: InstructionSet>(_: I.Type, _ p: DepthwiseRow) {
  var channel = 0
  while channel + I.lanes <= p.channels {
    depthwiseColumn(I.self, p, channel, I.lanes)
    channel += I.lanes
  }
  if channel < p.channels { depthwiseEdge(I.self, p, channel, p.channels - channel) }
}

/// The last channels, fewer than a vector holds.
@inlinable @inline(never)
func depthwiseEdge<I: InstructionSet>(_: I.Type, _ p: DepthwiseRow, _ channel: Int, _ count: Int) {
  depthwiseColumn(I.self, p, channel, count)
}

/// One vector of channels at all positions; four positions at a time share each load of a filter.
@inlinable @inline(__always)
func depthwiseColumn<I: InstructionSet>(_: I.Type, _ p: DepthwiseRow, _ channel: Int, _ count: Int) {
  var position = 0
  while position + 4 <= p.positions {
    var (s0, s1, s2, s3) = (
      I.Vector(repeating: 0), I.Vector(repeating: 0), I.Vector(repeating: 0), I.Vector(repeating: 0)
    )
    var w = p.filters + channel
    for i in 0..<p.tapsHeight {
      var x = p.x + (i * p.rowStride + position * p.xStride + channel)
      for _ in 0..<p.tapsWidth {
        let factor = vectorOf(I.self, count, w)
        s0 = I.multiplyAdd(vectorOf(I.self, count, x), factor, s0)
        s1 = I.multiplyAdd(vectorOf(I.self, count, x + p.xStride), factor, s1)
        s2 = I.multiplyAdd(vectorOf(I.self, count, x + 2 * p.xStride), factor, s2)
        s3 = I.multiplyAdd(vectorOf(I.self, count, x + 3 * p.xStride), factor, s3)
        x += p.tapStride
        w += p.channels
      }
    }
    let y = p.y + (position * p.yStride + channel)
    put(I.self, count, s0, y, p.accumulate)
    put(I.self, count, s1, y + p.yStride, p.accumulate)
    put(I.self, count, s2, y + 2 * p.yStride, p.accumulate)
    put(I.self, count, s3, y + 3 * p.yStride, p.accumulate)
    position += 4
  }
  while position < p.positions {
    var sum = I.Vector(repeating: 0)
    var w = p.filters + channel
    for i in 0..<p.tapsHeight {
      var x = p.x + (i * p.rowStride + position * p.xStride + channel)
      for _ in 0..<p.tapsWidth {
        sum = I.multiplyAdd(vectorOf(I.self, count, x), vectorOf(I.self, count, w), sum)
        x += p.tapStride
        w += p.channels
      }
    }
    put(I.self, count, sum, p.y + (position * p.yStride + channel), p.accumulate)
    position += 1
  }
}

@inlinable @inline(__always)
func vectorOf<I: InstructionSet>(_: I.Type, _ count: Int, _ p: UnsafePointer<Float>) -> I.Vector {
  count == I.lanes ? I.load(p) : I.load(first: count, p)
}

@inlinable @inline(__always)
func put<I: InstructionSet>(_: I.Type, _ count: Int, _ v: I.Vector, _ p: UnsafeMutablePointer<Float>, _ accumulate: Bool) {
  let v = accumulate ? vectorOf(I.self, count, p) + v : v
  if count == I.lanes { I.store(v, p) } else { I.store(first: count, v, p) }
}

/// `sums[(i·tapsWidth + j)·channels + c] += Σ_p x[i·rowStride + p·xStride + j·tapStride + c]·g[p·channels + c]` for one row of the output.
@frozen
public struct DepthwiseGradientRow {
  public var positions: Int
  public var channels: Int
  public var tapsHeight: Int
  public var tapsWidth: Int
  public var x: UnsafePointer<Float>
  public var xStride: Int
  public var rowStride: Int
  public var tapStride: Int
  public var gradient: UnsafePointer<Float>
  public var sums: UnsafeMutablePointer<Float>

  @inlinable
  public init(
    positions: Int, channels: Int, tapsHeight: Int, tapsWidth: Int, x: UnsafePointer<Float>, xStride: Int, rowStride: Int,
    tapStride: Int, gradient: UnsafePointer<Float>, sums: UnsafeMutablePointer<Float>
  ) {
    self.positions = positions
    self.channels = channels
    self.tapsHeight = tapsHeight
    self.tapsWidth = tapsWidth
    self.x = x
    self.xStride = xStride
    self.rowStride = rowStride
    self.tapStride = tapStride
    self.gradient = gradient
    self.sums = sums
  }
}

@inlinable
public func depthwiseFilterGradient<I: InstructionSet>(_: I.Type, _ p: DepthwiseGradientRow) {
  var channel = 0
  while channel + I.lanes <= p.channels {
    depthwiseGradientColumn(I.self, p, channel, I.lanes)
    channel += I.lanes
  }
  if channel < p.channels { depthwiseGradientEdge(I.self, p, channel, p.channels - channel) }
}

@inlinable @inline(never)
func depthwiseGradientEdge<I: InstructionSet>(_: I.Type, _ p: DepthwiseGradientRow, _ channel: Int, _ count: Int) {
  depthwiseGradientColumn(I.self, p, channel, count)
}

/// One vector of channels, three taps at a time: three sums in flight share each load of a gradient.
@inlinable @inline(__always)
func depthwiseGradientColumn<I: InstructionSet>(_: I.Type, _ p: DepthwiseGradientRow, _ channel: Int, _ count: Int) {
  for i in 0..<p.tapsHeight {
    var j = 0
    while j < p.tapsWidth {
      // Taps past the last stand for it; their sums go nowhere.
      let last = p.tapsWidth - 1 - j
      let x = p.x + (i * p.rowStride + j * p.tapStride + channel)
      let (x1, x2) = (x + min(1, last) * p.tapStride, x + min(2, last) * p.tapStride)
      let g = p.gradient + channel
      var (s0, s1, s2) = (I.Vector(repeating: 0), I.Vector(repeating: 0), I.Vector(repeating: 0))
      for position in 0..<p.positions {
        let gradient = vectorOf(I.self, count, g + position * p.channels)
        let at = position * p.xStride
        s0 = I.multiplyAdd(vectorOf(I.self, count, x + at), gradient, s0)
        s1 = I.multiplyAdd(vectorOf(I.self, count, x1 + at), gradient, s1)
        s2 = I.multiplyAdd(vectorOf(I.self, count, x2 + at), gradient, s2)
      }
      let sums = p.sums + ((i * p.tapsWidth + j) * p.channels + channel)
      put(I.self, count, s0, sums, true)
      if last > 0 { put(I.self, count, s1, sums + p.channels, true) }
      if last > 1 { put(I.self, count, s2, sums + 2 * p.channels, true) }
      j += 3
    }
  }
}
