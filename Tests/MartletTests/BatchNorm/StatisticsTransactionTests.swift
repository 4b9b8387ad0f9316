import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct StatisticsTransactionTests {
  private func network() throws -> Model {
    let model = try Model.sequential(
      [InputNormalization(), Dense(6), BatchNorm(), Sigmoid(), Dense(3), BatchNorm()], inputShape: [4], seed: 5)
    randomiseAffine(model, seed: 6)
    let x = try randomTensor([30, 4], seed: 7, -2...2)
    try withExtendedLifetime(x) { try model.fitInputNormalization([x.view()]) }
    return model
  }

  private func state(_ model: Model) -> [[UInt8]] {
    zip(model.variables, model.allBytes).filter { $0.0.kind == .state }.map(\.1)
  }

  /// Everything that moves statistics comes back to the bit; the parameters stay where training left them.
  @Test func rollback() throws {
    let model = try network()
    let x = try randomTensor([9, 4], seed: 1, 1...3)
    let nan = try Tensor([Float](repeating: .nan, count: 36), shape: [9, 4])
    let trainer = try Trainer(model, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.1))
    try trainer.step(x, targets: Tensor(shape: [9, 3]))
    let (before, predicted) = (state(model), try model.predict(x))
    let bytes = model.allBytes
    try model.beginStatistics()
    _ = try model.forward(x, training: true)
    _ = try model.forward(nan, training: true)
    #expect(try model.variable(named: "2.num_batches_skipped").integer == 1)
    try withExtendedLifetime(x) {
      try model.updatePopulationStatistics([x.view()])
      try model.fitInputNormalization([x.view()])
    }
    #expect(state(model) != before)
    #expect(try model.predict(x) != predicted)
    try model.rollbackStatistics()
    #expect(state(model) == before && model.allBytes == bytes)
    // What inference keeps of the statistics is made anew.
    #expect(try model.predict(x) == predicted)
    try model.beginStatistics()
    try trainer.step(x, targets: Tensor(shape: [9, 3]))
    try model.rollbackStatistics()
    #expect(state(model) == before && model.allBytes != bytes)
  }

  @Test func commitAndNesting() throws {
    let model = try network()
    let x = try randomTensor([9, 4], seed: 1)
    func batches() throws -> Int64 { try model.variable(named: "2.num_batches_tracked").integer }
    func train() throws { _ = try model.forward(x, training: true) }
    try model.beginStatistics()
    try train()
    try model.beginStatistics()
    try train()
    try model.rollbackStatistics()
    #expect(try batches() == 1)
    // A submodel is in the same transaction.
    let part = try model.submodel(outputs: ["2"])
    try part.beginStatistics()
    try train()
    try model.commitStatistics()
    #expect(try batches() == 2)
    try part.rollbackStatistics()
    #expect(try batches() == 0)
    try model.beginStatistics()
    try train()
    try model.commitStatistics()
    #expect(try batches() == 1)
    let bytes = model.allBytes
    expectError(.invalidState, "commit", "begin one first") { try model.commitStatistics() }
    expectError(.invalidState, "rollback", "begin one first") { try model.rollbackStatistics() }
    try model.beginStatistics()
    expectError(.invalidState, "no transaction") { try model.clone().rollbackStatistics() }
    #expect(model.allBytes == bytes)
  }

  private struct Stopped: Error {}

  @Test func scoped() throws {
    let model = try network()
    let x = try randomTensor([9, 4], seed: 1)
    let before = state(model)
    #expect(throws: Stopped.self) {
      try model.withStatisticsTransaction {
        _ = try model.forward(x, training: true)
        try model.beginStatistics()
        _ = try model.forward(x, training: true)
        throw Stopped()
      }
    }
    #expect(state(model) == before)
    expectError(.invalidState) { try model.commitStatistics() }
    let result = try model.withStatisticsTransaction { try model.forward(x, training: true) }
    #expect(result.shape == [9, 3] && state(model) != before)
    expectError(.invalidState) { try model.commitStatistics() }
  }
}
