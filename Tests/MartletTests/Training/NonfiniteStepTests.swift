import MartletTestSupport
import Testing

@testable import Martlet

/// A step whose loss or gradient is not finite changes nothing, and the error says where that came from.
@Suite struct NonfiniteStepTests {
  private let labels: [Int32] = (0..<12).map { Int32($0 * 5 % 3) }

  private func network(_ layers: [any Layer]? = nil) throws -> Model {
    let standard: [any Layer] = [Dense(5), BatchNorm(), ReLU(), Dropout(0.3), Dense(3)]
    return try Model.sequential(layers ?? standard, inputShape: [4], seed: 2)
  }

  private func poisoned(_ value: Float, row: Int) throws -> Tensor {
    var values = try randomTensor([12, 4], seed: 1).values
    values[4 * row + 2] = value
    return try Tensor(values, shape: [12, 4])
  }

  /// A trainer that refused a step goes on with the bits of one that never saw it.
  @Test(arguments: [nil, 3, 5] as [Int?], [Float.nan, .infinity]) func aRefusedStepLeavesNoTrace(
    _ microBatchSize: Int?, _ poison: Float
  ) throws {
    let (a, b) = (try network(), try network())
    let trainers = try [a, b].map { try Trainer($0, loss: .crossEntropy, optimizer: .adam(learningRate: 0.1), seed: 3) }
    for trainer in trainers { try trainer.setMicroBatchSize(microBatchSize) }
    let (x, bad) = (try randomTensor([12, 4], seed: 1), try poisoned(poison, row: 7))
    for round in 0..<3 {
      let before = a.allBytes
      expectError(.notFinite, "x: expected finite values", "row 7", "not taken") { try trainers[0].step(bad, labels: labels) }
      #expect(a.allBytes == before, "round \(round)")
      let results = try trainers.map { try $0.step(x, labels: labels) }
      #expect(results[0] == results[1])
      #expect(a.allBytes == b.allBytes)
    }
    #expect(trainers[0].optimizer.stepCount == 3)
    #expect(try a.variable(named: "1.num_batches_skipped").integer == 0)
  }

