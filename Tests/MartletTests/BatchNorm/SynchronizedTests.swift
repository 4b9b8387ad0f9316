import MartletTestSupport
import Synchronization
import Testing

@testable import Martlet

/// Several shards of a batch, each on a thread of its own, against one large batch.
@Suite struct SynchronizedTests {
  private let rows = 24
  private let tolerance = Tolerance.network(depth: 6, terms: 24, magnitude: 4)

  private func network(_ norm: BatchNorm = BatchNorm()) throws -> Model {
    let model = try Model.sequential(
      [Dense(6), norm, ReLU(), Dense(5), BatchNorm(momentum: 0.5), Sigmoid(), Dense(3)], inputShape: [4], seed: 5)
    randomiseAffine(model, seed: 6)
    return model
  }

  private func data() throws -> (x: Tensor, grad: Tensor) {
    let noise = try randomTensor([rows, 4], seed: 1)
    let x = try Tensor(noise.values.enumerated().map { $1 + Float($0 / 4) / 10 }, shape: [rows, 4])
    return (x, try randomTensor([rows, 3], seed: 2))
  }

  /// What each shard leaves behind; written by its own thread alone.
  private final class Outcome: @unchecked Sendable {
    var models: [Model]
    var errors: [(any Error)?]
    var results: [TrainingResult]
    init(_ models: [Model]) {
      self.models = models
      errors = Array(repeating: nil, count: models.count)
      results = Array(repeating: TrainingResult(), count: models.count)
    }
    private let lock = Mutex(())
    func with(_ body: (Outcome) -> Void) { lock.withLock { _ in body(self) } }
  }

  /// Runs `body` for each shard, whose model exchanges by one communicator.
  private func run(
    _ models: [Model], _ communicator: ShardCommunicator,
    _ body: @escaping @Sendable (Int, Model, Outcome) throws -> Void
  ) throws -> Outcome {
    for (shard, model) in models.enumerated() { try model.setAllReduce { try communicator.allReduce($0, shard: shard) } }
    let outcome = Outcome(models)
    Threads.run(models.count) { shard in
      do { try body(shard, outcome.models[shard], outcome) } catch {
        communicator.leave()
        outcome.with { $0.errors[shard] = error }
      }
    }
    return outcome
  }

  static let cuts: [[Range<Int>]] = [
    [0..<24], [0..<12, 12..<24], [0..<1, 1..<20, 20..<24], [0..<0, 0..<5, 5..<5, 5..<24], [0..<8, 8..<9, 9..<10, 10..<24],
  ]

  /// Outputs, gradients and statistics of k shards are those of the whole batch; every shard has the same statistics, to the bit.
  @Test(arguments: cuts) func shardsAreOneBatch(_ cut: [Range<Int>]) throws {
    let (x, grad) = try data()
    let counts = try ShardedPass.compare({ try network() }, [x], grad: grad, cut, tolerance: tolerance).counts
    // 2·C + 1 sums forward, 2·C backward.
    #expect(counts == [13, 11, 10, 12])
  }

