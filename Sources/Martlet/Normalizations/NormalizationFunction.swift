// Batch norm's relatives on arrays, outside any model.
import MartletRuntime

/// The plain functions and their gradients, on anybody's memory, channels last.
public enum NormalizationFunction {
  /// The learned numbers, of the shapes that the layer's tensors have; nil: scale 1, shift 0, no threshold, nothing added to epsilon.
  public struct Parameters {
    public var scale: ArrayView?
    public var shift: ArrayView?
    /// Of ``FilterResponseNorm`` alone, as the next.
    public var threshold: ArrayView?
    public var learnedEpsilon: ArrayView?
    public init(
      scale: ArrayView? = nil, shift: ArrayView? = nil, threshold: ArrayView? = nil, learnedEpsilon: ArrayView? = nil
    ) {
      self.scale = scale
      self.shift = shift
      self.threshold = threshold
      self.learnedEpsilon = learnedEpsilon
    }
  }

  /// Where gradients go; nil: not wanted. Contiguous Float32.
  public struct Gradients {
    public var input: ArrayView?
    public var parameters: Parameters
    public init(input: ArrayView? = nil, parameters: Parameters = Parameters()) {
      self.input = input
      self.parameters = parameters
    }
  }

  /// Normalises `x` into `y` as the layer `normalization` would. Which parameters there are is said by `parameters`, not by the
  /// layer's switches.
  ///
  /// - Parameters:
  ///   - x: `[rows, …, C]`.
  ///   - y: contiguous Float32 of `x`'s shape; may be `x`'s own memory.
  /// - Throws: what the layer would for such a shape; ``MartletError/Kind/invalidArgument`` for a parameter that it does not have;
  ///   ``MartletError/Kind/shapeMismatch``.
  public static func normalize(
    _ x: ArrayView, with normalization: any Normalization, _ parameters: Parameters = Parameters(), into y: ArrayView
  ) throws {
    let environment = FloatingPointEnvironment.enter()
    defer { environment.leave() }
    let call = try Call(x, normalization, parameters)
    let target = try call.target(y, "y")
    try ArrayView.checkSeparate(y, "y", from: x, "x", mayBeSame: true)
    guard let target else { return }
    try call.run { $0.forward(into: target, workspace: $1) }
  }

  /// Gradients of ``normalize(_:with:_:into:)``, given dL/dy.
  ///
  /// - Parameters:
  ///   - x, normalization, parameters: those of the forward call; the statistics are computed again.
  ///   - gradients: `input` may be `gradOutput`'s own memory.
  public static func gradients(
    _ x: ArrayView, with normalization: any Normalization, _ parameters: Parameters = Parameters(), gradOutput: ArrayView,
    into gradients: Gradients
  ) throws {
    let environment = FloatingPointEnvironment.enter()
    defer { environment.leave() }
    let call = try Call(x, normalization, parameters)
    try call.checkShape(gradOutput, "grad_output")
    let input = try gradients.input.flatMap { try call.target($0, "grad_input") }
    if let target = gradients.input {
      try ArrayView.checkSeparate(target, "grad_input", from: x, "x")
      try ArrayView.checkSeparate(target, "grad_input", from: gradOutput, "grad_output", mayBeSame: true)
    }
    try call.checkKnown(gradients.parameters, "grad_")
    func place(_ array: ArrayView?, _ name: String) throws -> UnsafeMutablePointer<Float>? {
      guard let array else { return nil }
      try call.checkParameter(array, name)
      return array.count > 0 ? try Call.floats(array, name) : nil
    }
    let places = try FilterResponseGradients(
      scale: place(gradients.parameters.scale, "grad_scale"), shift: place(gradients.parameters.shift, "grad_shift"),
      threshold: place(gradients.parameters.threshold, "grad_threshold"),
      learnedEpsilon: place(gradients.parameters.learnedEpsilon, "grad_learned_epsilon"))
    guard x.count > 0 else {
      for place in [places.scale, places.shift, places.threshold, places.learnedEpsilon] {
        place?.update(repeating: 0, count: call.parameterCount)
      }
      return
    }
    let gradient = try ContiguousValues(gradOutput, "grad_output")
    try call.run {
      $0.forward(into: nil, workspace: $1)
      $0.backward(gradOutput: gradient.floats, into: input, accumulate: false, places, workspace: $1)
    }
    withExtendedLifetime(gradient) {}
  }

