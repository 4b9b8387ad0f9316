// The convolution of arrays, outside any model.
import MartletRuntime

/// The plain convolution of images and its gradients, on anybody's memory, channels last.
///
///     y[n, h, w, o] = Σ x[n, h·stride + i·dilation − pad, …, c] · weight[o, c, i, j] + bias[o]
///
/// What ``Conv2D`` computes, to the bit. Contiguous Float32 is read and written where it lies, any other array is copied first; filters
/// are packed in every call.
///
/// Shapes: x `[N, height, width, in]`, weight `[filters, in / groups, kernelHeight, kernelWidth]`, bias `[filters]`, y `[N, outHeight,
/// outWidth, filters]` (``outputShape(x:weight:)``).
public struct ConvolutionFunction: Equatable, Sendable {
  public var strides: Extent2D
  public var padding: Padding
  /// Steps between the kernel's values on the input.
  public var dilation: Extent2D
  /// Divides both the input's channels and the filters.
  public var groups: Int
  /// ``ConvolutionAlgorithm/winograd`` needs a kernel of 3×3, strides and dilation 1 and no groups.
  public var algorithm: ConvolutionAlgorithm

  public init(
    strides: Extent2D = 1, padding: Padding = .valid, dilation: Extent2D = 1, groups: Int = 1,
    algorithm: ConvolutionAlgorithm = .automatic
  ) {
    self.strides = strides
    self.padding = padding
    self.dilation = dilation
    self.groups = groups
    self.algorithm = algorithm
  }

  /// The shape of y.
  ///
  /// - Throws: ``MartletError/Kind/shapeMismatch`` for images or filters of other ranks, without channels, or that do not fit each other;
  ///   ``MartletError/Kind/invalidArgument`` for options out of range.
  public func outputShape(x: [Int], weight: [Int]) throws -> [Int] { try check(x, weight).output }

  /// Convolves `x` into `y`.
  ///
  /// - Parameters:
  ///   - bias: nil for 0.
  ///   - y: contiguous Float32 that shares no memory with the others. Unchanged after a throw.
  ///
  /// Edge cases: without images nothing happens.
  public func convolve(_ x: ArrayView, weight: ArrayView, bias: ArrayView? = nil, into y: ArrayView) throws {
    try convolve(x, weight: weight, bias: bias, into: y, on: .shared)
  }

  func convolve(_ x: ArrayView, weight: ArrayView, bias: ArrayView?, into y: ArrayView, on compute: Compute) throws {
    let environment = FloatingPointEnvironment.enter()
    defer { environment.leave() }
    let (shape, output) = try check(x.shape, weight.shape)
    try bias?.checkShape([shape.outChannels], "bias")
    let target = try y.target(output, "y")
    try checkSeparate([(y, "y")], from: [(x, "x"), (weight, "weight"), (bias, "bias")])
    guard x.count > 0, let target else { return }
    let (images, filters) = try (ContiguousValues(x, "x"), ContiguousValues(weight, "weight"))
    let added = try bias.map { try ContiguousValues($0, "bias") }
    // The packed filters, up to a cache line, and scratch memory.
    let packed = compute.convolutionPackedByteCount(shape, algorithm: algorithm)
    let packedByteCount = (packed + Storage.alignment - 1) & ~(Storage.alignment - 1)
    let memory = try Storage(
      byteCount: packedByteCount + compute.convolutionWorkspaceByteCount(shape, algorithm: algorithm), isZeroed: false,
      isWorkspace: true)
    withExtendedLifetime((images, filters, added, memory)) {
      compute.packConvolution(filters.floats, shape, algorithm: algorithm, into: memory.base)
      compute.convolve(
        images.floats, packed: memory.base, shape, algorithm: algorithm, tail: MatrixTail(bias: added?.floats), into: target,
        workspace: memory.base + packedByteCount)
    }
  }

  /// Where gradients go; nil: not wanted. Contiguous Float32.
  public struct Gradients {
    public var input: ArrayView?
    public var weight: ArrayView?
    public var bias: ArrayView?
    public init(input: ArrayView? = nil, weight: ArrayView? = nil, bias: ArrayView? = nil) {
      self.input = input
      self.weight = weight
      self.bias = bias
    }
  }

  /// Gradients of ``convolve(_:weight:bias:into:)``, given dL/dy; only those that are wanted cost anything.
  ///
  /// - Parameter gradients: apart from each other and from all that is read. Unchanged after a throw.
  ///
  /// Edge cases: without images the gradients of weight and bias are 0.
  public func gradients(
    _ x: ArrayView, weight: ArrayView, gradOutput: ArrayView, into gradients: Gradients
  ) throws {
    try self.gradients(x, weight: weight, gradOutput: gradOutput, into: gradients, on: .shared)
  }

