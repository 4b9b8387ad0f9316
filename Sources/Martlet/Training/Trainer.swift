// A model in training: loss, optimizer, random state, and the memory of a step.
import MartletRuntime

/// Trains a model. Holds on to it; the model stays usable between steps.
///
///     let trainer = try Trainer(net, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.1))
///     let result = try trainer.step(x, labels)
///
/// If an output ends in a ``Softmax`` and the loss is cross-entropy, or in a ``Sigmoid`` and the loss is binary cross-entropy, the two are
/// taken together: the loss reads that layer's input, which keeps the gradient exact where a probability rounds to 0 or 1.
///
/// Evaluations may run on several threads at once. Steps and fits need the trainer and the model alone: see ``Model``.
public final class Trainer {
  public let model: Model
  public let loss: Loss
  public let optimizer: Optimizer
  /// The model up to what the loss reads.
  let lossModel: Model
  let seed: UInt64
  /// Rows of a batch that run at a time; nil: all of them. See ``setMicroBatchSize(_:)``.
  public internal(set) var microBatchSize: Int?
  /// Steps taken: with the seed, dropout's key of the next one.
  var stepCount: UInt64 = 0
  /// Epochs that ``fit(_:_:_:onEvent:)`` has begun, in all its calls: the next one has this number.
  public internal(set) var epochCount = 0
  /// Steps that fits left out because their loss or gradient was not finite. See ``NonfinitePolicy/skip``.
  public internal(set) var skippedStepCount = 0
  private var memory: StepMemory?
  /// The targets of the step under way; kept for its memory.
  private var stepTargets: [Targets] = []

  /// - Parameter seed: of dropout, and of a fit's order and augmentation.
  public init(_ model: Model, loss: Loss, optimizer: OptimizerOptions = .sgd(), seed: UInt64 = 0) throws {
    self.model = model
    self.loss = loss
    self.seed = seed
    self.optimizer = try Optimizer(model, optimizer, name: "trainer")
    lossModel = Trainer.lossModel(model, loss)
    try Trainer.checkOutputs(model, loss)
  }

  /// The model up to what the loss reads: without a last activation that the loss takes together with itself.
  static func lossModel(_ model: Model, _ loss: Loss) -> Model {
    guard let activation = loss.activation else { return model }
    let nodes = model.outputNodes.map { output -> Int in
      let node = model.network.nodes[output]
      guard let layer = node.layer, type(of: layer.layer) == activation else { return output }
      return node.inputs[0]
    }
    return Model(model.network, inputs: model.inputNodes, outputs: nodes, seed: 0)
  }

  /// Refuses a loss that is not defined for every output, or learns nothing from one.
  static func checkOutputs(_ model: Model, _ loss: Loss) throws {
    for (place, node) in model.outputNodes.enumerated() {
      let name = model.network.nodes[node].layer.map { " (\"\($0.name)\")" } ?? ""
      try loss.checkOutput(model.network.nodes[node].shape, argument: "loss", output: "output \(place)\(name)")
    }
  }

  public var learningRate: Double { optimizer.learningRate }
  public func setLearningRate(_ value: Double) throws { try optimizer.setLearningRate(value) }

  /// One step on one batch: forward, loss, backward, update.
  ///
  /// The result is of the batch before the update. Allocates nothing after the first call of a batch size. No rows:
  /// nothing happens.
  ///
  /// - Parameters:
  ///   - inputs: one array for each of the model's inputs, `[rows, …]`.
  ///   - targets: one for each output; see ``Loss``.
  /// - Throws: ``MartletError`` if something does not fit; ``MartletError/Kind/notFinite`` if the loss or a gradient is not finite,
  ///   with the row and whether its input or target is not finite. Parameters, optimizer, statistics, their counters and the
  ///   random state are as before then.
  @discardableResult
  public func step(_ inputs: [ArrayView], _ targets: [ArrayView]) throws -> TrainingResult {
    try model.network.refuseDuringExchange("A trainer's step")
    return try optimizer.changing { try runStep(inputs, targets) }
  }

