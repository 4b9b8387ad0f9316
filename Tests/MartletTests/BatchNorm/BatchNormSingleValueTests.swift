import MartletTestSupport
import ReferenceKernels
import Testing

@testable import Martlet

/// What becomes of one value per channel in training.
@Suite struct BatchNormSingleValueTests {
  private static let policies: [BatchNorm.SingleValue] = [.moving, .skip]

  private func bytes(_ model: Model, except names: Set<String>) -> [[UInt8]] {
    zip(model.variables, model.allBytes).filter { !names.contains($0.0.localName) }.map(\.1)
  }

  /// The output of inference, and nothing of the layer moves but the counter.
  @Test(arguments: policies, [nil, ReLU(), Sigmoid()] as [(any Layer)?])
  func normalisesWithTheMovingStatistics(_ policy: BatchNorm.SingleValue, _ activation: (any Layer)?) throws {
    for (shape, rows) in [([5], 1), ([1, 1, 5], 1), ([1], 1), ([40], 1)] {
      let model = try Model.sequential(
        [BatchNorm(singleValue: policy)] + (activation.map { [$0] } ?? []), inputShape: shape, seed: 1)
      randomiseAffine(model, seed: 2)
      let x = try randomTensor([rows] + shape, seed: 3, -2...2)
      let want = try model.forward(x, training: false)
      let before = bytes(model, except: ["num_batches_skipped"])
      #expect(try model.forward(x, training: true).bits == want.bits)
      #expect(bytes(model, except: ["num_batches_skipped"]) == before)
      #expect(try model.variable(named: "0.num_batches_skipped").integer == 1)
      #expect(try model.variable(named: "0.num_batches_tracked").integer == 0)
      // Two rows are a batch as any other.
      _ = try model.forward(randomTensor([2] + shape, seed: 4), training: true)
      #expect(try model.variable(named: "0.num_batches_tracked").integer == 1)
    }
  }

  /// The statistics were constants: gradients of inference, as a frozen layer has them.
  @Test(arguments: [nil, ReLU(), Tanh()] as [(any Layer)?]) func gradientsOfMoving(_ activation: (any Layer)?) throws {
    for options in [BatchNorm(singleValue: .moving), BatchNorm(scale: false, singleValue: .moving)] {
      let model = try Model.sequential([Dense(4), options] + (activation.map { [$0] } ?? []), inputShape: [3], seed: 1)
      try checkGradients(model, [randomTensor([1, 3], seed: 5)], terms: 4, seed: 6)
    }
  }

  /// The layers before learn, the layer itself does not.
  @Test func gradientsOfSkip() throws {
    func gradients(_ policy: BatchNorm.SingleValue, accumulate: Bool) throws -> (model: Model, dx: Tensor) {
      let model = try Model.sequential([Dense(4), BatchNorm(singleValue: policy), Tanh()], inputShape: [3], seed: 1)
      randomiseAffine(model, seed: 2)
      for name in ["1.weight", "1.bias", "0.weight"] {
        let variable = try model.variable(named: name)
        variable.gradient?.update(repeating: 7, count: variable.count)
      }
      _ = try model.forward(randomTensor([1, 3], seed: 3), training: true)
      return (model, try model.backward(randomTensor([1, 4], seed: 4), accumulate: accumulate))
    }
    for accumulate in [false, true] {
      let (moving, wanted) = try gradients(.moving, accumulate: accumulate)
      let (skip, dx) = try gradients(.skip, accumulate: accumulate)
      #expect(dx.bits == wanted.bits)
      #expect(dx.values.contains { $0 != 0 })
      #expect(try skip.variable(named: "0.weight").gradientValues == moving.variable(named: "0.weight").gradientValues)
      let left = [Float](repeating: accumulate ? 7 : 0, count: 4)
      #expect(try skip.variable(named: "1.weight").gradientValues == left)
      #expect(try skip.variable(named: "1.bias").gradientValues == left)
      #expect(try moving.variable(named: "1.bias").gradientValues != left)
    }
  }

  @Test func frozenAndSwitchedOff() throws {
    for policy in Self.policies {
      let following = try Model.sequential([BatchNorm(normalizer: .moving, singleValue: policy)], inputShape: [3])
      _ = try following.forward(randomTensor([1, 3], seed: 1), training: true)
      #expect(try following.variable(named: "0.num_batches_skipped").integer == 1)
      let still = try Model.sequential([BatchNorm(updatesMoving: false, singleValue: policy)], inputShape: [3])
      let before = still.allBytes
      _ = try still.forward(randomTensor([1, 3], seed: 1), training: true)
      #expect(still.allBytes == before)
    }
  }

  /// One sample of four is left over at the end of each epoch: with a policy the fit runs through.
  @Test func aFitWithALastBatchOfOne() throws {
    func fit(_ policy: BatchNorm.SingleValue) throws -> Model {
      let model = try Model.sequential([Dense(4), BatchNorm(singleValue: policy), ReLU(), Dense(2)], inputShape: [3], seed: 1)
      let trainer = try Trainer(model, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.1))
      let x = try randomTensor([9, 3], seed: 1)
      try trainer.fit(x, labels: [0, 1, 0, 1, 1, 0, 1, 0, 0], FitOptions(epochs: 2, batchSize: 4)) { _ in true }
      return model
    }
    expectError(.invalidArgument, "2 or more values", "single_value") { _ = try fit(.error) }
    for policy in Self.policies {
      #expect(try fit(policy).variable(named: "1.num_batches_skipped").integer == 2)
      #expect(try fit(policy).variable(named: "1.num_batches_tracked").integer == 4)
    }
  }

  @Test func optionsInFiles() throws {
    for norm in Self.policies.map({ BatchNorm(singleValue: $0) }) + [BatchNorm(), BatchNorm(debiased: true)] {
      #expect(try BatchNorm(configuration: .object(norm.configuration)) == norm)
    }
    #expect(!BatchNorm().configuration.contains { ["debiased", "single_value"].contains($0.key) })
    for (key, value) in [("single_value", JSON.string("ignore")), ("single_value", .bool(true)), ("debiased", .string("yes"))] {
      expectError(.corruptFile, key) {
        _ = try BatchNorm(configuration: .object(BatchNorm().configuration + [(key, value)]))
      }
    }
  }
}
