import MartletTestSupport
import Synchronization
import Testing

@testable import Martlet

/// Inference keeps packed weights and folded batch norms; whoever writes what they were made from, the next prediction knows.
///
/// The reference is always an untouched model with the same values: a clone made after the write.
@Suite struct StalenessTests {
  private func network() throws -> Model {
    let model = try Model.sequential(
      [Dense(70), BatchNorm(), Sigmoid(), Dense(30), ReLU(), Dense(4)], inputShape: [150], seed: 5)
    randomiseAffine(model, seed: 5)
    return model
  }

  /// Predicts before and after `write`; the answer must change, to that of a model that never knew another.
  private func expectSeen(_ what: String, _ model: Model, _ write: () throws -> Void) throws {
    let x = try randomTensor([3, 150], seed: 1)
    let before = try [1, 3].map { try model.predict(x, batchSize: $0).bits }
    #expect(before[0] == before[1])
    try write()
    let after = try [1, 3].map { try model.predict(x, batchSize: $0).bits }
    let fresh = try model.clone().predict(x).bits
    #expect(after == [fresh, fresh], "\(what)")
    #expect(after != before, "\(what) changed nothing")
    #expect(try model.forward(x, training: false).bits == fresh, "\(what), by hand")
  }

  @Test func everyTensorSet() throws {
    let model = try network()
    for variable in model.variables where variable.dataType == .float32 {
      let value = try Tensor(shape: variable.shape, filledWith: 0.37)
      try expectSeen(variable.name, model) {
        try model.setVariables([(variable.name, value.view())], strict: false)
      }
      #expect(!variable.isExposed)
      withExtendedLifetime(value) {}
    }
  }

  @Test func everyTensorThroughItsView() throws {
    let model = try network()
    for variable in model.variables where variable.dataType == .float32 {
      let view = variable.value
      #expect(variable.isExposed)
      let floats = try #require(view.contiguousFloats)
      for number in 1...3 {
        try expectSeen("\(variable.name), write \(number)", model) { floats[variable.count - 1] = 2 + Float(number) }
      }
    }
  }

  @Test func training() throws {
    let model = try network()
    let (x, y) = (try randomTensor([20, 150], seed: 2), try randomTensor([20, 4], seed: 3))
    let trainer = try Trainer(model, loss: .meanSquaredError, optimizer: .adam(learningRate: 0.01))
    try expectSeen("a step", model) { try trainer.step([x.view()], [y.view()]) }
    try expectSeen("a fit", model) { try trainer.fit([x.view()], [y.view()], FitOptions(epochs: 1, batchSize: 10)) }
    try expectSeen("moving statistics", model) { _ = try model.forward(x, training: true) }
    _ = try model.forward(x, training: true)
    _ = try model.backward(y)
    let optimizer = try Optimizer(model, .sgd(learningRate: 0.01))
    try expectSeen("an optimizer by hand", model) { try optimizer.step() }
    try expectSeen("population statistics", model) { try model.updatePopulationStatistics([x.view()]) }
    withExtendedLifetime((x, y)) {}
  }

  /// Layers are shared: a write through one model is seen by all.
  @Test func submodels() throws {
    let model = try network()
    let part = try model.submodel(outputs: ["1"])
    let x = try randomTensor([1, 150], seed: 4)
    let before = (try model.predict(x).bits, try part.predict(x).bits)
    let value = try Tensor(shape: [70, 150], filledWith: 0.01)
    try part.setVariables([("0.weight", value.view())], strict: false)
    #expect(try model.predict(x).bits != before.0 && model.predict(x).bits == model.clone().predict(x).bits)
    #expect(try part.predict(x).bits != before.1 && part.predict(x).bits == part.clone().predict(x).bits)
    withExtendedLifetime(value) {}
  }

  /// Reading and gradients expose nothing.
  @Test func reading() throws {
    let model = try network()
    for variable in model.variables {
      _ = try variable.copyValues()
      _ = variable.gradientValue
    }
    #expect(!model.variables.contains { $0.isExposed })
  }

  @Test func copies() throws {
    let model = try network()
    let weight = try model.variable(named: "0.weight")
    let wide = try Storage(byteCount: weight.count * 8)
    try weight.copyValues(into: ArrayView(wide.base, .float64, shape: [70, 150]))
    #expect((0..<weight.count).allSatisfy { wide.doubles[$0] == Double(weight.floats[$0]) })
    #expect(try weight.copyValues().values == weight.values)
    let counter = try model.variable(named: "1.num_batches_tracked")
    wide.integers.pointee = -1
    try counter.copyValues(into: ArrayView(wide.base, .int64, shape: []))
    #expect(wide.integers.pointee == 0)
    wide.doubles.pointee = -1
    try counter.copyValues(into: ArrayView(wide.base, .float64, shape: []))
    #expect(wide.doubles.pointee == 0)

    wide.doubles.pointee = -1
    expectError(.shapeMismatch, "[70, 150]", "[150, 70]") {
      try weight.copyValues(into: ArrayView(wide.base, .float32, shape: [150, 70]))
    }
    expectError(.unsupported, "float32 or float64", "int64 came") {
      try weight.copyValues(into: ArrayView(wide.base, .int64, shape: [70, 150]))
    }
    expectError(.invalidArgument, "contiguous", "[1, 70]") {
      try weight.copyValues(into: ArrayView(wide.base, .float32, shape: [70, 150], strides: [1, 70]))
    }
    #expect(wide.doubles.pointee == -1)
  }

  /// Threads that find the packed weights stale at the same moment.
  @Test func manyThreadsAfterAWrite() throws {
    let model = try network()
    let x = try randomTensor([1, 150], seed: 1)
    for round in 0..<20 {
      let value = try Tensor(shape: [70, 150], filledWith: Float(round) * 0.001)
      try model.setVariables([("0.weight", value.view())], strict: false)
      let want = try model.clone().predict(x).bits
      let wrong = Mutex(0)
      Threads.run(4) { _ in
        if (try? model.predict(x).bits) != want { wrong.withLock { $0 += 1 } }
      }
      #expect(wrong.withLock { $0 } == 0)
      withExtendedLifetime(value) {}
    }
  }
}
