// Batch normalisation of arrays, outside any model.
import MartletRuntime

/// The plain function and its gradient, on anybody's memory, channels last or first (read in place, not converted).
public enum BatchNormFunction {
  /// Normalises `x` into `y`: `scale·(x − mean)/√(variance + epsilon) + shift`.
  ///
  /// - Parameters:
  ///   - scale, shift: `[C]`, or nil for 1 and 0.
  ///   - statistics: mean and biased variance to use, `[C]` each; nil: the batch's own, which need 2 or more values a
  ///     channel.
  ///   - y: contiguous Float32 of `x`'s shape; may be `x`'s own memory.
  /// - Returns: the statistics used, in Float64; nil if `x` is empty.
  public static func normalize(
    _ x: ArrayView, channelAxis: ChannelAxis = .last, epsilon: Double = 1e-5, scale: ArrayView? = nil, shift: ArrayView? = nil,
    statistics: (mean: ArrayView, variance: ArrayView)? = nil, into y: ArrayView
  ) throws -> (mean: [Double], variance: [Double])? {
    let compute = try Compute.shared
    let call = try Call(x, channelAxis, epsilon: epsilon, compute)
    let scaleValues = try call.channelValues(scale, "scale")
    let shiftValues = try call.channelValues(shift, "shift")
    let target = try call.target(y, "y")
    try ArrayView.checkSeparate(y, "y", from: x, "x", mayBeSame: true)
    if let statistics { try call.load(statistics) } else { try checkBatch(x, channelAxis) }
    guard x.count > 0, let source = call.source, let target else { return nil }
    let affine = ScaleShift(
      scale: scaleValues.map { UnsafePointer($0.floats) }, shift: shiftValues.map { UnsafePointer($0.floats) })
    return withExtendedLifetime((call, scaleValues, shiftValues)) {
      if statistics != nil {
        call.context.apply(source, call.shape, epsilon: epsilon, affine, activation: .identity, into: target, compute)
      } else {
        call.context.normalizeBatch(
          source, call.shape, epsilon: epsilon, affine, activation: .identity, into: target, workspace: call.workspace.base,
          compute)
      }
      return (call.copy(call.context.mean), call.copy(call.context.variance))
    }
  }

  /// Throws what ``normalize(_:channelAxis:epsilon:scale:shift:statistics:into:)`` would for one value per channel.
  static func checkBatch(_ x: ArrayView, _ channelAxis: ChannelAxis) throws {
    let shape = try channelAxis.shape(of: x.shape, argument: "x")
    try BatchNorm.check(
      valuesPerChannel: shape.valuesPerChannel, shape: x.shape, what: "BatchNorm",
      remedy: "Use a larger batch, or give mean and variance.")
  }

  /// Where gradients go; nil: not wanted. Contiguous Float32.
  public struct Gradients {
    public var input: ArrayView?
    public var scale: ArrayView?
    public var shift: ArrayView?
    public init(input: ArrayView? = nil, scale: ArrayView? = nil, shift: ArrayView? = nil) {
      self.input = input
      self.scale = scale
      self.shift = shift
    }
  }

  /// Gradients, given dL/dy and the statistics the forward pass used.
  ///
  /// - Parameter statisticsAreConstant: false if they were the batch's own and so depend on `x`; true if they were given.
  public static func gradients(
    _ x: ArrayView, channelAxis: ChannelAxis = .last, epsilon: Double = 1e-5, scale: ArrayView? = nil,
    statistics: (mean: ArrayView, variance: ArrayView), statisticsAreConstant: Bool, gradOutput: ArrayView,
    into gradients: Gradients
  ) throws {
    let compute = try Compute.shared
    let call = try Call(x, channelAxis, epsilon: epsilon, compute)
    guard gradOutput.shape == x.shape else {
      throw MartletError.shapeMismatch(
        "grad_output: the shape of x, \(Shape.text(x.shape)), is needed; \(Shape.text(gradOutput.shape)) came.")
    }
    let scaleValues = try call.channelValues(scale, "scale")
    let gradInput = try gradients.input.flatMap { try call.target($0, "grad_input") }
    let gradScale = try gradients.scale.map { try call.channelTarget($0, "grad_scale") }
    let gradShift = try gradients.shift.map { try call.channelTarget($0, "grad_shift") }
    if let target = gradients.input {
      try ArrayView.checkSeparate(target, "grad_input", from: x, "x")
      try ArrayView.checkSeparate(target, "grad_input", from: gradOutput, "grad_output", mayBeSame: true)
    }
    try call.load(statistics)
    guard x.count > 0, let source = call.source else {
      gradScale?.update(repeating: 0, count: call.shape.channels)
      gradShift?.update(repeating: 0, count: call.shape.channels)
      return
    }
    let gradCopy = gradOutput.contiguousFloats == nil ? try Tensor(copying: gradOutput) : nil
    guard let grad = gradOutput.contiguousFloats ?? gradCopy?.storage.floats else { return }
    withExtendedLifetime((call, scaleValues, gradCopy)) {
      let affine = ScaleShift(scale: scaleValues.map { UnsafePointer($0.floats) }, shift: nil)
      call.context.fillMap(epsilon: epsilon, affine, compute)
      call.context.gradients(
        gradOutput: grad, output: nil, input: source, call.shape, activation: .identity,
        statisticsAreConstant: statisticsAreConstant, into: gradInput, accumulate: false,
        ScaleShiftGradients(scale: gradScale, shift: gradShift), workspace: call.workspace.base, compute)
    }
  }

