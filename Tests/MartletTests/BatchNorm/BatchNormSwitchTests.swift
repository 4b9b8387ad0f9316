import MartletTestSupport
import Testing

@testable import Martlet

/// Frozen stays frozen, whatever goes on around it.
@Suite struct BatchNormSwitchTests {
  private func network() throws -> Model {
    try Model.sequential([Dense(5), BatchNorm(), Sigmoid(), Dense(5), BatchNorm(), Tanh(), Dense(3)], inputShape: [4], seed: 2)
  }
  private let labels: [Int32] = [0, 1, 2, 0, 1, 2, 0, 1]

  private func bytes(_ model: Model, _ layer: String) throws -> [[UInt8]] {
    try model.layer(named: layer).variables.map {
      Array(UnsafeRawBufferPointer(start: $0.storage.base, count: $0.count * $0.dataType.byteCount))
    }
  }

  @Test func frozenStaysFrozen() throws {
    let model = try network()
    randomiseAffine(model, seed: 1)
    let trainer = try Trainer(model, loss: .crossEntropy, optimizer: .adam(learningRate: 0.05))
    let x = try randomTensor([8, 4], seed: 1)
    _ = try trainer.step(x, labels: labels)
    try model.setBatchNormSwitches(layer: "1", .frozen)
    #expect(try model.batchNormSwitches(layer: "1") == .frozen && model.batchNormSwitches(layer: "4") == .learning)
    let (frozen, learning) = (try bytes(model, "1"), try bytes(model, "4"))
    for _ in 0..<5 { _ = try trainer.step(x, labels: labels) }
    #expect(try bytes(model, "1") == frozen)
    #expect(try bytes(model, "4") != learning)

    // Saved with the model, and in copies.
    let directory = try ScratchDirectory()
    try model.save(to: directory("model.safetensors"))
    for copy in [try Model.load(from: directory("model.safetensors")), try model.clone()] {
      #expect(try copy.batchNormSwitches(layer: "1") == .frozen && copy.batchNormSwitches(layer: "4") == .learning)
      let trainer = try Trainer(copy, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.5))
      let before = try bytes(copy, "4")
      for _ in 0..<3 { _ = try trainer.step(x, labels: labels) }
      #expect(try bytes(copy, "1") == frozen)
      #expect(try bytes(copy, "4") != before)
    }
    // And thawed.
    try model.setBatchNormSwitches(layer: nil, .learning)
    _ = try trainer.step(x, labels: labels)
    #expect(try bytes(model, "1") != frozen)
  }

  @Test(arguments: BatchNorm.Normalizer.allCases, [true, false]) func eachSwitchAlone(
    _ normalizer: BatchNorm.Normalizer, _ updates: Bool
  ) throws {
    for trains in [true, false] {
      let model = try network()
      let switches = BatchNormSwitches(normalizer: normalizer, updatesMoving: updates, trainsScaleShift: trains)
      try model.setBatchNormSwitches(layer: nil, switches)
      let trainer = try Trainer(model, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.5))
      let x = try randomTensor([8, 4], seed: 1)
      let (mean, scale, weight) = (
        try model.values("1.running_mean"), try model.values("1.weight"), try model.values("0.weight")
      )
      _ = try trainer.step(x, labels: labels)
      #expect(try (model.values("1.running_mean") != mean) == updates)
      #expect(try (model.values("1.weight") != scale) == trains)
      #expect(try model.values("0.weight") != weight)
    }
  }

  @Test func errors() throws {
    let model = try network()
    expectError(.invalidArgument, "layer_name", "\"0\" is a dense", "\"1\", \"4\"") {
      try model.setBatchNormSwitches(layer: "0", .frozen)
    }
    expectError(.invalidArgument, "no layer \"9\"", "\"1\" (batch_norm)") { _ = try model.batchNormSwitches(layer: "9") }
    expectError(.invalidArgument, "1.running_mean is state") { try model.setTrainable("1.running_mean", true) }
  }

  @Test func changedSwitchesMakeAForwardStale() throws {
    let model = try network()
    let x = try randomTensor([8, 4], seed: 1)
    let y = try model.forward(x, training: true)
    try model.setBatchNormSwitches(layer: "1", .frozen)
    expectError(.invalidState, "switches changed") { _ = try model.backward(y) }
    // Inference sees the change at once, in plans it has already made too.
    let before = try model.predict(x)
    try model.setTrainable("0.weight", false)
    #expect(try model.predict(x) == before)
  }
}
