// What batch norm's passes over data work on. The passes: ChannelMoments, ChannelMap, ChannelGradients.

/// Data seen as `[outer, channels, inner]`, contiguous: channels-last is `[rows, C, 1]`, channels-first images `[N, C, H·W]`.
public struct ChannelShape: Equatable, Sendable {
  public var outer: Int
  public var channels: Int
  public var inner: Int
  /// Values of one channel.
  public var valuesPerChannel: Int { outer * inner }
  public init(outer: Int, channels: Int, inner: Int = 1) {
    self.outer = outer
    self.channels = channels
    self.inner = inner
  }
}

/// One linear map a channel, precise where the mean is large:
/// `d = x − center;  y = d·multiplier + (d·multiplierLow + offset)`.
///
/// From mean m and factor s in Float64: center = Float(m), multiplier = Float(s), multiplierLow = Float(s − multiplier),
/// offset = Float(shift − (m − center)·s). A channel that equals its mean exactly yields exactly `shift`.
public struct ChannelMap {
  public var center: UnsafeMutablePointer<Float>
  public var multiplier: UnsafeMutablePointer<Float>
  public var multiplierLow: UnsafeMutablePointer<Float>
  public var offset: UnsafeMutablePointer<Float>
  public init(
    center: UnsafeMutablePointer<Float>, multiplier: UnsafeMutablePointer<Float>,
    multiplierLow: UnsafeMutablePointer<Float>, offset: UnsafeMutablePointer<Float>
  ) {
    self.center = center
    self.multiplier = multiplier
    self.multiplierLow = multiplierLow
    self.offset = offset
  }
}