  private func runStep(_ inputs: [ArrayView], _ targets: [ArrayView]) throws -> TrainingResult {
    let rows = try model.checkInputs(inputs)
    defer { stepTargets.removeAll(keepingCapacity: true) }
    try checkTargets(targets, rows: rows, into: &stepTargets)
    let memory = try stepMemory(rows: rows)
    guard rows > 0 || model.network.allReduce != nil else { return loss.result(sum: 0, correct: 0, rows: 0) }
    defer { memory.executor.releaseInputs() }
    let cut = microBatches
    return try explainingRefusal("The step") {
      try run(memory, rows: rows, pieces: cut.count(rows: rows)) { piece in
        let range = cut.range(piece, rows: rows)
        for (place, target) in stepTargets.enumerated() {
          try target.load(from: range.lowerBound, count: range.count, into: memory.targets[place].base)
        }
        return (range.count, stepTargets)
      } inputs: { piece in
        let range = cut.range(piece, rows: rows)
        try memory.executor.load(inputs, from: range.lowerBound, count: range.count)
      }
    }
  }

  /// Turns the refusal of a step by hand into the error that the caller sees.
  func explainingRefusal(_ place: String, _ body: () throws -> TrainingResult) throws -> TrainingResult {
    do { return try body() } catch let refusal as NonfiniteStep { throw refusal.error(place) { "row \($0)" } }
  }

  /// Loss and hits of a whole data set at inference; changes nothing. The loss of no rows is NaN.
  ///
  /// - Parameter normalization: of the images, where the model has none of its own (``Model/imageNormalization``).
  public func evaluate(
    _ inputs: [ArrayView], _ targets: [ArrayView], batchSize: Int = 0, normalization: ImageNormalization? = nil
  ) throws -> TrainingResult {
    try evaluate(inputs, targets, batchSize: batchSize, normalization: normalization, what: "")
  }

  /// - Parameter what: stands before the names of the arguments in messages.
  func evaluate(
    _ inputs: [ArrayView], _ targets: [ArrayView], batchSize: Int, normalization: ImageNormalization?, what: String
  ) throws -> TrainingResult {
    try model.network.exclusivity.reading {
      try runEvaluation(inputs, targets, batchSize: batchSize, normalization: normalization, what: what)
    }
  }

  private func runEvaluation(
    _ inputs: [ArrayView], _ targets: [ArrayView], batchSize: Int, normalization: ImageNormalization?, what: String
  ) throws -> TrainingResult {
    let rows = try model.checkInputs(inputs, what: what + "inputs")
    let reader = try imageReader(inputs, nil, normalization, what: what + "inputs")
    let checked = try checkTargets(targets, rows: rows, what: what + "targets")
    let compute = try Compute.shared
    var (sum, correct) = (0.0, 0)
    var scratch: LossMemory?
    try lossModel.run(rows: rows, batchSize: batchSize) { executor, first, count in
      if let reader {
        for image in 0..<count {
          reader.read(first + image, ImageChoice(), into: executor.inputFloats(0) + image * reader.length)
        }
      } else {
        try executor.load(inputs, from: first, count: count)
      }
      defer { executor.releaseInputs() }
      executor.forward()
      let memory = try scratch ?? LossMemory(checked, rows: count, compute)
      scratch = memory
      for (place, target) in checked.enumerated() {
        try target.load(from: first, count: count, into: memory.targets[place].base)
        let result = target.evaluate(
          executor.outputFloats(place), memory.targets[place].base, rows: count, gradient: nil, gradientScale: 0,
          workspace: memory.workspace.base, compute)
        sum += result.sum
        correct += result.correct
      }
    }
    return loss.result(sum: sum, correct: correct, rows: rows)
  }

  func checkTargets(_ targets: [ArrayView], rows: Int, what: String = "targets") throws -> [Targets] {
    var checked: [Targets] = []
    try checkTargets(targets, rows: rows, what: what, into: &checked)
    return checked
  }

