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

  @inlinable
  public init(
    partial: UnsafePointer<Float>, parts: Int, partialStride: Int, rowStride: Int, taps: Int, channels: Int, columns: Int,
    filters: UnsafeMutablePointer<Float>, accumulate: Bool
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
  }
}

@inlinable
public func gatherFilterGradient<I: InstructionSet>(_: I.Type, _ p: FilterGathering) {
  var column = 0
  while column < p.columns {
    let count = min(I.lanes, p.columns - column)
    let filters = p.filters + column * p.channels * p.taps
    for c in 0..<p.channels {
      for t in 0..<p.taps {
        let row = p.partial + (t * p.channels + c) * p.rowStride + column
        var sum = I.load(row)
        for part in 1..<max(p.parts, 1) { sum += I.load(row + part * p.partialStride) }
        let target = filters + c * p.taps + t
        let stride = p.channels * p.taps
        if p.accumulate {
          for lane in 0..<count { target[lane * stride] += sum[lane] }
        } else {
          for lane in 0..<count { target[lane * stride] = sum[lane] }
        }
      }
    }
    column += I.lanes
  }
}
