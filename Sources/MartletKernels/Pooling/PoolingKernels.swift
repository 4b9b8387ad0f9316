// The table of pooling kernels, and what they share.

public struct PoolingKernels: Sendable {
  public let maximum: @Sendable (_ rows: PoolingRows) -> Void
  /// Adds each gradient to the first of its window's largest inputs.
  public let maximumGradient: @Sendable (_ rows: PoolingRows) -> Void
  /// Sums of windows, divided.
  public let windowSum: @Sendable (_ rows: PoolingRows) -> Void
  /// Adds each value, divided, to its whole window.
  public let spread: @Sendable (_ rows: PoolingRows) -> Void
  /// (x, y, count): y += x.
  public let add: @Sendable (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void

  @inlinable
  public init<I: InstructionSet>(_ set: I.Type) {
    maximum = { MartletKernels.poolMaximum(I.self, $0) }
    maximumGradient = { MartletKernels.poolMaximumGradient(I.self, $0) }
    windowSum = { MartletKernels.poolWindowSum(I.self, $0) }
    spread = { MartletKernels.poolSpread(I.self, $0) }
    add = { MartletKernels.addValues(I.self, $0, to: $1, count: $2) }
  }
}

/// One axis of a pooling window: output p covers the inputs `p·stride + tap·dilation − pad` that exist.
@frozen
public struct PoolingAxis: Sendable {
  public var length: Int
  public var taps: Int
  public var stride: Int
  public var dilation: Int
  public var pad: Int

  @inlinable
  public init(length: Int, taps: Int, stride: Int, dilation: Int, pad: Int) {
    self.length = length
    self.taps = taps
    self.stride = stride
    self.dilation = dilation
    self.pad = pad
  }

  /// The taps of output `p` that lie inside, and the input of the first of them.
  @inlinable @inline(__always)
  func taps(at p: Int) -> (first: Int, count: Int) {
    let origin = p * stride - pad
    let skipped = origin < 0 ? (dilation - 1 - origin) / dilation : 0
    let end = origin >= length ? 0 : min(taps, (length - 1 - origin) / dilation + 1)
    return (origin + skipped * dilation, max(0, end - skipped))
  }
}

/// Some rows of outputs of one sample, some neighbouring channels of each.
@frozen
public struct PoolingRows {
  public var vertical: PoolingAxis
  public var horizontal: PoolingAxis
  public var firstRow: Int
  public var rows: Int
  public var outWidth: Int
  /// Channels at hand, and from one place to the next.
  public var channels: Int
  public var stride: Int
  /// The sample's input and output, or their gradients, at the first channel; which are written depends on the kernel.
  public var x: UnsafePointer<Float>
  public var y: UnsafePointer<Float>
  public var input: UnsafeMutablePointer<Float>
  public var output: UnsafeMutablePointer<Float>
  /// Sums are divided by this, or if it is 0 by the number of taps that lie inside.
  public var divisor: Float
  /// The output is added to; what kernels write to the input always is.
  public var accumulate: Bool

  @inlinable
  public init(
    vertical: PoolingAxis, horizontal: PoolingAxis, firstRow: Int, rows: Int, outWidth: Int, channels: Int, stride: Int,
    x: UnsafePointer<Float>, y: UnsafePointer<Float>, input: UnsafeMutablePointer<Float>,
    output: UnsafeMutablePointer<Float>, divisor: Float, accumulate: Bool
  ) {
    self.vertical = vertical
    self.horizontal = horizontal
    self.firstRow = firstRow
    self.rows = rows
    self.outWidth = outWidth
    self.channels = channels
    self.stride = stride
    self.x = x
    self.y = y
    self.input = input
    self.output = output
    self.divisor = divisor
    self.accumulate = accumulate
  }
}

/// The window of one output, in floats.
@frozen
public struct PoolingWindow {
  @usableFromInline var input: Int
  @usableFromInline var output: Int
  @usableFromInline var height: Int
  @usableFromInline var width: Int
  @usableFromInline var rowStride: Int
  @usableFromInline var tapStride: Int

  @inlinable @inline(__always)
  init(input: Int, output: Int, height: Int, width: Int, rowStride: Int, tapStride: Int) {
    self.input = input
    self.output = output
    self.height = height
    self.width = width
    self.rowStride = rowStride
    self.tapStride = tapStride
  }
}

/// Calls `body` for every output and vector of channels: (window, channel, channels of the vector).
@inlinable @inline(__always)
func forEachWindow<I: InstructionSet>(_: I.Type, _ p: PoolingRows, _ body: (PoolingWindow, Int, Int) -> Void) {
  for row in p.firstRow..<p.firstRow + p.rows {
    let (top, height) = p.vertical.taps(at: row)
    for column in 0..<p.outWidth {
      let (left, width) = p.horizontal.taps(at: column)
      let window = PoolingWindow(
        input: (top * p.horizontal.length + left) * p.stride, output: (row * p.outWidth + column) * p.stride,
        height: width > 0 ? height : 0, width: width,
        rowStride: p.vertical.dilation * p.horizontal.length * p.stride, tapStride: p.horizontal.dilation * p.stride)
      var channel = 0
      while channel < p.channels {
        body(window, channel, min(I.lanes, p.channels - channel))
        channel += I.lanes
      }
    }
  }
}

/// y += x.
@inlinable
public func addValues<I: InstructionSet>(_: I.Type, _ x: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>, count: Int) {
  var i = 0
  while i + I.lanes <= count {
    I.store(I.load(y + i) + I.load(x + i), y + i)
    i += I.lanes
  }
  if i < count { I.store(first: count - i, I.load(first: count - i, y + i) + I.load(first: count - i, x + i), y + i) }
}
