// The fully connected layer.
import MartletRuntime

/// y = x·Wᵀ + b.
///
/// Shapes: x `[rows, in]`, result `[rows, units]`. Tensors: `weight` `[units, in]`, `bias` `[units]`.
public struct Dense: Layer, Equatable {
  public static let kind = "dense"

  /// Outputs; ≥ 1.
  public var units: Int
  /// Adds b. A batch norm right behind makes it useless: its mean takes it out again.
  public var bias: Bool
  public var weightInitializer: Initializer
  public var biasInitializer: Initializer

  public init(
    _ units: Int, bias: Bool = true, weightInitializer: Initializer = .glorotUniform, biasInitializer: Initializer = .zeros
  ) {
    self.units = units
    self.bias = bias
    self.weightInitializer = weightInitializer
    self.biasInitializer = biasInitializer
  }
}

extension Dense: TailedLayer {
  func outputShape(_ inputs: [[Int]]) throws -> [Int] {
    let shape = try Self.single(inputs)
    guard shape.count == 1 else {
      throw MartletError.shapeMismatch(
        "dense takes rows of one axis, [in]; a row of its input has the shape \(Shape.text(shape)). Put a Flatten before it.")
    }
    guard shape[0] > 0 else {
      throw MartletError.shapeMismatch(
        "dense needs 1 or more input features; a row of its input has the shape \(Shape.text(shape)).")
    }
    guard units >= 1 else {
      throw MartletError.invalidArgument("units must be 1 or more; \(units) came.")
    }
    try weightInitializer.check("weight_initializer")
    try biasInitializer.check("bias_initializer")
    _ = try Shape.elementCount([units, shape[0]], argument: "weight")
    return [units]
  }

  func variables(_ inputs: [[Int]]) throws -> [VariableSpecification] {
    let fanIn = try Self.channels(inputs)
    var list = [
      VariableSpecification(
        name: "weight", shape: [units, fanIn], kind: .parameter, initializer: weightInitializer, fanIn: fanIn, fanOut: units,
        isWeight: true)
    ]
    if bias {
      list.append(
        VariableSpecification(
          name: "bias", shape: [units], kind: .parameter, initializer: biasInitializer, fanIn: fanIn, fanOut: units))
    }
    return list
  }

  func makeStep(_ site: StepSite) -> PlanStep? { DenseStep(site) }

  var configuration: [(key: String, value: JSON)] {
    [
      ("units", .integer(Int64(units))), ("bias", .bool(bias)), ("weight_initializer", weightInitializer.configuration),
      ("bias_initializer", biasInitializer.configuration),
    ]
  }

  init(configuration reader: ConfigurationReader) throws {
    try self.init(
      reader.int("units"), bias: reader.bool("bias"),
      weightInitializer: Initializer(configuration: reader.value("weight_initializer")),
      biasInitializer: Initializer(configuration: reader.value("bias_initializer")))
  }
}
