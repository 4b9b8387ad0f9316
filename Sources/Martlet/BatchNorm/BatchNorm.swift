// Batch normalisation: what it computes, and its options. Read on: +Statistics, +Forward, Step; both
// training passes are operations of MartletRuntime: BatchNormContext, BatchNormForward, BatchNormBackward.

/// Normalises each channel over the mini-batch, then scales and shifts it by learned amounts.
///
///     y = scale · (x − mean) / √(variance + epsilon) + shift
///
/// The channel is the last axis; mean and variance are taken over everything else. While training they are the batch's own
/// (variance
/// biased: divided by the number of values n); at inference they are the moving statistics
///
///     moving = momentum · moving + (1 − momentum) · batch
///
/// or what ``Model/updatePopulationStatistics(_:batchSize:)`` put in their place. The moving variance takes the unbiased
/// batch variance (n/(n − 1) times the biased one; the paper's inference step, and PyTorch's rule) unless
/// `biasedMovingVariance`.
/// `scale = √(variance + epsilon)` and `shift = mean` give back the input.
///
/// Tensors: `weight` (scale) and `bias` (shift), if on; `running_mean` (starts at 0), `running_var` (starts at 1),
/// `num_batches_tracked`, `num_batches_skipped`.
///
/// Shapes: `[rows, …, C]`, any rank; the result has the same.
///
/// Errors: one value per channel in training has no variance; the batch is refused and the state unchanged.
///
/// Edge cases: a channel of equal values yields exactly `shift`; a NaN or infinity spoils its own channel's output, and
/// the moving
/// statistics skip that batch and count it, unless `countsNonfiniteBatches`.
///
/// Source: Ioffe & Szegedy 2015.
public struct BatchNorm: Layer, Equatable {
  public static let kind = "batch_norm"

  /// What normalises while training.
  public enum Normalizer: Int32, Sendable, CaseIterable {
    /// The mini-batch's own statistics.
    case batch = 0
    /// The moving statistics, as constants: a frozen layer.
    case moving = 1
  }

  /// Added to the variance; > 0.
  public var epsilon: Double
  /// Weight of the previous moving statistic, 0…1 (PyTorch's is one minus this); nil: the plain average of all batches.
  public var momentum: Double?
  /// Learns a scale γ.
  public var scale: Bool
  /// Learns a shift β.
  public var shift: Bool
  /// The moving variance takes the batch's biased variance.
  public var biasedMovingVariance: Bool
  /// A batch with a NaN or infinity enters the moving statistics like any other.
  public var countsNonfiniteBatches: Bool
  /// What normalises while training.
  public var normalizer: Normalizer
  /// Training moves the moving statistics.
  public var updatesMoving: Bool
  /// Training changes scale and shift.
  public var trainsScaleShift: Bool

  public init(
    epsilon: Double = 1e-5, momentum: Double? = 0.9, scale: Bool = true, shift: Bool = true,
    biasedMovingVariance: Bool = false, countsNonfiniteBatches: Bool = false, normalizer: Normalizer = .batch,
    updatesMoving: Bool = true, trainsScaleShift: Bool = true
  ) {
    self.epsilon = epsilon
    self.momentum = momentum
    self.scale = scale
    self.shift = shift
    self.biasedMovingVariance = biasedMovingVariance
    self.countsNonfiniteBatches = countsNonfiniteBatches
    self.normalizer = normalizer
    self.updatesMoving = updatesMoving
    self.trainsScaleShift = trainsScaleShift
  }
}

extension BatchNorm: BuildableLayer {
  func outputShape(_ inputs: [[Int]]) throws -> [Int] {
    _ = try Self.channels(inputs)
    try BatchNorm.check(epsilon: epsilon)
    if let momentum, !(momentum >= 0 && momentum <= 1) {
      throw MartletError.invalidArgument(
        "momentum must be in 0...1 (the weight of the previous moving statistic; PyTorch's is one minus this); \(momentum) came."
      )
    }
    return inputs[0]
  }

  static func check(epsilon: Double) throws {
    guard epsilon > 0, epsilon.isFinite, Float(epsilon) > 0 else {
      throw MartletError.invalidArgument("epsilon must be a finite number above 0, such as 1e-5; \(epsilon) came.")
    }
  }

  func variables(_ inputs: [[Int]]) throws -> [VariableSpecification] {
    let channels = try Self.channels(inputs)
    var list: [VariableSpecification] = []
    if scale {
      list.append(
        VariableSpecification(
          name: "weight", shape: [channels], kind: .parameter, initializer: .constant(1), isTrainable: trainsScaleShift))
    }
    if shift {
      list.append(VariableSpecification(name: "bias", shape: [channels], kind: .parameter, isTrainable: trainsScaleShift))
    }
    list.append(VariableSpecification(name: "running_mean", shape: [channels], kind: .state))
    list.append(VariableSpecification(name: "running_var", shape: [channels], kind: .state, initializer: .constant(1)))
    list.append(VariableSpecification(name: "num_batches_tracked", shape: [], kind: .state, dataType: .int64))
    list.append(VariableSpecification(name: "num_batches_skipped", shape: [], kind: .state, dataType: .int64))
    return list
  }

  func makeStep(_ site: StepSite) -> PlanStep? { BatchNormStep(site, self) }
}

extension BatchNorm {
  var configuration: [(key: String, value: JSON)] {
    [
      ("epsilon", .number(epsilon)), ("momentum", momentum.map { .number($0) } ?? .null),
      ("scale", .bool(scale)), ("shift", .bool(shift)), ("biased_moving_variance", .bool(biasedMovingVariance)),
      ("count_nonfinite_batches", .bool(countsNonfiniteBatches)),
      ("normalize_with", .string(normalizer == .batch ? "batch" : "moving")),
      ("updates_moving", .bool(updatesMoving)), ("trains_scale_shift", .bool(trainsScaleShift)),
    ]
  }

  init(configuration json: JSON) throws {
    let reader = ConfigurationReader(json, kind: Self.kind)
    let normalizerName = try reader.string("normalize_with")
    guard let normalizer: Normalizer = ["batch": .batch, "moving": .moving][normalizerName] else {
      throw MartletError.corruptFile("batch_norm: normalize_with is \"batch\" or \"moving\"; \"\(normalizerName)\" came")
    }
    try self.init(
      epsilon: reader.double("epsilon"), momentum: reader.optionalDouble("momentum"), scale: reader.bool("scale"),
      shift: reader.bool("shift"), biasedMovingVariance: reader.bool("biased_moving_variance"),
      countsNonfiniteBatches: reader.bool("count_nonfinite_batches"), normalizer: normalizer,
      updatesMoving: reader.bool("updates_moving"), trainsScaleShift: reader.bool("trains_scale_shift"))
  }
}