  /// The checked arguments and the memory of one call.
  private final class Call {
    let x: ArrayView
    let shape: ChannelShape
    let context: BatchNormContext
    let workspace: Storage
    private let memory: Storage
    private let copy: Tensor?

    init(_ x: ArrayView, _ axis: ChannelAxis, epsilon: Double, _ compute: Compute) throws {
      self.x = x
      shape = try axis.shape(of: x.shape, argument: "x")
      try BatchNorm.check(epsilon: epsilon)
      copy = x.count > 0 && x.contiguousFloats == nil ? try Tensor(copying: x) : nil
      memory = try Storage(byteCount: BatchNormContext.byteCount(channels: shape.channels))
      context = BatchNormContext(memory.base, channels: shape.channels)
      workspace = try Storage(byteCount: x.count > 0 ? compute.channelWorkspaceByteCount(shape) : 0)
    }

    var source: UnsafePointer<Float>? { (x.contiguousFloats ?? copy?.storage.floats).map { UnsafePointer($0) } }

    /// A `[C]` argument as contiguous Float32.
    func channelValues(_ array: ArrayView?, _ argument: String) throws -> Storage? {
      guard let array else { return nil }
      try checkChannels(array, argument)
      let storage = try Storage(byteCount: shape.channels * 4)
      array.copy(into: storage.floats)
      return storage
    }

    func checkChannels(_ array: ArrayView, _ argument: String) throws {
      guard array.shape == [shape.channels] else {
        throw MartletError.shapeMismatch(
          "\(argument): the shape [\(shape.channels)], one value per channel, is needed; \(Shape.text(array.shape)) came.")
      }
    }

    func load(_ statistics: (mean: ArrayView, variance: ArrayView)) throws {
      try checkChannels(statistics.mean, "mean")
      try checkChannels(statistics.variance, "variance")
      statistics.mean.copy(into: context.mean)
      statistics.variance.copy(into: context.variance)
      for c in 0..<shape.channels where context.variance[c] < 0 {
        throw MartletError.invalidArgument("variance: must be 0 or more; channel \(c) has \(context.variance[c]).")
      }
    }

    func target(_ array: ArrayView, _ argument: String) throws -> UnsafeMutablePointer<Float>? {
      guard array.shape == x.shape else {
        throw MartletError.shapeMismatch(
          "\(argument): the shape of x, \(Shape.text(x.shape)), is needed; \(Shape.text(array.shape)) came.")
      }
      guard array.count > 0 else { return nil }
      return try floats(array, argument)
    }

    func channelTarget(_ array: ArrayView, _ argument: String) throws -> UnsafeMutablePointer<Float> {
      try checkChannels(array, argument)
      return try floats(array, argument)
    }

    private func floats(_ array: ArrayView, _ argument: String) throws -> UnsafeMutablePointer<Float> {
      guard let floats = array.contiguousFloats else {
        throw MartletError.invalidArgument("\(argument): contiguous float32 memory is needed; \(array.dataType.name) came.")
      }
      return floats
    }

    func copy(_ values: UnsafePointer<Double>) -> [Double] { Array(UnsafeBufferPointer(start: values, count: shape.channels)) }
  }
}
