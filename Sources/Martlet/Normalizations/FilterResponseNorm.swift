// Filter response normalisation with its thresholded linear unit.
import MartletRuntime

/// Divides each channel of each sample by the root of its mean square over the positions, scales and shifts it, and cuts off what
/// lies below a learned threshold: normalisation and activation in one layer.
///
///     ν² = mean of x² over the positions        z = scale · x / √(ν² + ε) + shift        y = max(z, threshold)
///
/// ε is `epsilon`, plus |e| with one learned e a channel where `learnsEpsilon` (for activations of one or few positions, where ν² says
/// little). No mean is subtracted: `shift` and the learned threshold take the place of that; do not put a ReLU behind it. The
/// gradient of a tie z = threshold goes to z.
///
/// Tensors, `[C]` each: `weight` (scale, starts at 1), `bias` (shift, 0), `threshold` (0), `learned_epsilon` (1e-4), those that are on.
///
/// Shapes: `[rows, …, C]`, any rank; the result has the same.
///
/// Edge cases: a channel of zeros yields max(shift, threshold); a NaN spoils its own channel of its own sample.
///
/// Source: Singh & Krishnan 2020, the thresholded linear unit and the learned epsilon included.
public struct FilterResponseNorm: Equatable {
  public static let kind = "filter_response_norm"
  /// Where the learned epsilons start.
  public static let initialLearnedEpsilon = 1e-4

  /// Added to the mean square; > 0.
  public var epsilon: Double
  /// Learns a scale γ.
  public var scale: Bool
  /// Learns a shift β.
  public var shift: Bool
  /// Learns a threshold τ; else nothing is cut off.
  public var threshold: Bool
  /// Learns what is added to `epsilon`.
  public var learnsEpsilon: Bool

  public init(
    epsilon: Double = 1e-6, scale: Bool = true, shift: Bool = true, threshold: Bool = true, learnsEpsilon: Bool = false
  ) {
    self.epsilon = epsilon
    self.scale = scale
    self.shift = shift
    self.threshold = threshold
    self.learnsEpsilon = learnsEpsilon
  }
}

extension FilterResponseNorm: BuildableNormalization {
  var parameters: NormalizationParameters {
    NormalizationParameters(scale: scale, shift: shift, threshold: threshold, learnedEpsilon: learnsEpsilon)
  }

  func method(_ sample: [Int]) throws -> NormalizationMethod {
    try BatchNorm.check(epsilon: epsilon)
    return .filterResponse(positions: sample.dropLast().reduce(1, *), channels: sample.last ?? 1, epsilon: epsilon)
  }

  var configuration: [(key: String, value: JSON)] {
    [
      ("epsilon", .number(epsilon)), ("scale", .bool(scale)), ("shift", .bool(shift)), ("threshold", .bool(threshold)),
      ("learns_epsilon", .bool(learnsEpsilon)),
    ]
  }

  init(configuration reader: ConfigurationReader) throws {
    try self.init(
      epsilon: reader.double("epsilon"), scale: reader.bool("scale"), shift: reader.bool("shift"),
      threshold: reader.bool("threshold"), learnsEpsilon: reader.bool("learns_epsilon"))
  }
}
