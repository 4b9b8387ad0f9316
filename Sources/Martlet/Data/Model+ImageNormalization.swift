// The normalization of images that a model keeps, and applies wherever its input is read.
import MartletRuntime

extension Model {
  /// The normalization of the images that the model reads; nil: values are read as they are.
  ///
  /// It is applied to the input of every call: predictions, forward passes, steps, fits, evaluations, checks and statistics. uint8 pixels
  /// are divided by 255 first, other values are taken as they are. A fit with ``FitOptions/normalization`` sets it, so that predictions
  /// see what training saw. Submodels share it; copies, folded models and files have it, too.
  public var imageNormalization: ImageNormalization? { network.imageNormalizer?.normalization }

  /// Sets ``imageNormalization``.
  ///
  /// - Throws: ``MartletError/Kind/shapeMismatch`` unless the model has one input of images `[H, W, C]` and the numbers are one for each
  ///   channel, or one; ``MartletError/Kind/invalidArgument`` for numbers out of range. Nothing has changed then.
  public func setImageNormalization(_ normalization: ImageNormalization?) throws {
    try network.refuseDuringExchange("set_image_normalization")
    guard let normalization else { return try network.exclusivity.changing { network.imageNormalizer = nil } }
    guard inputShapes.count == 1, inputShapes[0].count == 3 else {
      throw MartletError.shapeMismatch(
        "normalization: expected a model with one input of images [height, width, channels]; got "
          + "\(inputShapes.map(Shape.text).joined(separator: ", ")).")
    }
    try normalization.check(channels: inputShapes[0][2])
    let normalizer = try ImageNormalizer(normalization, channels: inputShapes[0][2])
    try network.exclusivity.changing { network.imageNormalizer = normalizer }
  }

  /// Refuses a normalization of a call that is another than the model's.
  func checkAgrees(_ given: ImageNormalization) throws {
    guard let kept = imageNormalization, let channels = inputShapes.first?.last else { return }
    try given.check(channels: channels)
    for channel in 0..<channels
    where given.mean(channel) != kept.mean(channel) || given.deviation(channel) != kept.deviation(channel) {
      throw MartletError.invalidArgument(
        "normalization: expected the model's own, mean \(kept.mean(channel)) and deviation \(kept.deviation(channel)) in channel "
          + "\(channel); got \(given.mean(channel)) and \(given.deviation(channel)). Leave it out, or set the model's "
          + "image normalization.")
    }
  }
}

/// A normalization with its numbers in Float32, as ``ImageReader`` has them.
final class ImageNormalizer: @unchecked Sendable {
  let normalization: ImageNormalization
  private let channels: Int
  /// What each uint8 pixel becomes, channel after channel.
  private let pixels: Storage
  /// Each channel's mean and 1/deviation, for other values.
  private let factors: Storage

  init(_ normalization: ImageNormalization, channels: Int) throws {
    self.normalization = normalization
    self.channels = channels
    pixels = try Storage(byteCount: channels * 256 * 4)
    factors = try Storage(byteCount: channels * 2 * 4)
    for channel in 0..<channels {
      let (mean, deviation) = (normalization.mean(channel), normalization.deviation(channel))
      for pixel in 0..<256 { pixels.floats[channel * 256 + pixel] = Float((Double(pixel) / 255 - mean) / deviation) }
      factors.floats[channel * 2] = Float(mean)
      factors.floats[channel * 2 + 1] = Float(1 / deviation)
    }
  }

  /// Normalizes values in place; `areBytes`: they are copies of uint8 pixels.
  func apply(_ values: UnsafeMutablePointer<Float>, count: Int, areBytes: Bool) {
    var channel = 0
    for i in 0..<count {
      if areBytes {
        values[i] = pixels.floats[channel &* 256 &+ Int(values[i])]
      } else {
        values[i] = (values[i] - factors.floats[channel &* 2]) * factors.floats[channel &* 2 &+ 1]
      }
      channel &+= 1
      if channel == channels { channel = 0 }
    }
  }

  /// Turns the gradient by normalized values into that by the values that were read.
  func differentiate(_ gradient: UnsafeMutablePointer<Float>, count: Int, areBytes: Bool) {
    var channel = 0
    for i in 0..<count {
      gradient[i] *= factors.floats[channel &* 2 &+ 1] / (areBytes ? 255 : 1)
      channel &+= 1
      if channel == channels { channel = 0 }
    }
  }
}

extension ImageNormalization {
  /// As files keep it.
  var configuration: JSON {
    .object([
      ("mean", .array(mean.map { .number($0) })), ("standard_deviation", .array(standardDeviation.map { .number($0) })),
    ])
  }

  init(configuration: JSON) throws {
    let reader = try ConfigurationReader(configuration, "image_normalization", noun: "member")
    self.init(mean: try reader.doubles("mean"), standardDeviation: try reader.doubles("standard_deviation"))
    try reader.refuseUnknown()
  }
}
