// Pooling over sequences.

/// The largest value of each window of a sequence. Shapes: x `[rows, length, C]`, result `[rows, outLength, C]`; else as ``MaxPool2D``.
public struct MaxPool1D: Layer, Equatable {
  public static let kind = "max_pool1d"
  public var size: Int
  /// Nil: as large as `size`.
  public var strides: Int?
  /// ``Padding/valid``, ``Padding/same`` or ``Padding/explicit(left:right:)``.
  public var padding: Padding

  public init(_ size: Int, strides: Int? = nil, padding: Padding = .valid) {
    self.size = size
    self.strides = strides
    self.padding = padding
  }
}

extension MaxPool1D: SequenceLayer {
  var image: MaxPool2D {
    var layer = MaxPool2D(Extent2D(1, size), strides: Extent2D(1, strides ?? size), padding: padding)
    layer.names = .sequence(Self.kind)
    return layer
  }

  func outputShape(_ inputs: [[Int]]) throws -> [Int] {
    try padding.checkSequence()
    return Array(try image.outputShape(Self.image(inputs)).suffix(2))
  }

  var configuration: [(key: String, value: JSON)] {
    [
      ("size", .integer(Int64(size))), ("strides", .integer(Int64(strides ?? size))),
      ("padding", padding.sequenceConfiguration),
    ]
  }
  init(configuration reader: ConfigurationReader) throws {
    try self.init(reader.int("size"), strides: reader.int("strides"), padding: reader.sequencePadding("padding"))
  }
}

/// The mean of each window of a sequence. Shapes: x `[rows, length, C]`, result `[rows, outLength, C]`; else as ``AvgPool2D``.
public struct AvgPool1D: Layer, Equatable {
  public static let kind = "avg_pool1d"
  public var size: Int
  /// Nil: as large as `size`.
  public var strides: Int?
  /// ``Padding/valid``, ``Padding/same`` or ``Padding/explicit(left:right:)``.
  public var padding: Padding
  public var countIncludesPad: Bool

  public init(_ size: Int, strides: Int? = nil, padding: Padding = .valid, countIncludesPad: Bool = false) {
    self.size = size
    self.strides = strides
    self.padding = padding
    self.countIncludesPad = countIncludesPad
  }
}

extension AvgPool1D: SequenceLayer {
  var image: AvgPool2D {
    var layer = AvgPool2D(
      Extent2D(1, size), strides: Extent2D(1, strides ?? size), padding: padding, countIncludesPad: countIncludesPad)
    layer.names = .sequence(Self.kind)
    return layer
  }

  func outputShape(_ inputs: [[Int]]) throws -> [Int] {
    try padding.checkSequence()
    return Array(try image.outputShape(Self.image(inputs)).suffix(2))
  }

  var configuration: [(key: String, value: JSON)] {
    [
      ("size", .integer(Int64(size))), ("strides", .integer(Int64(strides ?? size))),
      ("padding", padding.sequenceConfiguration), ("count_includes_pad", .bool(countIncludesPad)),
    ]
  }
  init(configuration reader: ConfigurationReader) throws {
    try self.init(
      reader.int("size"), strides: reader.int("strides"), padding: reader.sequencePadding("padding"),
      countIncludesPad: reader.bool("count_includes_pad"))
  }
}

/// The mean of each channel over the whole sequence. Shapes: x `[rows, length, C]`, result `[rows, C]`.
public struct GlobalAvgPool1D: Layer, BuildableLayer {
  public static let kind = "global_avg_pool1d"
  public init() {}

  func outputShape(_ inputs: [[Int]]) throws -> [Int] {
    let shape = try Self.single(inputs)
    guard shape.count == 2, shape.allSatisfy({ $0 > 0 }) else {
      throw MartletError.shapeMismatch(
        "\(Self.kind) takes sequences [length, channels] of 1 or more each; a row of its input has the shape \(Shape.text(shape))."
      )
    }
    return [shape[1]]
  }
  func makeStep(_ site: StepSite) -> PlanStep? { GlobalAveragePoolStep(site) }
  var configuration: [(key: String, value: JSON)] { [] }
  init(configuration: ConfigurationReader) throws { self.init() }
}
