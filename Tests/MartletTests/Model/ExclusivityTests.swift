import MartletRuntime
import MartletTestSupport
import Testing

@testable import Martlet

/// Runs a body on a thread of its own, and waits for it.
private func onAnotherThread(_ body: @escaping () -> Void) {
  nonisolated(unsafe) let body = body
  Threads.run(1) { _ in body() }
}

/// One thread that changes an object, or many that read it; who comes second is refused.
@Suite struct ExclusivityTests {
  private let busy = "in use by another thread"

  @Test func readersExcludeThoseWhoChange() throws {
    let use = Exclusivity("thing")
    try use.reading {
      onAnotherThread {
        #expect(throws: Never.self) { try use.reading {} }
        expectError(.invalidState, "thing", busy, "reading") { try use.changing {} }
      }
      try use.reading {}
    }
    try use.changing {}
  }

  @Test func whoChangesExcludesAllOthers() throws {
    let use = Exclusivity("thing", shared: "Looking")
    try use.changing {
      onAnotherThread {
        expectError(.invalidState, "thing", busy, "changing", "Looking") { try use.reading {} }
        expectError(.invalidState, "thing", busy) { try use.changing {} }
      }
      // The thread itself may go on with it, and is in possession until the outermost use ends.
      try use.reading {}
      try use.changing { try use.reading {} }
      onAnotherThread { expectError(.invalidState, busy) { try use.reading {} } }
    }
    onAnotherThread { #expect(throws: Never.self) { try use.changing {} } }
  }

  @Test func anErrorEndsTheUse() throws {
    struct Failure: Error {}
    let use = Exclusivity("thing")
    #expect(throws: Failure.self) { try use.changing { () throws -> Void in throw Failure() } }
    #expect(throws: Failure.self) { try use.reading { () throws -> Void in throw Failure() } }
    onAnotherThread { #expect(throws: Never.self) { try use.changing {} } }
  }

  /// Every public call of a model, its submodels and trainers, while another thread fits it.
  @Test func everyCallOnAModelInTraining() throws {
    let model = try Model.sequential([Dense(4), BatchNorm(), Dense(3)], inputShape: [5], seed: 1)
    let part = try model.submodel(outputs: [model.layers[0].name])
    let trainer = try Trainer(model, loss: .crossEntropy)
    let second = try Trainer(model, loss: .crossEntropy)
    let recorder = try ShiftRecorder(model, layers: [model.layers[1].name])
    let optimizer = try Optimizer(model, .sgd())
    let x = try randomTensor([8, 5], seed: 1, -1...1)
    let labels: [Int32] = [0, 1, 2, 0, 1, 2, 0, 1]
    let calls: [() throws -> Void] = [
      { _ = try model.predict(x) },
      { _ = try part.predict(x) },
      { _ = try part.forward(x, training: false) },
      { _ = try model.clone() },
      { _ = try model.folded() },
      { _ = try model.check() },
      { _ = try model.planDescription(batchSize: 3, training: true) },
      { try model.save(to: "/nonexistent/file") },
      { try model.loadWeights(from: "/nonexistent/file") },
      { try model.setVariables([], strict: false) },
      { try model.setTrainable(model.variables[0].name, false) },
      { _ = try model.batchNormSwitches(layer: model.layers[1].name) },
      { try model.setBatchNormSwitches(layer: nil, .frozen) },
      { try model.updatePopulationStatistics([x.view("x")]) },
      { try model.updatePopulationStatistics(batches: { _, _ in }) },
      { try model.fitInputNormalization([x.view("x")]) },
      { try model.beginStatistics() },
      { try model.withStatisticsTransaction {} },
      { try model.setAllReduce(nil) },
      { try model.setInferenceWeights(.float16) },
      { _ = try model.variables[0].copyValues() },
      { _ = try trainer.evaluate(x, labels: labels) },
      { try trainer.setLearningRate(1) },
      { try trainer.setMicroBatchSize(2) },
      { try trainer.step(x, labels: labels) },
      { try second.step(x, labels: labels) },
      { try second.fit(x, labels: labels) },
      { try optimizer.step() },
      { try recorder.record(step: 0, [x.view("x")]) },
    ]
    var events = 0
    try trainer.fit(x, labels: labels, FitOptions(batchSize: 8)) { event in
      events += 1
      // On this thread the model may be used.
      #expect(throws: Never.self) { try model.predict(x) }
      #expect(throws: Never.self) { try trainer.evaluate(x, labels: labels) }
      #expect(throws: Never.self) { try trainer.setLearningRate(0.1) }
      #expect(throws: Never.self) { try model.setBatchNormSwitches(layer: nil, .learning) }
      onAnotherThread {
        for call in calls { expectError(.invalidState, busy) { try call() } }
        #expect(throws: Never.self) { try second.setLearningRate(1) }
      }
      return true
    }
    #expect(events == 2)
    #expect(try model.predict(x).shape == [8, 3])
  }
}
