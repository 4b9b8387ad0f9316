// Filters on their way into panels, and their gradient on its way back.

/// One panel of filters: row ((i·tapsWidth + j)·channels + c) holds, for each column, the element at
/// `filters[i·rowStride + j·tapStride + c·channelStride + column·columnStride]`; zeros fill the last vector.
@frozen
public struct FilterPacking {
  public var filters: UnsafePointer<Float>
  public var tapsHeight: Int
  public var tapsWidth: Int
  public var channels: Int
  public var columns: Int
  public var rowStride: Int
  public var tapStride: Int
  public var channelStride: Int
  public var columnStride: Int
  public var panel: UnsafeMutablePointer<Float>

  @inlinable
  public init(
    filters: UnsafePointer<Float>, tapsHeight: Int, tapsWidth: Int, channels: Int, columns: Int, rowStride: Int,
    tapStride: Int, channelStride: Int, columnStride: Int, panel: UnsafeMutablePointer<Float>
  ) {
    self.filters = filters
    self.tapsHeight = tapsHeight
    self.tapsWidth = tapsWidth
    self.channels = channels
    self.columns = columns
    self.rowStride = rowStride
    self.tapStride = tapStride
    self.channelStride = channelStride
    self.columnStride = columnStride
    self.panel = panel
  }
}

@inlinable
public func packFilters<I: InstructionSet>(_: I.Type, _ p: FilterPacking) {
  let width = (p.columns + I.lanes - 1) / I.lanes * I.lanes
  if p.tapsHeight * p.tapsWidth >= 4, p.tapStride.magnitude == 1, p.rowStride == p.tapStride * p.tapsWidth {
    packWholeFilters(I.self, p, width)
  } else {
    for c in 0..<p.channels {
      for i in 0..<p.tapsHeight {
        for j in 0..<p.tapsWidth {
          let source = p.filters + (i * p.rowStride + j * p.tapStride + c * p.channelStride)
          let target = p.panel + ((i * p.tapsWidth + j) * p.channels + c) * width
          for column in 0..<p.columns { target[column] = source[column * p.columnStride] }
          for column in p.columns..<width { target[column] = 0 }
        }
      }
    }
  }
}

/// Filters whose taps all lie side by side, in order or the other way round: four taps of a vector of columns at a time are turned round,
/// the last four of them again where their number is no multiple of four.
@inlinable @inline(__always)
func packWholeFilters<I: InstructionSet>(_: I.Type, _ p: FilterPacking, _ width: Int) {
  let taps = p.tapsHeight * p.tapsWidth
  let first = p.tapStride < 0 ? p.filters - (taps - 1) : p.filters
  // Four rows of the panel, `channels` apart, in either order.
  let rowStride = p.channels * width
  for c in 0..<p.channels {
    var column = 0
    while column < p.columns {
      let source = first + (c * p.channelStride + column * p.columnStride)
      let target = p.panel + (c * width + column)
      let count = min(I.lanes, p.columns - column)
      var t = 0
      while t < taps {
        let tap = min(t, taps - 4)
        let row = p.tapStride < 0 ? taps - 1 - tap : tap
        let stride = p.tapStride < 0 ? -rowStride : rowStride
        if count == I.lanes {
          I.transpose(
            source + tap, count: I.lanes, columnStride: p.columnStride, into: target + row * rowStride, rowStride: stride)
        } else {
          I.transpose(
            source + tap, count: count, columnStride: p.columnStride, into: target + row * rowStride, rowStride: stride)
        }
        t += 4
      }
      column += I.lanes
    }
  }
}

/// `filters[column·depth + c·taps + t] (+)= Σ_p partial[p·partialStride + (t·channels + c)·rowStride + column]`, the parts added in order;
/// `depth` is channels·taps.
@frozen
public struct FilterGathering {
  public var partial: UnsafePointer<Float>
  public var parts: Int
  public var partialStride: Int
  public var rowStride: Int
  public var taps: Int
  public var channels: Int
  public var columns: Int
  public var filters: UnsafeMutablePointer<Float>
  public var accumulate: Bool
  /// Room for taps · lanes · lanes.
  public var scratch: UnsafeMutablePointer<Float>

  @inlinable
  public init(
    partial: UnsafePointer<Float>, parts: Int, partialStride: Int, rowStride: Int, taps: Int, channels: Int, columns: Int,
    filters: UnsafeMutablePointer<Float>, accumulate: Bool, scratch: UnsafeMutablePointer<Float>
  ) {
    self.partial = partial
    self.parts = parts
    self.partialStride = partialStride
    self.rowStride = rowStride
    self.taps = taps
    self.channels = channels
    self.columns = columns
    self.filters = filters
    self.accumulate = accumulate
    self.scratch = scratch
  }
}

@inlinable
public func gatherFilterGradient<I: InstructionSet>(_: I.Type, _ p: FilterGathering) {
  let depth = p.channels * p.taps
  var column = 0
  while column < p.columns {
    let count = min(I.lanes, p.columns - column)
    var c = 0
    while c < p.channels {
      let channels = min(I.lanes, p.channels - c)
      addParts(I.self, p, column, c, channels)
      writeFilters(I.self, p, p.filters + (column * depth + c * p.taps), count, channels * p.taps, depth)
      c += I.lanes
    }
    column += I.lanes
  }
}

/// The sums of some channels and a vector of columns, into `scratch` in the filters' order: row c·taps + t.
@inlinable @inline(__always)
func addParts<I: InstructionSet>(_: I.Type, _ p: FilterGathering, _ column: Int, _ firstChannel: Int, _ channels: Int) {
  for t in 0..<p.taps {
    for c in 0..<channels {
      let row = p.partial + (t * p.channels + firstChannel + c) * p.rowStride + column
      var sum = I.load(row)
      for part in 1..<max(p.parts, 1) { sum += I.load(row + part * p.partialStride) }
      I.store(sum, p.scratch + (c * p.taps + t) * I.lanes)
    }
  }
}

/// Turns `rows` rows of scratch round: whole blocks of a vector of rows and four columns, and the rest one by one.
@inlinable @inline(__always)
func writeFilters<I: InstructionSet>(
  _: I.Type, _ p: FilterGathering, _ filters: UnsafeMutablePointer<Float>, _ columns: Int, _ rows: Int, _ stride: Int
) {
  let wholeRows = p.accumulate ? 0 : rows / I.lanes * I.lanes
  let wholeColumns = columns & ~3
  var row = 0
  while row < wholeRows {
    var column = 0
    while column < wholeColumns {
      I.transpose(
        p.scratch + (row * I.lanes + column), count: I.lanes, columnStride: I.lanes, into: filters + (column * stride + row),
        rowStride: stride)
      column += 4
    }
    while column < columns {
      for i in row..<row + I.lanes { filters[column * stride + i] = p.scratch[i * I.lanes + column] }
      column += 1
    }
    row += I.lanes
  }
  for column in 0..<columns {
    let target = filters + column * stride
    if p.accumulate {
      for i in wholeRows..<rows { target[i] += p.scratch[i * I.lanes + column] }
    } else {
      for i in wholeRows..<rows { target[i] = p.scratch[i * I.lanes + column] }
    }
  }
}