  /// A training step of all shards is the step of the whole batch, and the same bits on every shard.
  @Test(arguments: cuts) func trainers(_ cut: [Range<Int>]) throws {
    let (x, _) = try data()
    let labels = (0..<rows).map { Int32($0 * 7 % 3) }
    let whole = try network()
    let single = try Trainer(whole, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.3, momentum: 0.9))
    var want = TrainingResult()
    for _ in 0..<3 { want = try single.step(x, labels: labels) }
    let parts = try cut.map { try x.rows($0) }
    let outcome = try run(cut.map { _ in try network() }, ShardCommunicator(shards: cut.count)) { shard, model, outcome in
      let trainer = try Trainer(model, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.3, momentum: 0.9))
      for _ in 0..<3 {
        let result = try trainer.step(parts[shard], labels: Array(labels[cut[shard]]))
        outcome.with { $0.results[shard] = result }
      }
    }
    #expect(outcome.errors.allSatisfy { $0 == nil })
    let tolerance = Tolerance.network(depth: 12, terms: 24, magnitude: 4)
    for (shard, model) in outcome.models.enumerated() {
      #expect(model.allBytes == outcome.models[0].allBytes)
      #expect(outcome.results[shard].rows == rows && outcome.results[shard].correct == want.correct)
      #expect(abs(outcome.results[shard].loss - want.loss) <= tolerance)
      for (variable, other) in zip(model.variables, whole.variables) {
        expectClose(variable.values, other.values.map(Double.init), within: tolerance, variable.name)
      }
    }
  }

  /// Every variant that follows batches.
  @Test(arguments: [
    BatchNorm(momentum: nil), BatchNorm(normalizer: .moving),
    BatchNorm(
      renormalization: BatchRenormalization(
        maximumRatio: 1.5, maximumDistance: 0.5, ratioRamp: .init(0, 0), distanceRamp: .init(0, 0))),
  ]) func variants(_ norm: BatchNorm) throws {
    let (x, grad) = try data()
    try ShardedPass.compare({ try network(norm) }, [x], grad: grad, [0..<3, 3..<3, 3..<24], tolerance: tolerance)
  }

  /// Whichever exchange fails, each shard is as before its call.
  @Test(arguments: 0..<4) func aFailureChangesNothing(_ round: Int) throws {
    let (x, grad) = try data()
    let cut = [0..<7, 7..<24]
    let (parts, grads) = (try cut.map { try x.rows($0) }, try cut.map { try grad.rows($0) })
    let outcome = try run([network(), network()], ShardCommunicator(shards: 2, failingRound: round)) { shard, model, _ in
      let before = model.allBytes
      if round < 2 {
        #expect(throws: ShardCommunicator.Failed.self) { try model.forward(parts[shard], training: true) }
        #expect(model.allBytes == before)
        #expect(throws: MartletError.self) { try model.backward(grads[shard]) }
      } else {
        _ = try model.forward(parts[shard], training: true)
        let (before, gradients) = (model.allBytes, model.variables.map(\.gradientValues))
        #expect(throws: ShardCommunicator.Failed.self) { try model.backward(grads[shard], accumulate: true) }
        #expect(model.allBytes == before && model.variables.map(\.gradientValues) == gradients)
      }
    }
    #expect(outcome.errors.allSatisfy { $0 == nil })
    let labels = (0..<rows).map { Int32($0 * 7 % 3) }
    // Rows, two norms forward, two backward, gradients.
    for round in 0..<6 {
      let outcome = try run([network(), network()], ShardCommunicator(shards: 2, failingRound: round)) { shard, model, _ in
        let trainer = try Trainer(model, loss: .crossEntropy)
        let (before, gradients) = (model.allBytes, model.variables.map(\.gradientValues))
        #expect(throws: ShardCommunicator.Failed.self) {
          try trainer.step(parts[shard], labels: Array(labels[cut[shard]]))
        }
        #expect(model.allBytes == before && model.variables.map(\.gradientValues) == gradients)
      }
      #expect(outcome.errors.allSatisfy { $0 == nil })
    }
  }

  @Test func refused() throws {
    let virtual = try network(BatchNorm(virtualBatchSize: 4))
    expectError(.unsupported, "Layer \"1\"", "virtual_batch_size") { try virtual.setAllReduce { _ in } }
    let model = try network()
    try model.setAllReduce { _ in }
    let before = model.allBytes
    let one = try data().x.rows(0..<1)
    expectError(.invalidArgument, "Layer \"1\"", "all shards together have 1") { _ = try model.forward(one, training: true) }
    let trainer = try Trainer(model, loss: .crossEntropy)
    expectError(.unsupported, "Micro-batches") { try trainer.step(microBatches: []) }
    try trainer.setMicroBatchSize(4)
    expectError(.unsupported, "Micro-batches") { try trainer.step(one, labels: [1]) }
    #expect(model.allBytes == before)
    // Alone again, and a clone is alone from the start.
    let clone = try model.clone()
    try model.setAllReduce(nil)
    for model in [model, clone] {
      expectError(.invalidArgument, "2 or more values", "[1, 6]") { _ = try model.forward(one, training: true) }
    }
  }
}
