import MartletTestSupport
import Synchronization
import Testing

@testable import Martlet

/// Batch norm over shards together with everything else a batch norm can be asked for, and its wrong use.
@Suite struct SynchronizedEdgeTests {
  private static let cuts: [[Range<Int>]] = [[0..<12], [0..<5, 5..<12], [0..<0, 0..<1, 1..<12], [0..<9, 9..<12, 12..<12]]
  private let tolerance = Tolerance.network(depth: 6, terms: 36, magnitude: 4)

  /// Positions that count twice, half or not at all, some shards with nothing that counts.
  @Test(arguments: cuts) func weights(_ cut: [Range<Int>]) throws {
    let limits = BatchRenormalization(
      maximumRatio: 1.2, maximumDistance: 0.3, ratioRamp: .init(0, 0), distanceRamp: .init(0, 0))
    for norm in [BatchNorm(), BatchNorm(normalizer: .moving), BatchNorm(renormalization: limits)] {
      func make() throws -> Model {
        var graph = Graph()
        let (x, w) = (try graph.input([3, 4]), try graph.input([3]))
        let last = try graph.add(Tanh(), to: graph.add(norm, to: [x, w], name: "norm"))
        let model = try Model(graph, inputs: [x, w], outputs: [last], seed: 1)
        randomiseAffine(model, seed: 3)
        return model
      }
      // The first five rows do not count: whole shards of the cuts.
      let w = try Tensor((0..<36).map { $0 < 15 ? 0 : [2, 0.5, 1, 0][$0 % 4] }, shape: [12, 3])
      let counts = try ShardedPass.compare(
        make, [randomTensor([12, 3, 4], seed: 4, -1...3), w], grad: randomTensor([12, 3, 4], seed: 5), cut, tolerance: tolerance
      ).counts
      #expect(counts == (norm.normalizer == .batch ? [9, 8] : [9]))
    }
  }

  /// One layer in two places exchanges in both; a residual and an activation ride along.
  @Test(arguments: cuts) func sharedLayerAndResidual(_ cut: [Range<Int>]) throws {
    func make() throws -> Model {
      var graph = Graph()
      let x = try graph.input([4])
      let first = try graph.add(BatchNorm(), to: graph.add(Dense(4), to: x), name: "norm")
      let second = try graph.apply(layerOf: first, to: [graph.add(Dense(4), to: graph.add(ReLU(), to: first))])
      let last = try graph.add(ReLU(), to: graph.add(Add(), to: [second, x]))
      let model = try Model(graph, inputs: [x], outputs: [last], seed: 1)
      randomiseAffine(model, seed: 3)
      return model
    }
    let (counts, shards) = try ShardedPass.compare(
      make, [randomTensor([12, 4], seed: 4, -1...3)], grad: randomTensor([12, 4], seed: 5), cut, tolerance: tolerance)
    #expect(counts == [9, 9, 8, 8])
    #expect(try shards[0].variable(named: "norm.num_batches_tracked").integer == 2)
  }

  /// A frozen norm has nothing to say to other shards.
  @Test func frozen() throws {
    func make() throws -> Model {
      let frozen = BatchNorm(normalizer: .moving, updatesMoving: false)
      let model = try Model.sequential([Dense(4), frozen, ReLU(), Dense(3), BatchNorm()], inputShape: [4], seed: 1)
      randomiseAffine(model, seed: 3)
      return model
    }
    let counts = try ShardedPass.compare(
      make, [randomTensor([12, 4], seed: 4)], grad: randomTensor([12, 3], seed: 5), [0..<4, 4..<12], tolerance: tolerance
    ).counts
    #expect(counts == [7, 6])
  }

