import MartletRuntime
import MartletTestSupport
import Testing

@testable import Martlet

/// The same seed gives the same bits for any number of threads: whole training runs, on every instruction set of the machine.
@Suite(.serialized) struct DeterminismTests {
  /// Wide enough that every operation is cut into several pieces.
  private func network(seed: UInt64 = 8) throws -> Model {
    try fitted(
      [
        InputNormalization(), Dense(210), BatchNorm(), Sigmoid(), Dropout(0.3), Dense(190), Tanh(), BatchNorm(momentum: nil),
        Dense(180),
        BatchNorm(), ReLU(), LayerNorm(), RMSNorm(), GroupNorm(20), Dense(10),
      ], seed: seed)
  }

  private func fitted(_ layers: [any Layer], seed: UInt64 = 8) throws -> Model {
    let model = try Model.sequential(layers, inputShape: [230], seed: seed)
    let x = try randomTensor([50, 230], seed: 6, -1...2)
    try withExtendedLifetime(x) { try model.fitInputNormalization([x.view()]) }
    return model
  }

  /// Layers on images, of the same rows.
  private func imageNetwork() throws -> Model {
    try fitted(
      [
        InputNormalization(), Reshape([23, 10, 1]), Conv2D(20, kernelSize: 3, padding: .same), BatchNorm(), ReLU(),
        MaxPool2D(3, strides: Extent2D(1, 2), padding: .same), Conv2D(20, kernelSize: 3, padding: .all(1), groups: 20),
        Conv2D(40, kernelSize: 1), Upsample2D(2), Tanh(), Conv2D(24, kernelSize: 3, strides: 2, dilation: 2), BatchNorm(),
        GroupNorm(6), FilterResponseNorm(), InstanceNorm(scale: true), LayerNorm(over: .all),
        ZeroPad2D(1), AvgPool2D(2), ChannelsFirst(), Flatten(), Dropout(0.3), Dense(10),
      ])
  }

  private func data(rows: Int) throws -> (Tensor, [Int32]) {
    (try randomTensor([rows, 230], seed: 5, -1...2), (0..<rows).map { Int32($0 * 3 % 10) })
  }

  /// Five steps on a compute of our own; what is left of them: losses, parameters, moving statistics.
  private func train(_ compute: Compute, _ model: Model, rows: Int) throws -> (losses: [Double], bytes: [[UInt8]]) {
    let trainer = try Trainer(model, loss: .crossEntropy, optimizer: .adam(learningRate: 0.01), seed: 4)
    let memory = try StepMemory(trainer.lossModel, capacity: rows, compute)
    var (x, labels) = try data(rows: rows)
    let losses = try labels.withUnsafeMutableBytes { bytes in
      let targets = try trainer.checkTargets([ArrayView(bytes.baseAddress, .int32, shape: [rows])], rows: rows)
      return try (0..<5).map { step in
        try x.setElement(at: [step, step], to: Float(step))
        try memory.executor.prepare(rows: rows)
        let input = try x.view()
        let result = try trainer.run(memory, rows: rows, pieces: 1) { _ in
          try targets[0].load(from: 0, count: rows, into: memory.targets[0].base)
          return (rows, targets)
        } inputs: { _ in
          try memory.executor.load([input], from: 0, count: rows)
        }
        return result.loss
      }
    }
    return (losses, model.allBytes)
  }

  @Test(arguments: EveryCompute.ofAllThreads.indices) func trainingRuns(_ set: Int) throws {
    let (name, computes) = EveryCompute.ofAllThreads[set]
    let networks: [(make: () throws -> Model, rows: Int)] = [({ try network() }, 300), (imageNetwork, 40)]
    for (makeModel, rows) in networks {
      let runs = try computes.map { try train($0, makeModel(), rows: rows) }
      #expect(runs[0].losses.allSatisfy { $0.isFinite })
      for run in runs {
        #expect(run.losses.map(\.bitPattern) == runs[0].losses.map(\.bitPattern), "\(name)")
        #expect(run.bytes == runs[0].bytes, "\(name)")
      }
      // Again, on the same threads.
      #expect(try train(computes[2], makeModel(), rows: rows).bytes == runs[0].bytes)
    }
  }

  /// The same through the public API: fit, evaluate, predict and population statistics with 1, 2 and 5 threads.
  @Test func publicAPI() throws {
    let before = Machine.threadCount
    defer { try? Machine.setThreadCount(before) }
    let (x, labels) = try data(rows: 250)
    let runs = try [1, 2, 5].map { threads in
      try Machine.setThreadCount(threads)
      #expect(Machine.threadCount == threads)
      let model = try network()
      try model.fitInputNormalization([x.view()])
      let trainer = try Trainer(model, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.1, momentum: 0.9), seed: 6)
      let result = try trainer.fit(x, labels: labels, FitOptions(epochs: 2, batchSize: 100, seed: 7))
      try model.updatePopulationStatistics([x.view()])
      return (result, try trainer.evaluate(x, labels: labels), try model.predict(x).bits, model.allBytes)
    }
    for run in runs {
      #expect(run.0 == runs[0].0 && run.1 == runs[0].1)
      #expect(run.2 == runs[0].2)
      #expect(run.3 == runs[0].3)
    }
    withExtendedLifetime(x) {}
  }

  @Test func seedsDecide() throws {
    let (x, labels) = try data(rows: 60)
    func run(model seed: UInt64, trainer: UInt64, order: UInt64) throws -> [[UInt8]] {
      let model = try network(seed: seed)
      try Trainer(model, loss: .crossEntropy, seed: trainer).fit(x, labels: labels, FitOptions(batchSize: 20, seed: order))
      return model.allBytes
    }
    let base = try run(model: 1, trainer: 1, order: 1)
    #expect(try run(model: 1, trainer: 1, order: 1) == base)
    #expect(try run(model: 2, trainer: 1, order: 1) != base)
    #expect(try run(model: 1, trainer: 2, order: 1) != base)
    #expect(try run(model: 1, trainer: 1, order: 2) != base)
  }

  @Test func threadCountErrors() {
    for count in [0, -1, 1025] {
      expectError(.invalidArgument, "1...1024", "got \(count)") { try Machine.setThreadCount(count) }
    }
    #expect(try! Machine.availableInstructionSets.contains(Machine.instructionSet))
    #expect(Machine.availableInstructionSets.last == "baseline")
  }
}
