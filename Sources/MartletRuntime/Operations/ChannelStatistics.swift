// Batch norm's passes over data: moments, the map to the output, and the two passes of the gradient.

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

extension Compute {
  public func channelWorkspaceByteCount(_ shape: ChannelShape) -> Int { fatalError("stub") }

  /// Mean and biased variance of each channel, in Float64.
  ///
  /// A pivot k is taken from the channel; Σ(x − k) and Σ(x − k)² are gathered in short Float32 runs into Float64; a channel
  /// whose pivot was far from its mean (more than 4 deviations) is done again about the mean; one whose sums are not finite
  /// is done again in Float64 throughout (±1e30 is right, a NaN or infinity in the data shows in that channel alone).
  public func channelMoments(
    _ x: UnsafePointer<Float>, _ shape: ChannelShape,
    mean: UnsafeMutablePointer<Double>, variance: UnsafeMutablePointer<Double>, workspace: UnsafeMutableRawPointer
  ) { fatalError("stub") }

  /// Fills `map` with center = mean, factor = scale / √(variance + epsilon), offset from shift (nil: 1 and 0), in Float64 inside.
  /// `inverseStandardDeviation` (Float64, may be nil) receives 1/√(variance + epsilon).
  public func fillChannelMap(
    _ map: ChannelMap, channels: Int, mean: UnsafePointer<Double>, variance: UnsafePointer<Double>, epsilon: Double,
    scale: UnsafePointer<Float>?, shift: UnsafePointer<Float>?, inverseStandardDeviation: UnsafeMutablePointer<Double>?
  ) { fatalError("stub") }

  /// `y = activation(map(x))`; `y` may be `x`.
  public func applyChannelMap(
    _ map: ChannelMap, _ x: UnsafePointer<Float>, _ shape: ChannelShape, activation: Activation,
    into y: UnsafeMutablePointer<Float>
  ) { fatalError("stub") }

  /// With g = gradOutput·activation′(y): Σg and Σg·(x − center) of each channel, in Float64 (short Float32 runs inside).
  /// `y` is the activation's output, unused for `.identity`.
  public func channelGradientSums(
    gradOutput: UnsafePointer<Float>, output y: UnsafePointer<Float>?, input x: UnsafePointer<Float>,
    _ shape: ChannelShape, center: UnsafePointer<Float>, activation: Activation,
    sum: UnsafeMutablePointer<Double>, sumCentered: UnsafeMutablePointer<Double>, workspace: UnsafeMutableRawPointer
  ) { fatalError("stub") }

  /// `gradInput (+)= multiplier·(g − meanTerm − (x − center)·slope)`, each factor one Float32 a channel.
  /// With meanTerm and slope nil (statistics were constants): `multiplier·g`. `gradInput` may be `gradOutput`.
  public func channelGradientInput(
    gradOutput: UnsafePointer<Float>, output y: UnsafePointer<Float>?, input x: UnsafePointer<Float>,
    _ shape: ChannelShape, center: UnsafePointer<Float>, multiplier: UnsafePointer<Float>,
    meanTerm: UnsafePointer<Float>?, slope: UnsafePointer<Float>?, activation: Activation,
    into gradInput: UnsafeMutablePointer<Float>, accumulate: Bool
  ) { fatalError("stub") }
}