  /// One value a channel over all shards, beside shards without rows.
  @Test(arguments: [BatchNorm.SingleValue.moving, .skip]) func singleValue(_ policy: BatchNorm.SingleValue) throws {
    func make() throws -> Model {
      let model = try Model.sequential([Dense(4), BatchNorm(singleValue: policy), Tanh()], inputShape: [3], seed: 1)
      randomiseAffine(model, seed: 3)
      return model
    }
    let (counts, shards) = try ShardedPass.compare(
      make, [randomTensor([1, 3], seed: 4)], grad: randomTensor([1, 4], seed: 5), [0..<0, 0..<1, 1..<1], tolerance: tolerance)
    #expect(counts == [9])
    for shard in shards { #expect(try shard.variable(named: "1.num_batches_skipped").integer == 1) }
    // Two shards of one row each are a batch of two.
    let two = try ShardedPass.compare(
      make, [randomTensor([2, 3], seed: 4)], grad: randomTensor([2, 4], seed: 5), [0..<1, 1..<2],
      tolerance: Tolerance.network(depth: 6, terms: 36, magnitude: 64))
    #expect(two.counts == [9, 8])
    for shard in two.shards { #expect(try shard.variable(named: "1.num_batches_tracked").integer == 1) }
  }

  /// What sums about zero lose of the variance stays within what is documented: 2⁻⁵³·(1 + mean²/variance), and one rounding to Float32.
  @Test(arguments: [1e2, 1e4, 1e6]) func largeMeans(_ ratio: Double) throws {
    let (rows, channels) = (96, 16)
    var worst = 0.0
    for seed in 0..<8 as Range<UInt64> {
      let noise = try randomTensor([rows, channels], seed: seed)
      let x = try Tensor(noise.values.map { $0 * 3.0.squareRoot().float + Float(ratio) }, shape: [rows, channels])
      let parts = [try x.rows(0..<7), try x.rows(7..<60), try x.rows(60..<96)]
      let models = try parts.map { _ in try Model.sequential([BatchNorm(momentum: 0, debiased: false)], inputShape: [channels])
      }
      let communicator = ShardCommunicator(shards: 3)
      for (shard, model) in models.enumerated() { try model.setAllReduce { try communicator.allReduce($0, shard: shard) } }
      Threads.run(3) { shard in _ = try? models[shard].forward(parts[shard], training: true) }
      let moving = try models[0].variable(named: "0.running_var").values
      for c in 0..<channels {
        let column = (0..<rows).map { Double(x.values[$0 * channels + c]) }
        let mean = column.reduce(0, +) / Double(rows)
        let variance = column.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(rows)
        let want = variance * Double(rows) / Double(rows - 1)
        let lost = max(abs(Double(moving[c]) - want) / want - 0x1p-24, 0) / (0x1p-53 * (1 + mean * mean / variance))
        worst = max(worst, lost)
      }
    }
    print("mean/deviation \(ratio): the variance loses \(worst) times 2^-53·(1 + mean²/variance) beyond a rounding to Float32")
    #expect(worst <= 4)
  }

  /// A fit of all shards: the figures are those of all rows.
  @Test func fits() throws {
    let x = try randomTensor([20, 4], seed: 1)
    let labels = (0..<20).map { Int32($0 % 3) }
    let communicator = ShardCommunicator(shards: 2)
    let cut = [0..<8, 8..<20]
    let models = try cut.map { _ in try Model.sequential([Dense(6), BatchNorm(), ReLU(), Dense(3)], inputShape: [4], seed: 2) }
    for (shard, model) in models.enumerated() { try model.setAllReduce { try communicator.allReduce($0, shard: shard) } }
    let parts = try cut.map { try x.rows($0) }
    let results = Mutex([TrainingResult](repeating: TrainingResult(), count: 2))
    let steps = Mutex([[TrainingResult]](repeating: [], count: 2))
    Threads.run(2) { shard in
      do {
        let trainer = try Trainer(models[shard], loss: .crossEntropy)
        let options = FitOptions(epochs: 1, batchSize: [4, 6][shard], shuffles: false)
        let result = try trainer.fit(parts[shard], labels: Array(labels[cut[shard]]), options) { event in
          if event.kind == .step { steps.withLock { $0[shard].append(event.training) } }
          return true
        }
        results.withLock { $0[shard] = result }
      } catch {
        communicator.leave()
        Issue.record(error)
      }
    }
    let (found, each) = (results.withLock { $0 }, steps.withLock { $0 })
    #expect(found[0] == found[1] && each[0] == each[1])
    #expect(found[0].rows == 20 && each[0].map(\.rows) == [10, 10])
    #expect(found[0].loss == (each[0][0].loss * 10 + each[0][1].loss * 10) / 20)
    #expect(found[0].correct == (each[0][0].correct ?? 0) + (each[0][1].correct ?? 0))
    #expect(models[0].allBytes == models[1].allBytes)
  }

  private struct Broken: Error {}

  /// A fit whose exchange fails in its second step lets go of the images it was reading.
  @Test func aFitThatFailsReadsNoForeignMemory() throws {
    let model = try Model.sequential([Flatten(), Dense(6), BatchNorm(), ReLU(), Dense(3)], inputShape: [4, 4, 1], seed: 2)
    let calls = Mutex(0)
    try model.setAllReduce { _ in
      // Rows, forward, backward, gradients: the second step's forward.
      if calls.withLock({
        $0 += 1; return $0
      }) == 6 {
        throw Broken()
      }
    }
    let trainer = try Trainer(model, loss: .crossEntropy)
    let x = try randomTensor([12, 4, 4, 1], seed: 1)
    let labels = (0..<12).map { Int32($0 % 3) }
    let executor = try trainer.stepMemory(capacity: 4).executor
    let arena = executor.inputFloats(0)
    var options = FitOptions(epochs: 1, batchSize: 4, shuffles: false)
    options.normalization = ImageNormalization(mean: [0], standardDeviation: [1])
    #expect(throws: Broken.self) { try trainer.fit(x, labels: labels, options) }
    #expect(calls.withLock { $0 } == 6)
    #expect(try trainer.stepMemory(capacity: 4).executor === executor)
    #expect(executor.inputFloats(0) == arena)
    // It goes on with the same memory.
    #expect(try trainer.step(x.rows(0..<4), labels: Array(labels[..<4])).rows == 4)
  }

  /// What an all-reduce must not call says so, and the run goes on as if nothing had been tried.
  @Test func callsFromTheAllReduce() throws {
    func make() throws -> Model {
      try Model.sequential([Dense(6), BatchNorm(), ReLU(), Dense(3)], inputShape: [4], seed: 2)
    }
    let (model, other) = (try make(), try make())
    let x = try randomTensor([8, 4], seed: 1)
    let grad = try randomTensor([8, 3], seed: 2)
    let labels = (0..<8).map { Int32($0 % 3) }
    let trainer = try Trainer(model, loss: .crossEntropy)
    var refused = 0
    try other.setAllReduce { _ in }
    try model.setAllReduce { _ in
      expectError(.invalidState, "forward", "all-reduce") { _ = try model.forward(x, training: true) }
      expectError(.invalidState, "forward", "all-reduce") { _ = try model.forward(x, training: false) }
      expectError(.invalidState, "backward", "all-reduce") { _ = try model.backward(grad) }
      expectError(.invalidState, "step", "all-reduce") { try trainer.step(x, labels: labels) }
      expectError(.invalidState, "step", "all-reduce") { try trainer.step(microBatches: []) }
      expectError(.invalidState, "fit", "all-reduce") { try trainer.fit(x, labels: labels) }
      expectError(.invalidState, "set_all_reduce", "all-reduce") { try model.setAllReduce(nil) }
      refused += 1
    }
    let second = try Trainer(other, loss: .crossEntropy)
    for _ in 0..<2 {
      #expect(try model.forward(x, training: true).bits == other.forward(x, training: true).bits)
      #expect(try model.backward(grad).bits == other.backward(grad).bits)
      #expect(try trainer.step(x, labels: labels) == second.step(x, labels: labels))
    }
    #expect(refused == 2 * (2 + 4))
    #expect(model.allBytes == other.allBytes)
    try model.setAllReduce(nil)
  }

  /// Set and taken back, it leaves no trace; the closure goes with the model.
  @Test func takenBack() throws {
    final class Token {}
    func make() throws -> Model {
      try Model.sequential([Dense(6), BatchNorm(), ReLU(), Dense(3)], inputShape: [4], seed: 2)
    }
    let x = try randomTensor([8, 4], seed: 1)
    let never = try make()
    let once = try make()
    let before = try once.planDescription(batchSize: 8, training: true)
    var token: Token? = Token()
    weak let seen = token
    try once.setAllReduce { [token] _ in _ = token }
    token = nil
    #expect(try once.planDescription(batchSize: 8, training: true).contains("synchronised"))
    #expect(try !once.planDescription(batchSize: 8, training: false).contains("synchronised"))
    #expect(seen != nil)
    try once.setAllReduce(nil)
    #expect(try once.planDescription(batchSize: 8, training: true) == before)
    #expect(try once.forward(x, training: true).bits == never.forward(x, training: true).bits)
    #expect(once.allBytes == never.allBytes)
    #expect(seen == nil)
  }
}

extension Double { fileprivate var float: Float { Float(self) } }
