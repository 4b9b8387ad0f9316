// Structs of options of fits and evaluations on images.
import CMartlet
import Martlet

extension martlet_augmentation_options: SizedOptions {}
extension martlet_image_normalization: SizedOptions {}

@_cdecl("martlet_model_set_image_normalization") @implementation
public func martlet_model_set_image_normalization(
  _ handle: OpaquePointer!, _ normalization: UnsafePointer<martlet_image_normalization>!
) -> martlet_status {
  boundary { try model(handle).setImageNormalization(ImageNormalization.optional(normalization, "normalization")) }
}

extension Augmentation {
  /// nil for NULL.
  static func optional(_ pointer: UnsafePointer<martlet_augmentation_options>?, _ argument: String) throws -> Augmentation? {
    guard let given = try options(pointer, argument) else { return nil }
    return Augmentation(
      cropPadding: Int(given.crop_padding), flips: try flag(given.flip, "\(argument).flip"), cutout: Int(given.cutout))
  }
}

extension ImageNormalization {
  /// nil for NULL.
  static func optional(
    _ pointer: UnsafePointer<martlet_image_normalization>?, _ argument: String
  ) throws -> ImageNormalization? {
    guard let given = try options(pointer, argument) else { return nil }
    guard (1...Int64(Limits.imageChannelCount)).contains(given.count) else {
      throw MartletError(
        .invalidArgument, "\(argument).count must be the number of channels, or 1 for all of them; \(given.count) came.")
    }
    let reserve = try MemoryReserve(entries: Int(given.count), bytesEach: 16)
    defer { reserve.end() }
    func values(_ pointer: UnsafePointer<Double>?, _ name: String) throws -> [Double] {
      Array(UnsafeBufferPointer(start: try require(pointer, "\(argument).\(name)"), count: Int(given.count)))
    }
    return ImageNormalization(
      mean: try values(given.mean, "mean"), standardDeviation: try values(given.standard_deviation, "standard_deviation"))
  }
}
