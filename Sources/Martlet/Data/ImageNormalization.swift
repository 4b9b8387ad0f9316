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
    }
    for value in mean { try OptionNumber.check(value, "normalization.mean", .finite) }
    for value in standardDeviation {
      guard value > 0 else {
        throw MartletError.invalidArgument(
          "normalization.standard_deviation: expected numbers above 0; got \(value). For a channel that never varies give 1.")
      }
      try OptionNumber.check(value, "normalization.standard_deviation", .aboveZero)
    }
    for channel in 0..<channels {
      // What a float32 image is multiplied by, and the farthest pixels of a uint8 image.
      let (mean, deviation) = (mean(channel), deviation(channel))
      for result in [1 / deviation, (0 - mean) / deviation, (1 - mean) / deviation] where !Float(result).isFinite {
        throw MartletError.invalidArgument(
          "normalization.standard_deviation: expected numbers that leave pixels of 0 to 1 finite in float32; got \(deviation) "
            + "for the mean \(mean). For a channel that never varies give 1.")
      }
    }
  }

  func mean(_ channel: Int) -> Double { mean.count == 1 ? mean[0] : mean[channel] }
  func deviation(_ channel: Int) -> Double {
    standardDeviation.count == 1 ? standardDeviation[0] : standardDeviation[channel]
  }
}
