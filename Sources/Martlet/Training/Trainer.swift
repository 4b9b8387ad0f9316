// A model in training: loss, optimizer, random state, and the memory of a step.
import MartletRuntime

/// Trains a model. Holds on to it; the model stays usable between steps.
///
///     let trainer = try Trainer(net, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.1))
///     let result = try trainer.step(x, labels)
///
/// If an output's last layer is a ``Softmax`` and the loss cross-entropy, the two are taken together: the loss reads the
/// softmax's input, which
/// keeps the gradient exact where a probability rounds to 0 or 1.
public final class Trainer {
  public let model: Model
  public let loss: Loss
  public let optimizer: Optimizer
  /// The model up to what the loss reads.
  let lossModel: Model
  let seed: UInt64
  /// Rows of a batch that run at a time; nil: all of them. See ``setMicroBatchSize(_:)``.
  public internal(set) var microBatchSize: Int?
  var stepCount: UInt64 = 0
  private var memory: StepMemory?
  /// The targets of the step under way; kept for its memory.
  private var stepTargets: [Targets] = []

  /// - Parameter seed: of dropout and shuffling.
  public init(_ model: Model, loss: Loss, optimizer: OptimizerOptions = .sgd(), seed: UInt64 = 0) throws {
    self.model = model
    self.loss = loss
    self.seed = seed
    self.optimizer = try Optimizer(model, optimizer)
    lossModel = Trainer.lossModel(model, loss)
    for (place, shape) in lossModel.outputShapes.enumerated() where loss == .crossEntropy && shape.count != 1 {
      throw MartletError.shapeMismatch(
        "loss: cross_entropy takes outputs [rows, classes]; a row of output \(place) has the shape \(Shape.text(shape)).")
    }
  }

  static func lossModel(_ model: Model, _ loss: Loss) -> Model {
    guard loss == .crossEntropy else { return model }
    let nodes = model.outputNodes.map { output -> Int in
      let node = model.network.nodes[output]
      return node.layer?.layer is Softmax ? node.inputs[0] : output
    }
    return Model(model.network, inputs: model.inputNodes, outputs: nodes, seed: 0)
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
  /// - Throws: ``MartletError`` if something does not fit; nothing has changed then.
  @discardableResult
  public func step(_ inputs: [ArrayView], _ targets: [ArrayView]) throws -> TrainingResult {
    try model.network.refuseDuringExchange("A trainer's step")
    let rows = try model.checkInputs(inputs)
    defer { stepTargets.removeAll(keepingCapacity: true) }
    try checkTargets(targets, rows: rows, into: &stepTargets)
    let memory = try stepMemory(rows: rows)
    guard rows > 0 || model.network.allReduce != nil else { return TrainingResult() }
    defer { memory.executor.releaseInputs() }
    let cut = microBatches
    return try run(memory, rows: rows, pieces: cut.count(rows: rows)) { piece in
      let range = cut.range(piece, rows: rows)
      memory.executor.load(inputs, from: range.lowerBound, count: range.count)
      for (place, target) in stepTargets.enumerated() {
        target.load(from: range.lowerBound, count: range.count, into: memory.targets[place].base)
      }
      return (range.count, stepTargets)
    }
  }

  /// Loss and hits of a whole data set at inference; changes nothing.
  ///
  /// - Parameter normalization: of the images, as in the fit; read batch by batch where they lie. Predictions take none: hand
  ///   in normalised values there.
  public func evaluate(
    _ inputs: [ArrayView], _ targets: [ArrayView], batchSize: Int = 0, normalization: ImageNormalization? = nil
  ) throws -> TrainingResult {
    let rows = try model.checkInputs(inputs)
    let reader = try imageReader(inputs, nil, normalization)
    let checked = try checkTargets(targets, rows: rows)
    let compute = try Compute.shared
    var (sum, correct) = (0.0, 0)
    var scratch: LossMemory?
    try lossModel.run(rows: rows, batchSize: batchSize) { executor, first, count in
      if let reader {
        for image in 0..<count {
          reader.read(first + image, ImageChoice(), into: executor.inputFloats(0) + image * reader.length)
        }
      } else {
        executor.load(inputs, from: first, count: count)
      }
      defer { executor.releaseInputs() }
      executor.forward()
      let memory = try scratch ?? LossMemory(checked, rows: count, compute)
      scratch = memory
      for (place, target) in checked.enumerated() {
        target.load(from: first, count: count, into: memory.targets[place].base)
        let result = target.evaluate(
          executor.outputFloats(place), memory.targets[place].base, rows: count, gradient: nil, gradientScale: 0,
          workspace: memory.workspace.base, compute)
        sum += result.sum
        correct += result.correct
      }
    }
    return TrainingResult(loss: rows == 0 ? 0 : sum / Double(rows), correct: correct, rows: rows)
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
        try Targets(array, loss, rows: rows, outputShape: lossModel.outputShapes[place], argument: "\(what)[\(place)]"))
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
  /// - Parameters:
  ///   - rows: of all pieces; 1 or more.
  ///   - load: puts a piece into memory, whose size has been checked.
  func run(
    _ memory: StepMemory, rows: Int, pieces: Int, _ load: (_ piece: Int) -> (rows: Int, targets: [Targets])
  ) throws -> TrainingResult {
    if let allReduce = model.network.exchange { return try runShard(allReduce, memory, rows: rows) { load(0) } }
    let executor = memory.executor
    let key = StableHash.mixed(seed ^ StableHash.mixed(stepCount))
    stepCount &+= 1
    defer { executor.accumulatesGradients = false }
    var (sum, correct) = (0.0, 0)
    for piece in 0..<pieces {
      let (count, targets) = load(piece)
      try executor.prepare(rows: count)
      // Dropout drops other elements in each piece; the first is as in a step of one.
      executor.randomKey = piece == 0 ? key : StableHash.mixed(key ^ UInt64(piece))
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
      executor.backward()
    }
    optimizer.step(executor.compute)
    return TrainingResult(loss: sum / Double(rows), correct: correct, rows: rows)
  }
}
