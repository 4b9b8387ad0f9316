// What a forward pass computes once per channel and the backward pass needs again.

/// Per-channel memory of one normalisation, laid out in a block that someone else owns.
///
/// Kept from forward to backward: mean, variance and inverse deviation in Float64, and the map that was applied. The
/// normalised value is not kept: backward has x, and (x − mean)/deviation costs one multiply-add where storing it would cost
/// a pass over memory.
public struct BatchNormContext: @unchecked Sendable {
  public let channels: Int
  public let mean: UnsafeMutablePointer<Double>
  public let variance: UnsafeMutablePointer<Double>
  public let inverseDeviation: UnsafeMutablePointer<Double>
  public let sum: UnsafeMutablePointer<Double>
  public let sumCentered: UnsafeMutablePointer<Double>
  public let map: ChannelMap
  public let meanTerm: UnsafeMutablePointer<Float>
  public let slope: UnsafeMutablePointer<Float>

  private static let doubleCount = 5
  private static let floatCount = 6

  /// Channels rounded up, so that every array starts on a cache line.
  private static func stride(_ channels: Int) -> Int { (channels + 15) & ~15 }

  public static func byteCount(channels: Int) -> Int { stride(channels) * (8 * doubleCount + 4 * floatCount) }

  public init(_ base: UnsafeMutableRawPointer, channels: Int) {
    let stride = BatchNormContext.stride(channels)
    let doubles = base.assumingMemoryBound(to: Double.self)
    let floats = (base + 8 * BatchNormContext.doubleCount * stride).assumingMemoryBound(to: Float.self)
    self.channels = channels
    mean = doubles
    variance = doubles + stride
    inverseDeviation = doubles + 2 * stride
    sum = doubles + 3 * stride
    sumCentered = doubles + 4 * stride
    map = ChannelMap(
      center: floats, multiplier: floats + stride, multiplierLow: floats + 2 * stride, offset: floats + 3 * stride)
    meanTerm = floats + 4 * stride
    slope = floats + 5 * stride
  }
}

/// Scale and shift of one normalisation; nil means 1 and 0.
public struct ScaleShift {
  public var scale: UnsafePointer<Float>?
  public var shift: UnsafePointer<Float>?

  public init(scale: UnsafePointer<Float>? = nil, shift: UnsafePointer<Float>? = nil) {
    self.scale = scale
    self.shift = shift
  }
}

/// Where the gradients of scale and shift go; nil: not wanted.
public struct ScaleShiftGradients {
  public var scale: UnsafeMutablePointer<Float>?
  public var shift: UnsafeMutablePointer<Float>?
  public var accumulates: Bool

  public init(scale: UnsafeMutablePointer<Float>?, shift: UnsafeMutablePointer<Float>?, accumulates: Bool = false) {
    self.scale = scale
    self.shift = shift
    self.accumulates = accumulates
  }
}
