// Images in the caller's memory, read one by one: converted, normalised and augmented in a single pass.
import MartletRuntime

/// Reads images `[N, H, W, C]` of uint8 or float32, of any strides, where they lie.
///
/// A uint8 pixel is looked up in a table of 256 numbers a channel, which are rounded once: the same bits on every
/// instruction set. Cost: one look-up or one subtraction and multiplication a value.
final class ImageReader: @unchecked Sendable {
  private let images: ArrayView
  private let augmentation: Augmentation?
  let height: Int
  let width: Int
  let channels: Int
  /// Values of one image.
  var length: Int { height * width * channels }

  /// uint8: what each pixel value becomes, channel after channel. float32: each channel's mean and 1/deviation.
  private let table: Storage

  /// - Parameter rowShape: of the model's input.
  /// - Throws: ``MartletError`` if these are not images, or an option does not fit them.
  init(
    _ images: ArrayView, rowShape: [Int], _ augmentation: Augmentation?, _ normalization: ImageNormalization?,
    argument: String = "inputs[0]"
  ) throws {
    guard rowShape.count == 3 else {
      throw MartletError.shapeMismatch(
        "augmentation and normalization are for images [height, width, channels]; a row of the model's input has the shape "
          + "\(Shape.text(rowShape)).")
    }
    guard images.dataType == .uint8 || images.dataType == .float32 else {
      throw MartletError(
        .unsupported,
        "\(argument): augmentation and normalization take images of uint8 or float32; \(images.dataType.name) came. "
          + "Convert them.")
    }
    (height, width, channels) = (rowShape[0], rowShape[1], rowShape[2])
    try augmentation?.check(height: height, width: width)
    try normalization?.check(channels: channels)
    self.images = images
    self.augmentation = augmentation

    let isBytes = images.dataType == .uint8
    table = try Storage(byteCount: channels * (isBytes ? 256 : 2) * 4)
    for channel in 0..<channels {
      let (mean, deviation) = (normalization?.mean(channel) ?? 0, normalization?.deviation(channel) ?? 1)
      if isBytes {
        let unit = normalization == nil ? 1.0 : 255.0
        for pixel in 0..<256 { table.floats[channel * 256 + pixel] = Float((Double(pixel) / unit - mean) / deviation) }
      } else {
        table.floats[channel * 2] = Float(mean)
        table.floats[channel * 2 + 1] = Float(1 / deviation)
      }
    }
  }

  /// What chance decides for an image in an epoch.
  func choice(_ image: Int, _ random: CounterRandom) -> ImageChoice {
    guard let augmentation else { return ImageChoice() }
    return ImageChoice(augmentation, random, image: image, height: height, width: width)
  }

  /// Writes one image, `length` values.
  func read(_ image: Int, _ choice: ImageChoice, into target: UnsafeMutablePointer<Float>) {
    guard let data = images.data, length > 0 else { return }
    let (table, start) = (UnsafePointer(table.floats), image &* images.stride(0))
    if images.dataType == .uint8 {
      read(choice, into: target) { place, channel in
        let pixel = data.load(fromByteOffset: start &+ place, as: UInt8.self)
        return table[channel &* 256 &+ Int(pixel)]
      }
    } else {
      read(choice, into: target) { place, channel in
        let value = data.loadUnaligned(fromByteOffset: (start &+ place) &* 4, as: Float.self)
        return (value - table[channel &* 2]) * table[channel &* 2 &+ 1]
      }
    }
  }

  /// - Parameter value: of the element at a distance from the image's first, in a channel.
  @inline(__always)
  private func read(
    _ choice: ImageChoice, into target: UnsafeMutablePointer<Float>, _ value: (_ place: Int, _ channel: Int) -> Float
  ) {
    let (height, width, channels) = (height, width, channels)
    let (down, right, deep) = (images.stride(1), images.stride(2), images.stride(3))
    let run = width &* channels
    // The columns of the result that come from inside the image, before the flip.
    let (from, to) = (max(0, 0 - choice.columnOffset), min(width, width - choice.columnOffset))
    for y in 0..<height {
      let row = target + y &* run
      let source = y &+ choice.rowOffset
      guard source >= 0, source < height else {
        row.update(repeating: 0, count: run)
        continue
      }
      if to - from < width { row.update(repeating: 0, count: run) }
      var place = source &* down &+ (from &+ choice.columnOffset) &* right
      var out = row + (choice.isFlipped ? width &- 1 &- from : from) &* channels
      let step = choice.isFlipped ? 0 &- channels : channels
      for _ in from..<to {
        for channel in 0..<channels { out[channel] = value(place &+ channel &* deep, channel) }
        place &+= right
        out += step
      }
      if choice.cutoutRows.contains(y) {
        (row + choice.cutoutColumns.lowerBound &* channels)
          .update(repeating: 0, count: choice.cutoutColumns.count &* channels)
      }
    }
  }
}
