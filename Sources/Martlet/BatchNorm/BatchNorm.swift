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
/// (from the first batch on with `debiased`) or what ``Model/updatePopulationStatistics(_:batchSize:)`` put in their place. The moving variance takes the unbiased
/// batch variance (n/(n − 1) times the biased one; the paper's inference step, and PyTorch's rule) unless
/// `biasedMovingVariance`.
/// `scale = √(variance + epsilon)` and `shift = mean` give back the input.
///
/// Tensors: `weight` (scale) and `bias` (shift), if on; `running_mean` (starts at 0), `running_var` (starts at 1),
/// `num_batches_tracked`, `num_batches_skipped`.
///
/// Shapes: `[rows, …, C]`, any rank; the result has the same. A second input, if there is one, says how often each position counts in the
/// batch's statistics: `[rows, …]`, or `[rows, …, 1]`. With weights w of sum n,
///
///     mean = Σ w·x / n      variance = Σ w·(x − mean)² / n
///
/// just as if a position of weight 2 came twice and one of weight 0 not at all (padding). Every position is normalised, whatever its
/// weight. n below 2 is one value per channel: treated as `singleValue` says, `.error` as `.moving`, for it shows only as the batch
/// runs; 0 is an empty batch, which changes nothing. Inference asks for no weights. They are constants to the gradient.
///
/// Examples:
///
///     BatchNorm(momentum: 0.99, debiased: true)                      good statistics after few batches
///     BatchNorm(virtualBatchSize: 32)                                statistics of 32 rows in any batch
///     BatchNorm(renormalization: BatchRenormalization())             small batches
///     try graph.add(BatchNorm(), to: [x, mask])                      padding does not count
///
/// Errors: one value per channel in training has no variance; the batch is refused and the state unchanged, unless `singleValue` says
/// otherwise.
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

  /// What becomes of a batch in training that has one value per channel, and so no variance.
  public enum SingleValue: Int32, Sendable, CaseIterable {
    /// It is refused, with advice.
    case error = 0
    /// The moving statistics normalise it, as constants; they do not follow it, and count it as skipped.
    case moving = 1
    /// The same, and the layer learns nothing of it: the gradients of scale and shift are 0, while the input has its gradient.
    case skip = 2
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
  /// The moving statistics weigh the batches alone: the values they start with (0 and 1) are forgotten at the first. Without `momentum`
  /// that is so anyway.
  public var debiased: Bool
  /// What becomes of one value per channel in training.
  public var singleValue: SingleValue
  /// Rows of a virtual batch: training takes statistics over so many consecutive rows at a time, each virtual batch like a batch of its
  /// own, and the moving statistics follow one after the other. What is left has fewer rows, or joins the one before it where it has
  /// one value per channel. Nil: the whole batch. Source: Hoffer, Hubara & Soudry 2017 ("ghost batch normalization").
  public var virtualBatchSize: Int?
  /// Corrects what a batch's own statistics give towards what inference computes; nil: plain batch norm.
  public var renormalization: BatchRenormalization?

  public init(
    epsilon: Double = 1e-5, momentum: Double? = 0.9, scale: Bool = true, shift: Bool = true,
    biasedMovingVariance: Bool = false, countsNonfiniteBatches: Bool = false, normalizer: Normalizer = .batch,
    updatesMoving: Bool = true, trainsScaleShift: Bool = true, debiased: Bool = false, singleValue: SingleValue = .error,
    virtualBatchSize: Int? = nil, renormalization: BatchRenormalization? = nil
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
    self.debiased = debiased
    self.singleValue = singleValue
    self.virtualBatchSize = virtualBatchSize
    self.renormalization = renormalization
  }

  /// Whether training takes the mean of what this norm reads out, whatever it is: a bias before it does nothing. One value a channel is
  /// normalised with the moving statistics, to which a bias does matter; renormalisation leans on them.
  var takesMeanOut: Bool { normalizer == .batch && singleValue == .error && renormalization == nil }
}

extension BatchNorm: BuildableLayer {
  func outputShape(_ inputs: [[Int]]) throws -> [Int] {
    let channels = try Self.channels(of: inputs)
    try BatchNorm.check(epsilon: epsilon)
    try renormalization?.check()
    if let virtualBatchSize {
      guard virtualBatchSize >= 1 else {
        throw MartletError.invalidArgument("virtual_batch_size must be 1 or more rows; \(virtualBatchSize) came.")
      }
      guard virtualBatchSize >= 2 || inputs[0].reduce(1, *) != channels else {
        throw MartletError.invalidArgument(
          "virtual_batch_size 1 leaves one value per channel, whose variance is undefined, for each row holds one. "
            + "Take 2 or more rows.")
      }
    }
    if let momentum, !(momentum >= 0 && momentum <= 1) {
      throw MartletError.invalidArgument(
        "momentum must be in 0...1 (the weight of the previous moving statistic; PyTorch's is one minus this); \(momentum) came."
      )
    }
    return inputs[0]
  }

  /// The channels of one input, or of the first of two: values and their weights.
  private static func channels(of inputs: [[Int]]) throws -> Int {
    guard inputs.count == 2 else { return try channels(inputs) }
    let channels = try channels([inputs[0]])
    let positions = Array(inputs[0].dropLast())
    guard inputs[1] == positions || inputs[1] == positions + [1] else {
      throw MartletError.shapeMismatch(
        "weights: one for each position is needed, a row of shape \(Shape.text(positions)) or \(Shape.text(positions + [1])) beside a "
          + "row \(Shape.text(inputs[0])) of x; \(Shape.text(inputs[1])) came.")
    }
    return channels
  }

  static func check(epsilon: Double) throws {
    try OptionNumber.check(epsilon, "epsilon", .aboveZero, note: "such as 1e-5")
  }

  func variables(_ inputs: [[Int]]) throws -> [VariableSpecification] {
    let channels = try Self.channels(of: inputs)
    var list: [VariableSpecification] = []
    if scale {
      list.append(
        VariableSpecification(
          name: "weight", shape: [channels], kind: .parameter, initializer: .constant(1), isTrainable: trainsScaleShift))
    }
    if shift {
      list.append(VariableSpecification(name: "bias", shape: [channels], kind: .parameter, isTrainable: trainsScaleShift))
    }
    list.append(
      VariableSpecification(
        name: "running_mean", shape: [channels], kind: .state, rule: countsNonfiniteBatches ? .any : .finite))
    list.append(
      VariableSpecification(
        name: "running_var", shape: [channels], kind: .state, initializer: .constant(1),
        rule: countsNonfiniteBatches ? .varianceOrNaN : .variance))
    list.append(VariableSpecification(name: "num_batches_tracked", shape: [], kind: .state, dataType: .int64, rule: .counter))
    list.append(VariableSpecification(name: "num_batches_skipped", shape: [], kind: .state, dataType: .int64, rule: .counter))
    return list
  }

  func makeStep(_ site: StepSite) -> PlanStep? { BatchNormStep(site, self) }
}
