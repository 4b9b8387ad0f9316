// What a fit does to each image before the network sees it, and what chance decides for one image.
import MartletRuntime

/// Random changes of training images: a crop, then a flip, then a hole. Each is off by default.
///
///     padded = image with `cropPadding` pixels of the mean on all sides
///     crop   = padded[dy..., dx...] of the image's size         dy, dx uniform in 0...2·cropPadding
///     flip   = crop, mirrored left to right                     with probability ½, if `flips`
///     cutout = a square of side `cutout`, its centre any pixel  becomes the mean; what lies outside is cut off
///
/// "The mean" is 0 after normalisation: padding and holes carry no brightness of their own, and are what a convolution's own
/// zero padding looks like. Without an ``ImageNormalization`` it is the raw 0.
///
/// What happens to image i in epoch e depends on (seed, e, i) alone: not on threads, batch size or order.
/// Source: crop and flip, He et al. 2016, section 4.2; cutout, DeVries & Taylor 2017.
public struct Augmentation: Equatable, Sendable {
  /// Pixels; 0 or more, less than height and width.
  public var cropPadding: Int
  public var flips: Bool
  /// Pixels; 0 (none) up to the smaller of height and width.
  public var cutout: Int

  public init(cropPadding: Int = 0, flips: Bool = false, cutout: Int = 0) {
    self.cropPadding = cropPadding
    self.flips = flips
    self.cutout = cutout
  }

  func check(height: Int, width: Int) throws {
    let side = min(height, width)
    guard cropPadding >= 0, cropPadding < max(side, 1) else {
      throw MartletError.invalidArgument(
        "augmentation.crop_padding must be 0 or more and less than the images' smaller side, \(side); \(cropPadding) came.")
    }
    guard cutout >= 0, cutout <= side else {
      throw MartletError.invalidArgument(
        "augmentation.cutout must be in 0...\(side), the images' smaller side; \(cutout) came.")
    }
  }
}

/// What chance has decided for one image in one epoch.
struct ImageChoice: Equatable {
  /// Of the crop's corner from the image's, −cropPadding...cropPadding.
  var rowOffset = 0
  var columnOffset = 0
  var isFlipped = false
  /// The hole, cut off at the image's edges.
  var cutoutRows = 0..<0
  var cutoutColumns = 0..<0

  /// Nothing changes.
  init() {}

  /// - Parameter random: of the (seed, epoch); see ``random(seed:epoch:)``.
  init(_ augmentation: Augmentation, _ random: CounterRandom, image: Int, height: Int, width: Int) {
    // Eight numbers an image are set aside.
    let first = UInt64(image) &* 8
    func draw(_ number: UInt64, below count: Int) -> Int {
      Int(truncatingIfNeeded: random.bits(first &+ number).multipliedFullWidth(by: UInt64(count)).high)
    }
    let padding = augmentation.cropPadding
    if padding > 0 {
      rowOffset = draw(0, below: 2 * padding + 1) - padding
      columnOffset = draw(1, below: 2 * padding + 1) - padding
    }
    if augmentation.flips { isFlipped = draw(2, below: 2) == 1 }
    let side = augmentation.cutout
    if side > 0 {
      let top = draw(3, below: height) - side / 2
      let left = draw(4, below: width) - side / 2
      cutoutRows = max(top, 0)..<min(top + side, height)
      cutoutColumns = max(left, 0)..<min(left + side, width)
    }
  }

  /// The numbers of an epoch. Shuffling has the streams below 2⁶³ of the same seed.
  static func random(seed: UInt64, epoch: Int) -> CounterRandom {
    CounterRandom(seed: seed, stream: UInt64(epoch) | 1 << 63)
  }
}