  func gradients(
    _ x: ArrayView, weight: ArrayView, gradOutput: ArrayView, into gradients: Gradients, on compute: Compute
  ) throws {
    let environment = FloatingPointEnvironment.enter()
    defer { environment.leave() }
    let (shape, output) = try check(x.shape, weight.shape)
    try gradOutput.checkShape(output, "grad_output")
    let gradInput = try gradients.input?.target(x.shape, "grad_input")
    let gradWeight = try gradients.weight?.target(weight.shape, "grad_weight")
    let gradBias = try gradients.bias?.target([shape.outChannels], "grad_bias")
    try checkSeparate(
      [(gradients.input, "grad_input"), (gradients.weight, "grad_weight"), (gradients.bias, "grad_bias")],
      from: [(x, "x"), (weight, "weight"), (gradOutput, "grad_output")])
    guard x.count > 0 else {
      gradWeight?.update(repeating: 0, count: weight.count)
      gradBias?.update(repeating: 0, count: shape.outChannels)
      return
    }
    let grad = try ContiguousValues(gradOutput, "grad_output")
    let images = try gradWeight.map { _ in try ContiguousValues(x, "x") }
    let filters = try gradInput.map { _ in try ContiguousValues(weight, "weight") }
    let positions = shape.samples * shape.outHeight * shape.outWidth
    let memory = try Storage(
      byteCount: max(
        gradInput == nil ? 0 : compute.convolutionGradInputWorkspaceByteCount(shape, algorithm: algorithm),
        gradWeight == nil ? 0 : compute.convolutionGradWeightWorkspaceByteCount(shape),
        gradBias == nil ? 0 : compute.reductionWorkspaceByteCount(outer: 1, axis: positions, inner: shape.outChannels)),
      isZeroed: false, isWorkspace: true)
    withExtendedLifetime((grad, images, filters, memory)) {
      if let images, let gradWeight {
        compute.convolutionGradWeight(
          images.floats, gradOutput: grad.floats, shape, into: gradWeight, workspace: memory.base)
      }
      if let gradBias {
        compute.columnSums(
          grad.floats, rows: positions, columns: shape.outChannels, into: gradBias, accumulate: false, workspace: memory.base)
      }
      if let filters, let gradInput {
        compute.convolutionGradInput(
          grad.floats, weights: filters.floats, shape, algorithm: algorithm, into: gradInput, workspace: memory.base)
      }
    }
  }

  /// What is to be computed, and the shape of y.
  private func check(_ x: [Int], _ weight: [Int]) throws -> (shape: ConvolutionShape, output: [Int]) {
    _ = try Shape.elementCount(x, argument: "x")
    guard x.count == 4, x[3] >= 1 else {
      throw MartletError.shapeMismatch(
        "x: images [rows, height, width, channels] of 1 or more channels are needed; the shape \(Shape.text(x)) came.")
    }
    _ = try Shape.elementCount(weight, argument: "weight")
    guard weight.count == 4, weight.allSatisfy({ $0 >= 1 }) else {
      throw MartletError.shapeMismatch(
        "weight: the shape [filters, channels / groups, kernel height, kernel width], each 1 or more, is needed; "
          + "\(Shape.text(weight)) came.")
    }
    let layer = Conv2D(
      weight[0], kernelSize: Extent2D(weight[2], weight[3]), strides: strides, padding: padding, dilation: dilation,
      groups: groups, algorithm: algorithm)
    let image = Array(x.dropFirst())
    let output = try [x[0]] + layer.outputShape([image])
    guard weight[1] == x[3] / groups else {
      throw MartletError.shapeMismatch(
        "weight: \(x[3] / groups) channels are needed, those of x divided by groups (\(x[3]) / \(groups)); the shape "
          + "\(Shape.text(weight)) has \(weight[1]).")
    }
    _ = try Shape.elementCount(output, argument: "y")
    guard let shape = layer.convolutionShape(image, samples: x[0]) else {
      throw MartletError(.internalError, "A defect of the library: a convolution that was checked has no shape.")
    }
    return (shape, output)
  }

  /// Refuses results that share memory with what is read, or with each other.
  private func checkSeparate(
    _ results: [(array: ArrayView?, name: String)], from inputs: [(array: ArrayView?, name: String)]
  ) throws {
    for (i, result) in results.enumerated() {
      guard let array = result.array else { continue }
      for other in inputs + results[..<i] {
        guard let otherArray = other.array else { continue }
        try ArrayView.checkSeparate(array, result.name, from: otherArray, other.name)
      }
    }
  }
}
