// Instance normalisation.
import MartletRuntime

/// Normalises each channel of each sample over its positions.
///
///     y = scale · (x − mean) / √(variance + epsilon) + shift        one mean and biased variance per sample and channel
///
/// ``GroupNorm`` with a group for each channel. As in PyTorch, scale and shift are off unless asked for; there are no running
/// statistics: training and inference both use the sample's own. Tensors: `weight` (scale, starts at 1) and `bias` (shift, 0), if on, `[C]`.
///
/// Shapes: `[rows, …, C]` with positions between; the result has the same.
///
/// Errors: one position, whose normalised value is always 0.
///
/// Source: Ulyanov, Vedaldi & Lempitsky 2016.
public struct InstanceNorm: Equatable {
  public static let kind = "instance_norm"

  /// Added to the variance; > 0.
  public var epsilon: Double
  /// Learns a scale γ.
  public var scale: Bool
  /// Learns a shift β.
  public var shift: Bool

  public init(epsilon: Double = 1e-5, scale: Bool = false, shift: Bool = false) {
    self.epsilon = epsilon
    self.scale = scale
    self.shift = shift
  }
}

extension InstanceNorm: BuildableNormalization {
  var parameters: NormalizationParameters { NormalizationParameters(scale: scale, shift: shift) }

  func method(_ sample: [Int]) throws -> NormalizationMethod {
    try BatchNorm.check(epsilon: epsilon)
    let channels = sample.last ?? 1
    let positions = sample.dropLast().reduce(1, *)
    try Self.check(
      valuesNormalisedTogether: positions, "channel", sample,
      remedy: "Use images of 2 or more pixels, or GroupNorm or LayerNorm.")
    return .grouped(positions: positions, channels: channels, groups: channels, epsilon: epsilon)
  }

  var configuration: [(key: String, value: JSON)] {
    [("epsilon", .number(epsilon)), ("scale", .bool(scale)), ("shift", .bool(shift))]
  }

  init(configuration reader: ConfigurationReader) throws {
    try self.init(epsilon: reader.double("epsilon"), scale: reader.bool("scale"), shift: reader.bool("shift"))
  }
}
