// What a forward pass computes once per channel and the backward pass needs again.
import MartletRuntime

/// Per-channel memory of one normalisation, laid out in a block that someone else owns.
///
/// Kept from forward to backward: mean, variance and inverse deviation in Float64, and the map that was applied. The
/// normalised value is
/// not kept: backward has x, and (x − mean)/deviation costs one multiply-add where storing it would cost a pass over memory.
struct BatchNormContext {
  let channels: Int
  let mean: UnsafeMutablePointer<Double>
  let variance: UnsafeMutablePointer<Double>
  let inverseDeviation: UnsafeMutablePointer<Double>
  let sum: UnsafeMutablePointer<Double>
  let sumCentered: UnsafeMutablePointer<Double>
  let map: ChannelMap
  let meanTerm: UnsafeMutablePointer<Float>
  let slope: UnsafeMutablePointer<Float>

  private static let doubleCount = 5
  private static let floatCount = 6

  /// Channels rounded up, so that every array starts on a cache line.
  private static func stride(_ channels: Int) -> Int { (channels + 15) & ~15 }

  static func byteCount(channels: Int) -> Int { stride(channels) * (8 * doubleCount + 4 * floatCount) }

  init(_ base: UnsafeMutableRawPointer, channels: Int) {
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
