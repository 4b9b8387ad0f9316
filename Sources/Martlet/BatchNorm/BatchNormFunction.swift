// Batch normalisation of arrays, outside any model.
import MartletRuntime

/// The plain function and its gradient, on anybody's memory, channels last or first (read in place, not converted).
///
/// Float64 and integers are measured and normalised in Float64, and the results rounded: numbers far from zero lose nothing.
public enum BatchNormFunction {
  /// Normalises `x` into `y`: `activation(scale·(x − mean)/√(variance + epsilon) + shift)`.
  ///
  /// - Parameters:
  ///   - activation: applied on the way out, at no further pass over memory.
  ///   - scale, shift: `[C]`, or nil for 1 and 0.
  ///   - statistics: mean and biased variance to use, `[C]` each; nil: the batch's own, which need 2 or more values a
  ///     channel.
  ///   - y: contiguous Float32 of `x`'s shape; may be `x`'s own memory.
  /// - Returns: the statistics used, in Float64; nil if `x` is empty.
  public static func normalize(
    _ x: ArrayView, channelAxis: ChannelAxis = .last, epsilon: Double = 1e-5, activation: Activation = .identity,
    scale: ArrayView? = nil, shift: ArrayView? = nil, statistics: (mean: ArrayView, variance: ArrayView)? = nil,
    into y: ArrayView
  ) throws -> (mean: [Double], variance: [Double])? {
    try normalize(
      x, channelAxis: channelAxis, epsilon: epsilon, activation: activation, scale: scale, shift: shift, statistics: statistics,
      into: y
    ) { (Array($0), Array($1)) }
  }

  /// The same, without memory of its own for the statistics used.
  ///
  /// - Parameter read: is handed their mean and variance, which live as long as its call. What it throws is thrown on, with `y` written.
  /// - Returns: what `read` returns; nil if `x` is empty, and `read` is not called.
  public static func normalize<Result>(
    _ x: ArrayView, channelAxis: ChannelAxis = .last, epsilon: Double = 1e-5, activation: Activation = .identity,
    scale: ArrayView? = nil, shift: ArrayView? = nil, statistics: (mean: ArrayView, variance: ArrayView)? = nil,
    into y: ArrayView, read: (UnsafeBufferPointer<Double>, UnsafeBufferPointer<Double>) throws -> Result
  ) throws -> Result? {
    let environment = FloatingPointEnvironment.enter()
    defer { environment.leave() }
    let compute = try Compute.shared
    let call = try Call(x, channelAxis, epsilon: epsilon, compute)
    let affine = try ScaleShift(scale: call.channelValues(scale, "scale"), shift: call.channelValues(shift, "shift"))
    let target = try call.target(y, "y")
    try ArrayView.checkSeparate(y, "y", from: x, "x", mayBeSame: true)
    if let statistics { try call.load(statistics) } else { try checkBatch(x, channelAxis) }
    guard x.count > 0, let target else { return nil }
    return try withExtendedLifetime(call) {
      if x.dataType.exceedsFloat32 {
        let moments = try statistics == nil ? ArrayMoments(of: x, call.runs) : call.givenMoments()
        call.fill(from: moments, epsilon: epsilon)
        call.normalize(moments, affine, into: target)
        compute.activate(activation, target, count: x.count, into: target)
      } else if let source = call.source, statistics != nil {
        call.context.apply(source, call.shape, epsilon: epsilon, affine, activation: activation, into: target, compute)
      } else if let source = call.source {
        compute.normalizeBatch(
          source, call.shape, call.context, epsilon: epsilon, affine, activation: activation, into: target,
          workspace: call.workspace)
      }
      let channels = call.shape.channels
      return try read(
        UnsafeBufferPointer(start: call.context.mean, count: channels),
        UnsafeBufferPointer(start: call.context.variance, count: channels))
    }
  }

