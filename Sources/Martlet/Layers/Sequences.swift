// Layers on sequences [length, channels]: those on images one row high.
import MartletRuntime

/// A layer on sequences, made of one on images.
protocol SequenceLayer: BuildableLayer {
  associatedtype Image: BuildableLayer
  /// The same on `[1, length, channels]`.
  var image: Image { get }
}

extension SequenceLayer {
  /// The image that a sequence is.
  static func image(_ inputs: [[Int]]) throws -> [[Int]] {
    let shape = try single(inputs)
    guard shape.count == 2 else {
      throw MartletError.shapeMismatch(
        "\(kind) takes sequences [length, channels]; a row of its input has the shape \(Shape.text(shape)). "
          + "Put a Reshape before it.")
    }
    return [[1] + shape]
  }

  func outputShape(_ inputs: [[Int]]) throws -> [Int] { Array(try image.outputShape(Self.image(inputs)).suffix(2)) }

  func variables(_ inputs: [[Int]]) throws -> [VariableSpecification] {
    try image.variables(Self.image(inputs)).map { variable in
      // Filters without the axis of their only row: [filters, channels, length].
      var variable = variable
      if variable.shape.count == 4 { variable.shape.remove(at: 2) }
      return variable
    }
  }

  func makeStep(_ site: StepSite) -> PlanStep? {
    var site = site
    site.inputShapes = site.inputShapes.map { [1] + $0 }
    return image.makeStep(site)
  }
}

extension Padding {
  /// Of a sequence, for files: "valid", "same" or [left, right].
  var sequenceConfiguration: JSON {
    guard case .explicit(_, _, let left, let right) = self else { return configuration }
    return .array([.integer(Int64(left)), .integer(Int64(right))])
  }

  /// Nothing above and below a sequence.
  func checkSequence() throws {
    guard case .explicit(let top, let bottom, _, _) = self, (top, bottom) != (0, 0) else { return }
    throw MartletError.invalidArgument(
      "padding: a sequence has no top and bottom, which must be 0; \(top) and \(bottom) came. Use left and right.")
  }
}

extension ConfigurationReader {
  func sequencePadding(_ key: String) throws -> Padding {
    guard try value(key).array != nil else { return try padding(key) }
    let sides = try ints(key)
    guard sides.count == 2 else { throw MartletError.corruptFile("the option \"\(key)\" should be two numbers, [left, right]") }
    return .explicit(left: sides[0], right: sides[1])
  }
}
