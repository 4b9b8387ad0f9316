// Pooling: what stays of each window.
import MartletRuntime

/// The largest value of each window, channel by channel; a NaN in the window stays one.
///
/// Shapes: x `[rows, height, width, C]`, result `[rows, outHeight, outWidth, C]`, sizes as of ``Conv2D``. Padding counts as −∞. The
/// gradient goes to the first of several largest values, in row-major order.
public struct MaxPool2D: Layer, Equatable {
  public static let kind = "max_pool2d"
  public var size: Extent2D
  /// Nil: as large as `size`, windows side by side.
  public var strides: Extent2D?
  /// Less than `size` on each side.
  public var padding: Padding
  var names = WindowNames(kind: MaxPool2D.kind)

  public init(_ size: Extent2D, strides: Extent2D? = nil, padding: Padding = .valid) {
    self.size = size
    self.strides = strides
    self.padding = padding
  }
}

extension MaxPool2D: BuildableLayer {
  func window(_ image: [Int]) throws -> Window2D {
    try Window2D.pooling(names, on: image, size: size, strides: strides, padding: padding)
  }

  func outputShape(_ inputs: [[Int]]) throws -> [Int] { try window(Self.single(inputs)).pooledShape }
  func makeStep(_ site: StepSite) -> PlanStep? {
    (try? window(site.inputShapes[0])).map { MaxPoolStep(site, $0) }
  }

  var configuration: [(key: String, value: JSON)] {
    [("size", size.configuration), ("strides", (strides ?? size).configuration), ("padding", padding.configuration)]
  }
  init(configuration reader: ConfigurationReader) throws {
    try self.init(reader.extent("size"), strides: reader.extent("strides"), padding: reader.padding("padding"))
  }
}

/// The mean of each window, channel by channel.
///
/// Shapes as of ``MaxPool2D``.
public struct AvgPool2D: Layer, Equatable {
  public static let kind = "avg_pool2d"
  public var size: Extent2D
  /// Nil: as large as `size`, windows side by side.
  public var strides: Extent2D?
  /// Less than `size` on each side.
  public var padding: Padding
  /// Divides by the window's whole size, with the padding's zeros in the sum; else by the values that lie in the image.
  public var countIncludesPad: Bool
  var names = WindowNames(kind: AvgPool2D.kind)

  public init(_ size: Extent2D, strides: Extent2D? = nil, padding: Padding = .valid, countIncludesPad: Bool = false) {
    self.size = size
    self.strides = strides
    self.padding = padding
    self.countIncludesPad = countIncludesPad
  }
}

extension AvgPool2D: BuildableLayer {
  func window(_ image: [Int]) throws -> Window2D {
    try Window2D.pooling(names, on: image, size: size, strides: strides, padding: padding)
  }

  func outputShape(_ inputs: [[Int]]) throws -> [Int] { try window(Self.single(inputs)).pooledShape }
  func makeStep(_ site: StepSite) -> PlanStep? {
    (try? window(site.inputShapes[0])).map { AveragePoolStep(site, $0, countIncludesPad: countIncludesPad) }
  }

  var configuration: [(key: String, value: JSON)] {
    [
      ("size", size.configuration), ("strides", (strides ?? size).configuration), ("padding", padding.configuration),
      ("count_includes_pad", .bool(countIncludesPad)),
    ]
  }
  init(configuration reader: ConfigurationReader) throws {
    try self.init(
      reader.extent("size"), strides: reader.extent("strides"), padding: reader.padding("padding"),
      countIncludesPad: reader.bool("count_includes_pad"))
  }
}

/// The mean of each channel over the whole image.
///
/// Shapes: x `[rows, height, width, C]`, result `[rows, C]`.
public struct GlobalAvgPool2D: Layer, BuildableLayer {
  public static let kind = "global_avg_pool2d"
  public init() {}

  func outputShape(_ inputs: [[Int]]) throws -> [Int] {
    let image = try Window2D.image(WindowNames(kind: Self.kind), Self.single(inputs))
    guard image.height > 0, image.width > 0 else {
      throw MartletError.shapeMismatch("\(Self.kind): images of 1 or more are needed; \(Shape.text(inputs[0])) came.")
    }
    return [image.channels]
  }
  func makeStep(_ site: StepSite) -> PlanStep? { GlobalAveragePoolStep(site) }
  var configuration: [(key: String, value: JSON)] { [] }
  init(configuration: ConfigurationReader) throws { self.init() }
}

extension Window2D {
  static func pooling(
    _ names: WindowNames, on image: [Int], size: Extent2D, strides: Extent2D?, padding: Padding
  ) throws -> Window2D {
    let window = try Window2D(names, on: image, size: size, strides: strides ?? size, padding: padding)
    try window.checkEachMeetsImage(names)
    return window
  }

  /// Of a layer that keeps the channels.
  var pooledShape: [Int] { [height.count, width.count, channels] }
}
