// What a layer is, before a model is made of it.
import MartletRuntime

/// One kind of computation with its options: a description, with no parameters of its own.
///
/// A ``Graph`` joins layers, a ``Model`` gives them parameters and state. The layers are those of this library.
public protocol Layer: Sendable {
  /// The kind's name, as files and summaries show it: "dense".
  static var kind: String { get }
}

/// What the model needs of a layer. Every ``Layer`` of the library conforms.
protocol BuildableLayer: Layer {
  /// The shape of one row of the output, given one row of each input.
  ///
  /// - Throws: a message without the layer's name, which the caller adds.
  func outputShape(_ inputs: [[Int]]) throws -> [Int]

  /// The parameters and state it needs for such inputs.
  func variables(_ inputs: [[Int]]) throws -> [VariableSpecification]

  /// How it runs in a plan; nil if its output is its input under another name.
  func makeStep(_ site: StepSite) -> PlanStep?

  /// Its options, for files; the kind is stored beside them.
  var configuration: [(key: String, value: JSON)] { get }

  init(configuration: ConfigurationReader) throws
}

/// A layer whose step can apply a batch norm (at inference) and an activation to each value as it is stored.
protocol TailedLayer: BuildableLayer {}

extension BuildableLayer {
  func variables(_ inputs: [[Int]]) throws -> [VariableSpecification] { [] }

  /// The only input of a layer that takes one.
  static func single(_ inputs: [[Int]]) throws -> [Int] {
    guard inputs.count == 1 else {
      throw MartletError.shapeMismatch("\(kind) takes one input; \(inputs.count) came.")
    }
    return inputs[0]
  }

  /// The inputs of a layer that joins two or more.
  static func several(_ inputs: [[Int]]) throws -> [[Int]] {
    guard inputs.count >= 2 else {
      throw MartletError.shapeMismatch("\(kind) takes two or more inputs; \(inputs.count) came.")
    }
    return inputs
  }

  /// The last axis: the channels.
  static func channels(_ inputs: [[Int]]) throws -> Int {
    let shape = try single(inputs)
    guard let channels = shape.last else {
      throw MartletError.shapeMismatch(
        "\(kind) needs at least one axis beside the rows; each row is a single number. Give the input shape [1].")
    }
    guard channels > 0 else {
      throw MartletError.shapeMismatch(
        "\(kind) needs 1 or more channels (the last axis); one row of its input has the shape \(Shape.text(shape)).")
    }
    return channels
  }
}
