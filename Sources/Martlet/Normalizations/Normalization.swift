// Batch norm's relatives: normalisations of each sample by itself, the same in training and at inference.
import MartletRuntime

/// A normalisation that needs no batch: ``LayerNorm``, ``RMSNorm``, ``GroupNorm``, ``InstanceNorm``, ``FilterResponseNorm``.
///
/// There are no moving statistics and no difference between training and inference, and a sample's result does not depend on its
/// batch. As plain functions of arrays: ``NormalizationFunction``. Which to use when: docs/normalizations.md.
public protocol Normalization: Layer {}

/// What the library needs of one. The types are those of this library.
protocol BuildableNormalization: Normalization, BuildableLayer {
  /// How samples of this shape (without the batch axis) are normalised.
  ///
  /// - Throws: a message without the layer's name, which the caller adds.
  func method(_ sample: [Int]) throws -> NormalizationMethod
  var parameters: NormalizationParameters { get }
}

/// The learned numbers a normalisation has.
struct NormalizationParameters {
  var scale = false
  var shift = false
  var threshold = false
  var learnedEpsilon = false
}

extension BuildableNormalization {
  func outputShape(_ inputs: [[Int]]) throws -> [Int] {
    let shape = try Self.single(inputs)
    _ = try Self.channels(inputs)
    _ = try method(shape)
    return shape
  }

  func variables(_ inputs: [[Int]]) throws -> [VariableSpecification] {
    let shape = try method(Self.single(inputs)).parameterShape
    var list: [VariableSpecification] = []
    func add(_ name: String, _ isLearned: Bool, startingAt value: Double) {
      guard isLearned else { return }
      list.append(
        VariableSpecification(name: name, shape: shape, kind: .parameter, initializer: .constant(value)))
    }
    add("weight", parameters.scale, startingAt: 1)
    add("bias", parameters.shift, startingAt: 0)
    add("threshold", parameters.threshold, startingAt: 0)
    add("learned_epsilon", parameters.learnedEpsilon, startingAt: FilterResponseNorm.initialLearnedEpsilon)
    return list
  }

  func makeStep(_ site: StepSite) -> PlanStep? {
    (try? method(site.inputShapes[0])).map { NormalizationStep(site, $0) }
  }

  /// One value normalised by itself is always 0.
  static func check(valuesNormalisedTogether count: Int, _ what: String, _ sample: [Int], remedy: String) throws {
    guard count != 1 else {
      throw MartletError.shapeMismatch(
        "\(kind) needs 2 or more values in each \(what); a sample of shape \(Shape.text(sample)) has 1, which normalised by itself "
          + "is always 0. \(remedy)")
    }
  }
}
