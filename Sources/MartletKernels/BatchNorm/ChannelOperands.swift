// What a batch norm kernel is given: where the data lies, and which rectangle of it.

/// The tensors of one pass, all of one shape. A pointer that a pass does not use points anywhere and is not followed.
public struct ChannelOperands {
  /// x, what was normalised.
  public var input: UnsafePointer<Float>
  public var gradOutput: UnsafePointer<Float>
  /// y, the activation's output.
  public var output: UnsafePointer<Float>
  /// Where a pass writes; may be the tensor it reads.
  public var result: UnsafeMutablePointer<Float>
  /// Add to `result` instead of replacing it.
  public var accumulate: Bool
  /// Write past the caches. Then `result` is none of the tensors that are read, and a row is a multiple of
  /// 64 bytes.
  public var streams = false
  /// Ask for what will be read (in a large block); what will be written is asked for anyway.
  public var asksForReads = true

  @inlinable
  public init(
    input: UnsafePointer<Float>, gradOutput: UnsafePointer<Float>, output: UnsafePointer<Float>,
    result: UnsafeMutablePointer<Float>, accumulate: Bool = false
  ) {
    self.input = input
    self.gradOutput = gradOutput
    self.output = output
    self.result = result
    self.accumulate = accumulate
  }

  /// The same tensors from element `offset` on.
  @inlinable @inline(__always)
  public func advanced(by offset: Int) -> ChannelOperands {
    var moved = self
    moved.input += offset
    moved.gradOutput += offset
    moved.output += offset
    moved.result += offset
    return moved
  }
}

/// One value a column (or channel) for each role a number can have in a pass; see the pass for its formula.
public struct ChannelCoefficients {
  public var center: UnsafePointer<Float>
  public var multiplier: UnsafePointer<Float>
  public var slope: UnsafePointer<Float>
  public var offset: UnsafePointer<Float>
  /// Slope and offset of the map, for gradients that compute it again; its center and multiplier are the gradient's.
  public var mapSlope: UnsafePointer<Float>
  public var mapOffset: UnsafePointer<Float>

  @inlinable
  public init(
    center: UnsafePointer<Float>, multiplier: UnsafePointer<Float>, slope: UnsafePointer<Float>, offset: UnsafePointer<Float>,
    mapSlope: UnsafePointer<Float>? = nil, mapOffset: UnsafePointer<Float>? = nil
  ) {
    self.center = center
    self.multiplier = multiplier
    self.slope = slope
    self.offset = offset
    self.mapSlope = mapSlope ?? slope
    self.mapOffset = mapOffset ?? offset
  }

  @inlinable @inline(__always)
  public func advanced(by columns: Int) -> ChannelCoefficients {
    ChannelCoefficients(
      center: center + columns, multiplier: multiplier + columns, slope: slope + columns, offset: offset + columns,
      mapSlope: mapSlope + columns, mapOffset: mapOffset + columns)
  }
}

/// `rows` × `columns` values, one coefficient a column: channels-last data, or rows of it laid end to end.
///
/// At least as many columns as a vector has lanes (16 in the widest): a last, partial vector overlaps its neighbour.
public struct ColumnBlock {
  public var rows: Int
  public var columns: Int
  /// From one row to the next, in elements.
  public var rowStride: Int

  @inlinable
  public init(rows: Int, columns: Int, rowStride: Int) {
    self.rows = rows
    self.columns = columns
    self.rowStride = rowStride
  }
}

/// Contiguous runs of `length` values, one coefficient a channel: channels-first data.
///
/// At least as many values a run as the widest vector has lanes (16).
public struct RunBlock {
  public var samples: Int
  /// From one sample's run of a channel to the next sample's, in elements.
  public var sampleStride: Int
  public var channels: Int
  /// From one channel's run to the next channel's, in elements.
  public var channelStride: Int
  public var length: Int

  @inlinable
  public init(samples: Int, sampleStride: Int, channels: Int, channelStride: Int, length: Int) {
    self.samples = samples
    self.sampleStride = sampleStride
    self.channels = channels
    self.channelStride = channelStride
    self.length = length
  }
}

/// Two sums a column (or channel), in Float64.
public struct ChannelSums {
  public var sum: UnsafeMutablePointer<Double>
  public var products: UnsafeMutablePointer<Double>

  @inlinable
  public init(sum: UnsafeMutablePointer<Double>, products: UnsafeMutablePointer<Double>) {
    self.sum = sum
    self.products = products
  }

  @inlinable @inline(__always)
  public func advanced(by columns: Int) -> ChannelSums { ChannelSums(sum: sum + columns, products: products + columns) }
}
