// The two-dimensional convolution.
import MartletRuntime

/// y[h, w, o] = Σ x[h·stride + i·dilation − pad, …, c] · W[o, c, i, j] + b[o], over the kernel (i, j) and a group's channels c.
///
/// Shapes: x `[rows, height, width, in]`, result `[rows, outHeight, outWidth, filters]`, where outHeight =
/// ⌊(height + top + bottom − dilation·(kernel − 1) − 1) / stride⌋ + 1, and the width likewise. Tensors, as in PyTorch: `weight`
/// `[filters, in / groups, kernelHeight, kernelWidth]`, `bias` `[filters]`.
///
/// With `groups` the channels are cut into parts, each with filters / groups filters of its own; groups = in = filters is the depthwise
/// convolution.
public struct Conv2D: Layer, Equatable {
  public static let kind = "conv2d"

  /// Channels of the result; ≥ 1.
  public var filters: Int
  public var kernelSize: Extent2D
  public var strides: Extent2D
  public var padding: Padding
  /// Steps between the kernel's values on the input.
  public var dilation: Extent2D
  /// Divides both the input's channels and `filters`.
  public var groups: Int
  /// Adds b. A batch norm right behind makes it useless: its mean takes it out again.
  public var bias: Bool
  public var weightInitializer: Initializer
  public var biasInitializer: Initializer
  /// ``ConvolutionAlgorithm/winograd`` needs a kernel of 3×3, strides and dilation 1 and no groups.
  public var algorithm: ConvolutionAlgorithm
  var names = WindowNames(kind: Conv2D.kind)

  public init(
    _ filters: Int, kernelSize: Extent2D, strides: Extent2D = 1, padding: Padding = .valid, dilation: Extent2D = 1,
    groups: Int = 1, bias: Bool = true, weightInitializer: Initializer = .glorotUniform, biasInitializer: Initializer = .zeros,
    algorithm: ConvolutionAlgorithm = .automatic
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
    self.algorithm = algorithm
  }
}

extension Conv2D: TailedLayer {
  func window(_ image: [Int]) throws -> Window2D {
    try Window2D(names, on: image, size: kernelSize, strides: strides, dilation: dilation, padding: padding)
  }

  func outputShape(_ inputs: [[Int]]) throws -> [Int] {
    guard filters >= 1 else { throw MartletError.invalidArgument("filters must be 1 or more; \(filters) came.") }
    guard groups >= 1 else { throw MartletError.invalidArgument("groups must be 1 or more; \(groups) came.") }
    try weightInitializer.check("weight_initializer")
    try biasInitializer.check("bias_initializer")
    try checkAlgorithm()
    let window = try window(Self.single(inputs))
    guard window.channels % groups == 0 else {
      throw MartletError.shapeMismatch(
        "groups must divide the input's channels; \(groups) came for the \(window.channels) of \(Shape.text(inputs[0])).")
    }
    guard filters % groups == 0 else {
      throw MartletError.shapeMismatch("groups must divide filters; \(groups) came for \(filters) filters.")
    }
    _ = try Shape.elementCount(weightShape(window.channels), argument: "weight")
    return [window.height.count, window.width.count, filters]
  }

  private func checkAlgorithm() throws {
    guard algorithm == .winograd, kernelSize != 3 || strides != 1 || dilation != 1 || groups != 1 else { return }
    func text(_ size: Extent2D) -> String { "\(size.height)×\(size.width)" }
    throw MartletError.invalidArgument(
      "algorithm: winograd needs a kernel of 3×3, strides 1×1, dilation 1×1 and groups 1; a kernel of "
        + "\(text(kernelSize)), strides \(text(strides)), dilation \(text(dilation)) and groups \(groups) came. "
        + "Use automatic or direct."
    )
  }

  private func weightShape(_ channels: Int) -> [Int] {
    [filters, channels / groups, kernelSize.height, kernelSize.width]
  }

  func variables(_ inputs: [[Int]]) throws -> [VariableSpecification] {
    let shape = weightShape(try Window2D.image(names, Self.single(inputs)).channels)
    // No overflow: the whole weight was counted.
    let kernel = kernelSize.height * kernelSize.width
    let (fanIn, fanOut) = (shape[1] * kernel, filters / groups * kernel)
    var list = [
      VariableSpecification(
        name: "weight", shape: shape, kind: .parameter, initializer: weightInitializer, fanIn: fanIn, fanOut: fanOut,
        isWeight: true)
    ]
    if bias {
      list.append(
        VariableSpecification(
          name: "bias", shape: [filters], kind: .parameter, initializer: biasInitializer, fanIn: fanIn, fanOut: fanOut))
    }
    return list
  }

  func makeStep(_ site: StepSite) -> PlanStep? {
    guard let shape = convolutionShape(site.inputShapes[0], samples: site.capacity) else { return nil }
    return ConvolutionStep(site, shape, algorithm)
  }

  /// Nil where the layer does not fit the image.
  func convolutionShape(_ image: [Int], samples: Int) -> ConvolutionShape? {
    guard let window = try? window(image) else { return nil }
    return ConvolutionShape(
      samples: samples, height: window.height.length, width: window.width.length, inChannels: window.channels,
      outChannels: filters, groups: groups, kernelHeight: window.height.size, kernelWidth: window.width.size,
      strideHeight: window.height.stride, strideWidth: window.width.stride, dilationHeight: window.height.dilation,
      dilationWidth: window.width.dilation, padTop: window.height.before, padBottom: window.height.after,
      padLeft: window.width.before, padRight: window.width.after)
  }

  /// The algorithm where it was chosen: files of others read as they did before there was a choice.
  var configuration: [(key: String, value: JSON)] {
    [
      ("filters", .integer(Int64(filters))), ("kernel_size", kernelSize.configuration), ("strides", strides.configuration),
      ("padding", padding.configuration), ("dilation", dilation.configuration), ("groups", .integer(Int64(groups))),
      ("bias", .bool(bias)), ("weight_initializer", weightInitializer.configuration),
      ("bias_initializer", biasInitializer.configuration),
    ] + (algorithm == .automatic ? [] : [("algorithm", .string(algorithm.name))])
  }

  init(configuration reader: ConfigurationReader) throws {
    try self.init(
      reader.int("filters"), kernelSize: reader.extent("kernel_size"), strides: reader.extent("strides"),
      padding: reader.padding("padding"), dilation: reader.extent("dilation"), groups: reader.int("groups"),
      bias: reader.bool("bias"), weightInitializer: Initializer(configuration: reader.value("weight_initializer")),
      biasInitializer: Initializer(configuration: reader.value("bias_initializer")),
      algorithm: reader.optional("algorithm") == nil
        ? .automatic : reader.choice("algorithm", ConvolutionAlgorithm.allCases.map { ($0.name, $0) }))
  }
}
