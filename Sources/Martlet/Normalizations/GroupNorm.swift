// Group normalisation.
import MartletRuntime

/// Normalises groups of neighbouring channels of each sample over the group and all positions, then scales and shifts each channel
/// by learned amounts.
///
///     y = scale · (x − mean) / √(variance + epsilon) + shift        one mean and biased variance per sample and group
///
/// Group g holds the channels g·C/groups … (g + 1)·C/groups − 1. One group is layer norm over all axes (but with one scale and shift a
/// channel); as many groups as channels is ``InstanceNorm``. Tensors: `weight` (scale, starts at 1) and `bias` (shift, 0), if on, `[C]`.
///
/// Shapes: `[rows, …, C]`, any rank; the result has the same.
///
/// Errors: groups that do not divide the channels; one value in a group.
///
/// Edge cases: a group of equal values yields exactly `shift`; a NaN or infinity spoils its own group of its own sample.
///
/// Source: Wu & He 2018.
public struct GroupNorm: Equatable {
  public static let kind = "group_norm"

  /// Divides the channels; ≥ 1.
  public var groups: Int
  /// Added to the variance; > 0.
  public var epsilon: Double
  /// Learns a scale γ.
  public var scale: Bool
  /// Learns a shift β.
  public var shift: Bool

  public init(_ groups: Int, epsilon: Double = 1e-5, scale: Bool = true, shift: Bool = true) {
    self.groups = groups
    self.epsilon = epsilon
    self.scale = scale
    self.shift = shift
  }
}

extension GroupNorm: BuildableNormalization {
  var parameters: NormalizationParameters { NormalizationParameters(scale: scale, shift: shift) }

  func method(_ sample: [Int]) throws -> NormalizationMethod {
    try BatchNorm.check(epsilon: epsilon)
    let channels = sample.last ?? 1
    guard groups >= 1 else {
      throw MartletError.invalidArgument("groups must be 1 or more; \(groups) came.")
    }
    guard channels % groups == 0 else {
      throw MartletError.shapeMismatch(
        "group_norm: \(groups) groups do not divide \(channels) channels (the last axis of \(Shape.text(sample))). Use a divisor of "
          + "\(channels).")
    }
    let positions = sample.dropLast().reduce(1, *)
    try Self.check(
      valuesNormalisedTogether: positions * (channels / groups), "group", sample, remedy: "Use fewer groups.")
    return .grouped(positions: positions, channels: channels, groups: groups, epsilon: epsilon)
  }

  var configuration: [(key: String, value: JSON)] {
    [
      ("groups", .integer(Int64(groups))), ("epsilon", .number(epsilon)), ("scale", .bool(scale)), ("shift", .bool(shift)),
    ]
  }

  init(configuration reader: ConfigurationReader) throws {
    try self.init(
      reader.int("groups"), epsilon: reader.double("epsilon"), scale: reader.bool("scale"), shift: reader.bool("shift"))
  }
}
