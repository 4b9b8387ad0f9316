// Root mean square normalisation.
import MartletRuntime

/// Divides each position of each sample by the root of its mean square over the channels, then scales each channel by a learned
/// amount.
///
///     y = scale · x / √(mean(x²) + epsilon)
///
/// No mean is subtracted and nothing is shifted. `epsilon` defaults to 1e-6 (PyTorch's default is the step from 1 to the next Float32, 1.2e-7).
/// Tensor: `weight` (scale, `[C]`, starts at 1), if on.
///
/// Shapes: `[rows, …, C]`, any rank; the result has the same.
///
/// Edge cases: a row of zeros yields zeros; a NaN or infinity spoils its own row.
///
/// Source: Zhang & Sennrich 2019.
public struct RMSNorm: Equatable {
  public static let kind = "rms_norm"

  /// Added to the mean square; > 0.
  public var epsilon: Double
  /// Learns a scale γ.
  public var scale: Bool

  public init(epsilon: Double = 1e-6, scale: Bool = true) {
    self.epsilon = epsilon
    self.scale = scale
  }
}

extension RMSNorm: BuildableNormalization {
  var parameters: NormalizationParameters { NormalizationParameters(scale: scale) }

  func method(_ sample: [Int]) throws -> NormalizationMethod {
    try BatchNorm.check(epsilon: epsilon)
    return .rows(
      count: sample.dropLast().reduce(1, *), groups: 1, shape: Array(sample.suffix(1)), centers: false, epsilon: epsilon)
  }

  var configuration: [(key: String, value: JSON)] { [("epsilon", .number(epsilon)), ("scale", .bool(scale))] }

  init(configuration reader: ConfigurationReader) throws {
    try self.init(epsilon: reader.double("epsilon"), scale: reader.bool("scale"))
  }
}