  private func checkTargets(
    _ targets: [ArrayView], rows: Int, what: String = "targets", into checked: inout [Targets]
  ) throws {
    guard targets.count == lossModel.outputShapes.count else {
      throw MartletError.shapeMismatch(
        "\(what): one for each of the model's \(lossModel.outputShapes.count) outputs is needed; \(targets.count) came.")
    }
    for (place, array) in targets.enumerated() {
      checked.append(
        try Targets(array, loss, rows: rows, outputShape: lossModel.outputShapes[place], argument: what, place: place))
    }
  }

  /// The memory of a step of at most `capacity` rows; made anew when the model's switches change.
  func stepMemory(capacity: Int) throws -> StepMemory {
    if let memory, memory.executor.plan.capacity >= capacity, memory.executor.plan.version == model.network.version {
      return memory
    }
    let new = try StepMemory(lossModel, capacity: capacity, Compute.shared)
    memory = new
    return new
  }

  /// One update by the gradient of all pieces together: forward, loss and backward of each in turn.
  ///
  /// The update is made when every loss and gradient is known to be finite; only gradients and scratch have changed until then, and
  /// the moving statistics, which are put back if it is not made.
  ///
  /// - Parameters:
  ///   - rows: of all pieces; 1 or more.
  ///   - explains: whether a refusal says why, for which the model may run once more.
  ///   - loadTargets: puts a piece's targets into memory, whose size has been checked. It throws for targets that the loss does not take;
  ///     the statistics that earlier pieces have moved are put back then, too.
  ///   - loadInputs: the same for its inputs.
  /// - Throws: ``NonfiniteStep`` if the loss or a gradient is not finite.
  func run(
    _ memory: StepMemory, rows: Int, pieces: Int, explains: Bool = true,
    _ loadTargets: (_ piece: Int) throws -> (rows: Int, targets: [Targets]), inputs loadInputs: (_ piece: Int) throws -> Void
  ) throws -> TrainingResult {
    func load(_ piece: Int) throws -> (rows: Int, targets: [Targets]) {
      let loaded = try loadTargets(piece)
      try loadInputs(piece)
      return loaded
    }
    if let allReduce = model.network.exchange {
      return try runShard(allReduce, memory, rows: rows, explains: explains) { try load(0) }
    }
    let executor = memory.executor
    let key = StableHash.mixed(seed ^ StableHash.mixed(stepCount))
    memory.stateBefore.retake()
    var isTaken = false
    defer { if !isTaken { memory.stateBefore.restore() } }
    defer { executor.accumulatesGradients = false }
    var (sum, correct) = (0.0, 0)
    for piece in 0..<pieces {
      let (count, targets) = try load(piece)
      try executor.prepare(rows: count)
      executor.randomKey = Trainer.dropoutKey(key, piece: piece)
      executor.accumulatesGradients = piece > 0
      executor.forward()
      for (place, target) in targets.enumerated() {
        let result = target.evaluate(
          executor.outputFloats(place), memory.targets[place].base, rows: count, gradient: memory.lossGradient(place),
          gradientScale: 1 / Float(rows), workspace: memory.workspace.base, executor.compute)
        memory.addLossGradient(place, rows: count)
        sum += result.sum
        correct += result.correct
      }
      guard sum.isFinite else {
        memory.stateBefore.restore()
        let cause = explains ? cause(memory, pieces: piece + 1, runsAgain: true, key: key, load) : .unknown
        throw NonfiniteStep(loss: sum, cause: cause)
      }
      executor.backward()
    }
    if let variable = optimizer.nonfiniteGradient(executor.compute) {
      throw NonfiniteStep(loss: sum, cause: explains ? .gradient(variable) : .unknown)
    }
    isTaken = true
    stepCount &+= 1
    optimizer.step(executor.compute)
    return loss.result(sum: sum, correct: correct, rows: rows)
  }

  /// Dropout drops other elements in each piece; the first is as in a step of one.
  static func dropoutKey(_ key: UInt64, piece: Int) -> UInt64 { piece == 0 ? key : StableHash.mixed(key ^ UInt64(piece)) }
}
