// Images brought to mean 0 and deviation 1 a channel, on their way into the network.

/// Each channel's mean and standard deviation over a data set.
///
///     y = (v − mean) / standardDeviation        v: a uint8 pixel divided by 255, or a float32 value as it is
///
/// So the figures are of pixels in 0…1, as usually published, where images are uint8. Without a normalisation uint8 pixels
/// are the numbers 0…255.
public struct ImageNormalization: Equatable, Sendable {
  /// One for each channel, or one for all.
  public var mean: [Double]
  /// As many as there are means; each above 0.
  public var standardDeviation: [Double]

  public init(mean: [Double], standardDeviation: [Double]) {
    self.mean = mean
    self.standardDeviation = standardDeviation
  }

  func check(channels: Int) throws {
    for (name, values) in [("mean", mean), ("standard_deviation", standardDeviation)] {
      guard values.count == channels || values.count == 1 else {
        throw MartletError.shapeMismatch(
          "normalization.\(name): \(channels) values are needed, one for each channel, or one for all; \(values.count) came.")
      }
      if let wrong = values.first(where: { !$0.isFinite }) {
        throw MartletError.invalidArgument("normalization.\(name): finite numbers are needed; \(wrong) came.")
      }
    }
    if let wrong = standardDeviation.first(where: { !(Float($0) >= Float.leastNormalMagnitude) || Float($0).isInfinite }) {
      throw MartletError.invalidArgument(
        "normalization.standard_deviation: numbers above 0 are needed; \(wrong) came. "
          + "For a channel that never varies give 1.")
    }
  }

  func mean(_ channel: Int) -> Double { mean.count == 1 ? mean[0] : mean[channel] }
  func deviation(_ channel: Int) -> Double {
    standardDeviation.count == 1 ? standardDeviation[0] : standardDeviation[channel]
  }
}
