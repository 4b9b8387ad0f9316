// Layer normalisation.
import MartletRuntime

/// Normalises each position of each sample over its channels, or each whole sample, then scales and shifts each value by learned
/// amounts.
///
///     y = scale · (x − mean) / √(variance + epsilon) + shift
///
/// Mean and biased variance are taken over the last axis (``Axes/last``: one of each per row, pixel or token), or over all axes
/// but the batch's (``Axes/all``: one of each per sample). Tensors: `weight` (scale, starts at 1) and `bias` (shift, 0), if on, of
/// the shape that is normalised over: `[C]` or `[…, C]`, as PyTorch's LayerNorm over that shape.
///
/// Shapes: `[rows, …, C]`, any rank; the result has the same.
///
/// Errors: one value normalised by itself.
///
/// Edge cases: a row of equal values yields exactly `shift`; a NaN or infinity spoils its own row.
///
/// Source: Ba, Kiros & Hinton 2016.
public struct LayerNorm: Equatable {
  public static let kind = "layer_norm"

  /// What a mean is taken over.
  public enum Axes: Int32, Sendable, CaseIterable {
    /// The channels.
    case last = 0
    /// All axes but the batch's.
    case all = 1
  }

  /// Added to the variance; > 0.
  public var epsilon: Double
  public var over: Axes
  /// Learns a scale γ.
  public var scale: Bool
  /// Learns a shift β.
  public var shift: Bool

  public init(epsilon: Double = 1e-5, over: Axes = .last, scale: Bool = true, shift: Bool = true) {
    self.epsilon = epsilon
    self.over = over
    self.scale = scale
    self.shift = shift
  }
}

extension LayerNorm: BuildableNormalization {
  var parameters: NormalizationParameters { NormalizationParameters(scale: scale, shift: shift) }

  func method(_ sample: [Int]) throws -> NormalizationMethod {
    try BatchNorm.check(epsilon: epsilon)
    let shape = over == .all ? sample : Array(sample.suffix(1))
    let length = shape.reduce(1, *)
    try Self.check(
      valuesNormalisedTogether: length, over == .all ? "sample" : "position", sample,
      remedy: "Use BatchNorm" + (over == .last && sample.count > 1 ? ", or normalise over all axes." : "."))
    return .rows(count: sample.dropLast(shape.count).reduce(1, *), groups: 1, shape: shape, centers: true, epsilon: epsilon)
  }

  var configuration: [(key: String, value: JSON)] {
    [
      ("epsilon", .number(epsilon)), ("over", .string(over == .all ? "all" : "last")), ("scale", .bool(scale)),
      ("shift", .bool(shift)),
    ]
  }

  init(configuration reader: ConfigurationReader) throws {
    try self.init(
      epsilon: reader.double("epsilon"), over: reader.choice("over", [("last", .last), ("all", .all)]),
      scale: reader.bool("scale"), shift: reader.bool("shift"))
  }
}