  /// Throws what ``normalize(_:channelAxis:epsilon:activation:scale:shift:statistics:into:)`` would for one value per channel.
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
  /// - Parameters:
  ///   - statisticsAreConstant: false if they were the batch's own and so depend on `x`; true if they were given.
  ///   - scale, shift: those of the forward pass; shift serves `.relu` without `output` alone.
  ///   - output: y of the forward pass, which an activation's derivative is taken from. Nil for `.identity`; and for `.relu`, whose
  ///     derivative then follows from `x`, the statistics, scale and shift: exactly if these are the forward pass's in Float64, and
  ///     faster, as one tensor less is read.
  public static func gradients(
    _ x: ArrayView, channelAxis: ChannelAxis = .last, epsilon: Double = 1e-5, activation: Activation = .identity,
    scale: ArrayView? = nil, shift: ArrayView? = nil, statistics: (mean: ArrayView, variance: ArrayView),
    statisticsAreConstant: Bool, gradOutput: ArrayView, output: ArrayView? = nil, into gradients: Gradients
  ) throws {
    let environment = FloatingPointEnvironment.enter()
    defer { environment.leave() }
    let compute = try Compute.shared
    let call = try Call(x, channelAxis, epsilon: epsilon, compute)
    try call.checkShape(gradOutput, "grad_output")
    try output.map { try call.checkShape($0, "y") }
    guard activation == .identity || activation == .relu || output != nil else {
      throw MartletError.invalidArgument("y: none came; the gradient of sigmoid and tanh needs the output of the forward pass.")
    }
    let affine = try ScaleShift(scale: call.channelValues(scale, "scale"), shift: call.channelValues(shift, "shift"))
    let gradInput = try gradients.input.flatMap { try call.target($0, "grad_input") }
    let gradScale = try gradients.scale.map { try call.channelTarget($0, "grad_scale") }
    let gradShift = try gradients.shift.map { try call.channelTarget($0, "grad_shift") }
    if let target = gradients.input {
      try ArrayView.checkSeparate(target, "grad_input", from: x, "x")
      try ArrayView.checkSeparate(target, "grad_input", from: gradOutput, "grad_output", mayBeSame: true)
      try output.map { try ArrayView.checkSeparate(target, "grad_input", from: $0, "y", mayBeSame: true) }
    }
    try call.load(statistics)
    guard x.count > 0 else {
      gradScale?.update(repeating: 0, count: call.shape.channels)
      gradShift?.update(repeating: 0, count: call.shape.channels)
      return
    }
    let grad = try ContiguousValues(gradOutput, "grad_output")
    let y = try output.flatMap { activation == .identity ? nil : try ContiguousValues($0, "y") }
    let exact = try x.dataType.exceedsFloat32 ? call.normalizedInput(affine, activation, y, epsilon: epsilon) : nil
    withExtendedLifetime((call, grad, y, exact)) {
      guard let source = exact.map({ UnsafePointer($0.input.floats) }) ?? call.source else { return }
      call.context.fillMap(
        epsilon: exact == nil ? epsilon : 0, exact.map { ScaleShift(scale: $0.scale.floats) } ?? affine, compute)
      compute.batchNormGradients(
        BatchNormGradientOperands(
          gradOutput: grad.floats, output: (exact?.output?.floats).map { UnsafePointer($0) } ?? y?.floats, input: source,
          gradInput: gradInput),
        call.shape, call.context, activation: activation, statisticsAreConstant: statisticsAreConstant,
        ScaleShiftGradients(scale: gradScale, shift: gradShift), workspace: call.workspace)
    }
  }

  /// The checked arguments and the memory of one call.
  final class Call {
    let x: ArrayView
    let shape: ChannelShape
    let context: BatchNormContext
    let workspace: UnsafeMutableRawPointer
    /// Context, scale and shift, workspace.
    private let memory: Storage
    private var freeValues: UnsafeMutablePointer<Float>
    /// Nil for elements of a type that Float32 rounds.
    private let values: ContiguousValues?
    /// Where the channels lie in x.
    let runs: ChannelRuns

    init(_ x: ArrayView, _ axis: ChannelAxis, epsilon: Double, _ compute: Compute) throws {
      self.x = x
      shape = try axis.shape(of: x.shape, argument: "x")
      try BatchNorm.check(epsilon: epsilon)
      runs = ChannelRuns(x, axis)
      values = x.count > 0 && !x.dataType.exceedsFloat32 ? try ContiguousValues(x, "x") : nil
      let contextBytes = BatchNormContext.byteCount(channels: shape.channels)
      let valueBytes = 2 * 4 * shape.channels
      memory = try Storage(
        byteCount: contextBytes + valueBytes + (x.count > 0 ? compute.channelWorkspaceByteCount(shape) : 0), isZeroed: false,
        isWorkspace: true)
      context = BatchNormContext(memory.base, channels: shape.channels)
      freeValues = (memory.base + contextBytes).assumingMemoryBound(to: Float.self)
      workspace = memory.base + contextBytes + valueBytes
    }

    var source: UnsafePointer<Float>? { values?.floats }

    /// A `[C]` argument as contiguous Float32; there is room for two.
    func channelValues(_ array: ArrayView?, _ argument: String) throws -> UnsafePointer<Float>? {
      guard let array else { return nil }
      try checkChannels(array, argument)
      let place = freeValues
      freeValues += shape.channels
      try array.copy(into: place, argument)
      return UnsafePointer(place)
    }

    func checkShape(_ array: ArrayView, _ argument: String) throws {
      guard array.shape == x.shape else {
        throw MartletError.shapeMismatch(
          "\(argument): the shape of x, \(Shape.text(x.shape)), is needed; \(Shape.text(array.shape)) came.")
      }
    }

    func checkChannels(_ array: ArrayView, _ argument: String) throws {
      guard array.shape.count == 1, array.shape[0] == shape.channels else {
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
      try checkShape(array, argument)
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
  }
}
