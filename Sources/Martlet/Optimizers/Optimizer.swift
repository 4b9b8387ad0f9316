// Moves a model's parameters along their gradients.
import MartletRuntime

/// Update rule and its state for the parameters of one model. Holds on to them.
public final class Optimizer {
  private var options: OptimizerOptions
  private let slots: [Slot]
  /// Scratch of the check of the largest gradient.
  private let finiteWorkspace: Storage
  /// Updates done: Adam's t.
  public private(set) var stepCount = 0
  /// Of this, and of the model whose parameters it changes.
  let exclusivity: Exclusivity
  private let modelExclusivity: Exclusivity

  /// One parameter with the rule's memory of it.
  private struct Slot {
    let variable: Variable
    /// SGD's velocity, Adam's first moment.
    let first: Storage?
    /// Adam's second moment.
    let second: Storage?
  }

  /// - Throws: ``MartletError/Kind/invalidArgument`` for a number outside its range.
  public convenience init(_ model: Model, _ options: OptimizerOptions) throws {
    try self.init(model, options, name: "optimizer")
  }

  /// - Parameter name: what messages call it.
  init(_ model: Model, _ options: OptimizerOptions, name: String) throws {
    try options.check()
    self.options = options
    exclusivity = Exclusivity(name)
    modelExclusivity = model.network.exclusivity
    let parameters = model.variables.filter { $0.kind == .parameter }
    finiteWorkspace = try Storage(
      byteCount: Compute.shared.finiteCheckWorkspaceByteCount(count: parameters.map(\.count).max() ?? 0), isZeroed: false)
    slots = try parameters.map { variable in
      let bytes = variable.count * 4
      let needsFirst = options.kind != .sgd || options.momentum > 0
      return Slot(
        variable: variable, first: needsFirst ? try Storage(byteCount: bytes) : nil,
        second: options.kind != .sgd ? try Storage(byteCount: bytes) : nil)
    }
  }

  public var learningRate: Double { options.learningRate }

  public func setLearningRate(_ value: Double) throws {
    try options.check(learningRate: value)
    try exclusivity.changing { options.learningRate = value }
  }

  /// One update of every trainable parameter from its gradient.
  ///
  /// - Throws: ``MartletError/Kind/notFinite`` if a gradient holds a NaN or an infinity; no parameter and nothing of the optimizer
  ///   has changed then.
  public func step() throws {
    try changing { try checkedStep(Compute.shared) }
  }

  /// Runs a body that changes this and the model.
  @inline(__always)
  func changing<Result>(_ body: () throws -> Result) throws -> Result {
    try exclusivity.changing { try modelExclusivity.changing(body) }
  }

  private func checkedStep(_ compute: Compute) throws {
    if let variable = nonfiniteGradient(compute) {
      throw MartletError.notFinite(
        "gradients: expected finite numbers; got NaN or infinity in the gradient of \"\(variable.name)\". Nothing was updated. "
          + "Look for such values in the batch and its targets, or lower the learning rate.")
    }
    step(compute)
  }

  /// The first trainable parameter whose gradient is not finite throughout; nil: there is none.
  func nonfiniteGradient(_ compute: Compute) -> Variable? {
    for slot in slots where slot.variable.isTrainable {
      guard let gradient = slot.variable.gradient else { continue }
      if !compute.isFinite(gradient, count: slot.variable.count, workspace: finiteWorkspace.base) { return slot.variable }
    }
    return nil
  }

  /// The update alone, from gradients that are known to be finite.
  func step(_ compute: Compute) {
    stepCount += 1
    for slot in slots where slot.variable.isTrainable { update(slot, compute) }
  }

  private func update(_ slot: Slot, _ compute: Compute) {
    guard let gradient = slot.variable.gradient else { return }
    let decay = slot.variable.isWeight || options.decaysScaleShiftBias ? Float(options.weightDecay) : 0
    let (values, count) = (slot.variable.mutableFloats, slot.variable.count)
    slot.variable.didWrite()
    switch options.kind {
    case .sgd:
      compute.update(
        values, gradient: gradient, velocity: slot.first?.floats, count: count,
        SGDUpdate(
          learningRate: Float(options.learningRate), momentum: Float(options.momentum), nesterov: options.nesterov,
          weightDecay: decay))
    case .adam, .adamW:
      guard let first = slot.first, let second = slot.second else { return }
      let firstCorrection = 1 - power(options.beta1, stepCount)
      let secondCorrection = 1 - power(options.beta2, stepCount)
      compute.update(
        values, gradient: gradient, first: first.floats, second: second.floats, count: count,
        AdamUpdate(
          learningRate: Float(options.learningRate), beta1: options.beta1, beta2: options.beta2,
          epsilon: Float(options.epsilon), weightDecay: decay, decoupled: options.kind == .adamW,
          stepSize: Float(options.learningRate / firstCorrection),
          secondScale: Float(1 / secondCorrection.squareRoot())))
    }
  }

  /// base to the n, by squaring: no need of a mathematics library.
  private func power(_ base: Double, _ n: Int) -> Double {
    var (result, factor, rest) = (1.0, base, n)
    while rest > 0 {
      if rest & 1 == 1 { result *= factor }
      factor *= factor
      rest >>= 1
    }
    return result
  }
}