  /// The checked arguments of one call.
  private struct Call {
    let x: ArrayView
    let method: NormalizationMethod
    let kind: String
    let known: NormalizationParameters
    let parameterCount: Int
    private let parameters: Parameters

    init(_ x: ArrayView, _ normalization: any Normalization, _ parameters: Parameters) throws {
      guard let layer = normalization as? any BuildableNormalization else {
        throw MartletError.invalidArgument("with: one of the library's own normalisations is needed.")
      }
      guard x.shape.count >= 2 else {
        throw MartletError.shapeMismatch(
          "x: the shape [rows, …, C], two or more axes, is needed; \(Shape.text(x.shape)) came. Give a single row the shape [1, C]."
        )
      }
      kind = type(of: layer).kind
      known = Call.known(layer)
      let sample = Array(x.shape.dropFirst())
      _ = try layer.outputShape([sample])
      method = try layer.method(sample)
      parameterCount = try Shape.elementCount(method.parameterShape, argument: "x")
      self.x = x
      self.parameters = parameters
      try checkKnown(parameters, "")
      try parameters.scale.map { try checkParameter($0, "scale") }
      try parameters.shift.map { try checkParameter($0, "shift") }
      try parameters.threshold.map { try checkParameter($0, "threshold") }
      try parameters.learnedEpsilon.map { try checkParameter($0, "learned_epsilon") }
    }

    private static func known(_ layer: any BuildableNormalization) -> NormalizationParameters {
      let isFilterResponse = layer is FilterResponseNorm
      return NormalizationParameters(
        scale: true, shift: !(layer is RMSNorm), threshold: isFilterResponse, learnedEpsilon: isFilterResponse)
    }

    func checkKnown(_ given: Parameters, _ prefix: String) throws {
      for (array, isKnown, name) in [
        (given.shift, known.shift, "shift"), (given.threshold, known.threshold, "threshold"),
        (given.learnedEpsilon, known.learnedEpsilon, "learned_epsilon"),
      ] where array != nil && !isKnown {
        throw MartletError.invalidArgument("\(prefix)\(name): \(kind) has none.")
      }
    }

    func checkShape(_ array: ArrayView, _ argument: String) throws {
      guard array.shape == x.shape else {
        throw MartletError.shapeMismatch(
          "\(argument): the shape of x, \(Shape.text(x.shape)), is needed; \(Shape.text(array.shape)) came.")
      }
    }

    func checkParameter(_ array: ArrayView, _ argument: String) throws {
      guard array.shape == method.parameterShape else {
        throw MartletError.shapeMismatch(
          "\(argument): the shape \(Shape.text(method.parameterShape)) is needed; \(Shape.text(array.shape)) came.")
      }
    }

    func target(_ array: ArrayView, _ argument: String) throws -> UnsafeMutablePointer<Float>? {
      try checkShape(array, argument)
      return array.count > 0 ? try Call.floats(array, argument) : nil
    }

    static func floats(_ array: ArrayView, _ argument: String) throws -> UnsafeMutablePointer<Float> {
      guard let floats = array.contiguousFloats else {
        throw MartletError.invalidArgument("\(argument): contiguous float32 memory is needed; \(array.dataType.name) came.")
      }
      return floats
    }

    /// With memory for context and workspace.
    func run(_ body: (NormalizationCall, UnsafeMutableRawPointer) -> Void) throws {
      let compute = try Compute.shared
      let rows = x.shape[0]
      let contextBytes = (method.contextByteCount(samples: rows) + 63) / 64 * 64
      let memory = try Storage(
        byteCount: contextBytes + method.backwardWorkspaceByteCount(samples: rows, compute), isZeroed: false)
      func floats(_ array: ArrayView?, _ argument: String) throws -> ContiguousValues? {
        try array.map { try ContiguousValues($0, argument) }
      }
      let values = try ContiguousValues(x, "x")
      let (scale, shift) = try (floats(parameters.scale, "scale"), floats(parameters.shift, "shift"))
      let threshold = try floats(parameters.threshold, "threshold")
      let learnedEpsilon = try floats(parameters.learnedEpsilon, "learned_epsilon")
      withExtendedLifetime((memory, values, scale, shift, threshold, learnedEpsilon)) {
        body(
          NormalizationCall(
            method: method, samples: rows, capacity: rows, input: values.floats,
            parameters: FilterResponseParameters(
              scale: scale?.floats, shift: shift?.floats, threshold: threshold?.floats,
              learnedEpsilon: learnedEpsilon?.floats),
            context: memory.base, compute: compute), memory.base + contextBytes)
      }
    }
  }
}
