// The one-dimensional convolution.

/// y[t, o] = Σ x[t·stride + i·dilation − pad, c] · W[o, c, i] + b[o], over the kernel i and a group's channels c.
///
/// Shapes: x `[rows, length, in]`, result `[rows, outLength, filters]`. Tensors, as in PyTorch: `weight`
/// `[filters, in / groups, kernelSize]`, `bias` `[filters]`. All else as in ``Conv2D``.
public struct Conv1D: Layer, Equatable {
  public static let kind = "conv1d"
  public var filters: Int
  public var kernelSize: Int
  public var strides: Int
  /// ``Padding/valid``, ``Padding/same`` or ``Padding/explicit(left:right:)``.
  public var padding: Padding
  public var dilation: Int
  public var groups: Int
  public var bias: Bool
  public var weightInitializer: Initializer
  public var biasInitializer: Initializer

  public init(
    _ filters: Int, kernelSize: Int, strides: Int = 1, padding: Padding = .valid, dilation: Int = 1, groups: Int = 1,
    bias: Bool = true, weightInitializer: Initializer = .glorotUniform, biasInitializer: Initializer = .zeros
  ) {
    self.filters = filters
    self.kernelSize = kernelSize
    self.strides = strides
    self.padding = padding
    self.dilation = dilation
    self.groups = groups
    self.bias = bias
    self.weightInitializer = weightInitializer
    self.biasInitializer = biasInitializer
  }
}

extension Conv1D: SequenceLayer, TailedLayer {
  var image: Conv2D {
    var layer = Conv2D(
      filters, kernelSize: Extent2D(1, kernelSize), strides: Extent2D(1, strides), padding: padding,
      dilation: Extent2D(1, dilation), groups: groups, bias: bias, weightInitializer: weightInitializer,
      biasInitializer: biasInitializer)
    layer.names = .sequence(Self.kind)
    return layer
  }

  func outputShape(_ inputs: [[Int]]) throws -> [Int] {
    try padding.checkSequence()
    return Array(try image.outputShape(Self.image(inputs)).suffix(2))
  }

  var configuration: [(key: String, value: JSON)] {
    [
      ("filters", .integer(Int64(filters))), ("kernel_size", .integer(Int64(kernelSize))),
      ("strides", .integer(Int64(strides))), ("padding", padding.sequenceConfiguration),
      ("dilation", .integer(Int64(dilation))), ("groups", .integer(Int64(groups))), ("bias", .bool(bias)),
      ("weight_initializer", weightInitializer.configuration), ("bias_initializer", biasInitializer.configuration),
    ]
  }

  init(configuration reader: ConfigurationReader) throws {
    try self.init(
      reader.int("filters"), kernelSize: reader.int("kernel_size"), strides: reader.int("strides"),
      padding: reader.sequencePadding("padding"), dilation: reader.int("dilation"), groups: reader.int("groups"),
      bias: reader.bool("bias"), weightInitializer: Initializer(configuration: reader.value("weight_initializer")),
      biasInitializer: Initializer(configuration: reader.value("bias_initializer")))
  }
}