  @Test func targetsAndLossesAreNamed() throws {
    let model = try network([Dense(3)])
    let trainer = try Trainer(model, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.1))
    let x = try randomTensor([12, 4], seed: 1)
    var targets = [Float](repeating: 0, count: 36)
    let before = model.allBytes
    // Each row is finite, the mean of the squares is not.
    targets[3 * 5 + 1] = 3e38
    let large = try Tensor([Float](repeating: 3e38, count: 48), shape: [12, 4])
    try model.variable(named: "0.weight").set([Float](repeating: 10, count: 12))
    expectError(.notFinite, "loss", "row 0", "finite") { try trainer.step(large, targets: Tensor(targets, shape: [12, 3])) }
    try model.variable(named: "0.weight").set([Float](repeating: .nan, count: 12))
    expectError(.notFinite, "model", "12 of 12", "\"0.weight\"") {
      try trainer.step(x, targets: Tensor(targets, shape: [12, 3]))
    }
    #expect(before.count == 2)
  }

  /// The loss is finite, the gradient of the weights overflows: x·g of 3e38 and a gradient above 1.
  @Test func gradientsThatOverflow() throws {
    let model = try network([Dense(1, bias: false)])
    try model.variable(named: "0.weight").set([0, 0, 0, 0])
    let trainer = try Trainer(model, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.1))
    let x = try Tensor([3e38, 1, 1, 1], shape: [1, 4])
    let before = model.allBytes
    expectError(.notFinite, "gradients", "\"0.weight\"", "loss is finite") {
      try trainer.step(x, targets: Tensor([-100], shape: [1, 1]))
    }
    #expect(model.allBytes == before)
    // By hand: nothing is updated, and the optimizer's count stands.
    let optimizer = try Optimizer(model, .adam())
    _ = try model.forward(x, training: true)
    _ = try model.backward(Tensor([200], shape: [1, 1]))
    expectError(.notFinite, "gradients", "\"0.weight\"") { try optimizer.step() }
    #expect(model.allBytes == before && optimizer.stepCount == 0)
  }

  @Test func aFitThrowsWithEpochStepAndRow() throws {
    let model = try network()
    let trainer = try Trainer(model, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.1))
    let bad = try poisoned(.nan, row: 9)
    var events = 0
    expectError(.notFinite, "x: expected finite values", "nan", "row 9", "tep 3 of epoch 1", "on_nonfinite") {
      try trainer.fit(bad, labels: labels, FitOptions(epochs: 5, batchSize: 4, shuffles: false)) { _ in
        events += 1
        return true
      }
    }
    #expect(events == 2)
    #expect(model.network.firstNonfiniteVariable() == nil)
    // Shuffled, the row keeps its number in the data set.
    expectError(.notFinite, "row 9") { try trainer.fit(bad, labels: labels, FitOptions(epochs: 1, batchSize: 4)) }
  }

  @Test func aFitSkipsAndCounts() throws {
    let (a, b) = (try network(), try network())
    let trainers = try [a, b].map { try Trainer($0, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.1)) }
    let bad = try poisoned(.nan, row: 9)
    let options = FitOptions(epochs: 2, batchSize: 4, shuffles: false, onNonfinite: .skip)
    var skipped: [Int] = []
    let result = try trainers[0].fit(bad, labels: labels, options) {
      if $0.kind == .step, $0.training.rows == 0 {
        #expect($0.training.loss.isNaN && $0.training.correct == 0)
        skipped.append($0.step)
      }
      return true
    }
    #expect(skipped == [3, 6] && trainers[0].skippedStepCount == 2)
    #expect(result.rows == 8 && result.loss.isFinite)
    // As if those rows had not been there.
    for _ in 0..<2 {
      for first in [0, 4] {
        try trainers[1].step(bad.rows(first..<first + 4), labels: Array(labels[first..<first + 4]))
      }
    }
    #expect(a.allBytes == b.allBytes)
    // Nothing but skipped steps is not a training.
    let all = try Tensor([Float](repeating: .nan, count: 48), shape: [12, 4])
    expectError(.notFinite, "on_nonfinite", "epoch 1") { try trainers[0].fit(all, labels: labels, options) }
  }

  /// The last update's infinities are not left for the first prediction to find.
  @Test func aFitEndsWithFiniteParameters() throws {
    let model = try network([Dense(1, bias: false)])
    let trainer = try Trainer(model, loss: .meanSquaredError, optimizer: .sgd(learningRate: 3e38))
    let x = try randomTensor([12, 4], seed: 1)
    let targets = try randomTensor([12, 1], seed: 2, 10...20)
    expectError(.notFinite, "model", "\"0.weight\"", "after the fit") {
      try withExtendedLifetime((x, targets)) {
        _ = try trainer.fit([x.view("x")], [targets.view("y")], FitOptions(epochs: 1, batchSize: 12))
      }
    }
  }

  /// Images are prepared by another thread, and named by their number in the data set.
  @Test func imagesAreNamedToo() throws {
    let model = try Model.sequential(
      [Conv2D(2, kernelSize: 3), BatchNorm(), GlobalAvgPool2D(), Dense(3)], inputShape: [4, 4, 1])
    let trainer = try Trainer(model, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.1))
    var pixels = try randomTensor([12, 4, 4, 1], seed: 1).values
    pixels[16 * 10 + 3] = .infinity
    let x = try Tensor(pixels, shape: [12, 4, 4, 1])
    let before = model.network.firstNonfiniteVariable() == nil
    let options = FitOptions(epochs: 2, batchSize: 4, augmentation: Augmentation(flips: true))
    expectError(.notFinite, "x: expected finite values", "inf", "row 10") { try trainer.fit(x, labels: labels, options) }
    #expect(before && model.network.firstNonfiniteVariable() == nil)
  }
}
