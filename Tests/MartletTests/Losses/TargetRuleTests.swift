// What each loss takes as targets, and what is said of everything else, through the function, trainers, checks and recorders.
import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct TargetRuleTests {
  private func loss(_ loss: Loss, _ output: Tensor, _ target: [Float], _ shape: [Int]) throws -> TrainingResult {
    let target = try Tensor(target, shape: shape)
    return try withExtendedLifetime((output, target)) { try loss(output.view(), target.view()) }
  }

  private func labelled(_ output: Tensor, _ labels: [Int64], _ shape: [Int]) throws -> TrainingResult {
    var labels = labels
    return try withExtendedLifetime(output) {
      try labels.withUnsafeMutableBytes {
        try Loss.crossEntropy(output.view(), ArrayView($0.baseAddress, .int64, shape: shape))
      }
    }
  }

  @Test func crossEntropyTakesProbabilities() throws {
    let output = try randomTensor([2, 3], seed: 1)
    #expect(try loss(.crossEntropy, output, [0.2, 0.3, 0.5, 0, 1, 0], [2, 3]).loss > 0)
    // A zero of either sign, and what half precision makes of a sum.
    #expect(try loss(.crossEntropy, output, [-0.0, 0.5, 0.5004, 1, 0, 0], [2, 3]).loss > 0)
    let wrong: [([Float], String, String)] = [
      ([0, -1, 0, 1, 0, 0], "got -1.0 in row 0, column 1", "probabilities"),
      ([1, 0, 0, 1.5, -0.5, 0], "got -0.5 in row 1, column 1", "another loss"),
      ([.nan, 1, 0, 1, 0, 0], "got nan in row 0, column 0", "probabilities"),
      ([1, 0, 0, 1, 0, .infinity], "got inf in row 1, column 2", "probabilities"),
      ([1, 0, 0, 0, 2.5, 0], "got a sum of 2.5 in row 1", "Divide each row by its sum"),
      ([1, 0, 0, 0, 0, 0], "got a sum of 0 in row 1", "weights of rows or classes"),
      ([0.5, 0.5, 0.002, 0, 1, 0], "got a sum of 1 in row 0", "sum is 1"),
    ]
    for (values, got, word) in wrong {
      expectError(.invalidArgument, "target: expected", got, word) { _ = try loss(.crossEntropy, output, values, [2, 3]) }
    }
  }

  @Test func integersAreLabelsOrOneHotRows() throws {
    let output = try randomTensor([2, 3], seed: 1)
    let byLabel = try labelled(output, [2, 0], [2])
    #expect(try labelled(output, [2, 0], [2, 1]) == byLabel)
    #expect(try abs(labelled(output, [0, 0, 1, 1, 0, 0], [2, 3]).loss - byLabel.loss) < 1e-6)
    expectError(.invalidArgument, "one-hot rows", "got a sum of 3 in row 0", "class numbers come as integers [2]") {
      _ = try labelled(output, [0, 1, 2, 1, 0, 0], [2, 3])
    }
    // Class numbers that are not integers.
    for shape in [[2], [2, 1]] {
      expectError(.shapeMismatch, "integer labels [2] in 0..<3", "got float32", "Convert class numbers to an integer type") {
        _ = try loss(.crossEntropy, output, [2, 0], shape)
      }
    }
  }

  @Test func oneClassIsRefused() throws {
    let column = try Tensor(shape: [2, 1])
    expectError(.shapeMismatch, "got [rows, 1] from the output", "always 0", "Use bce") {
      _ = try labelled(column, [0, 0], [2, 1])
    }
    let model = try Model.sequential([Dense(1), Softmax()], inputShape: [3])
    expectError(.shapeMismatch, "loss: expected", "output 0 (\"1\")", "always 0") {
      _ = try Trainer(model, loss: .crossEntropy)
    }
    expectError(.shapeMismatch, "output 0 (\"1\")") { _ = try model.check(on: Tensor(shape: [2, 3]), labels: [0, 0]) }
    var options = ShiftRecorder.Options()
    options.loss = .crossEntropy
    let recorder = try ShiftRecorder(model, layers: ["0"], options)
    let trainer = try Trainer(model, loss: .meanSquaredError)
    expectError(.shapeMismatch, "output 0 (\"1\")") {
      _ = try recorder.step(trainer, step: 0, Tensor(shape: [2, 3]), labels: [0, 0])
    }
  }

  /// The gradient of a regression head would be 0 under cross-entropy: its name is in the error.
  @Test func aHeadOfOneValueIsRefusedByName() throws {
    var graph = Graph()
    let x = try graph.input([3])
    let (kind, value) = (try graph.add(Dense(4), to: x, name: "kind"), try graph.add(Dense(1), to: x, name: "value"))
    let model = try Model(graph, inputs: [x], outputs: [kind, value])
    expectError(.shapeMismatch, "output 1 (\"value\")", "always 0", "need a trainer each") {
      _ = try Trainer(model, loss: .crossEntropy)
    }
    _ = try Trainer(model, loss: .meanSquaredError)
  }

  @Test func squaredErrorAndBinaryTargets() throws {
    let output = try randomTensor([3, 1], seed: 2)
    for kind in [Loss.meanSquaredError, .binaryCrossEntropy] {
      let column = try loss(kind, output, [0, 1, 0.5], [3, 1])
      #expect(try loss(kind, output, [0, 1, 0.5], [3]) == column)
      let wide = try randomTensor([3, 2], seed: 2)
      expectError(.shapeMismatch, "expected the output's shape [3, 2] for \(kind.name); got float32 [3]") {
        _ = try loss(kind, wide, [0, 1, 0], [3])
      }
      expectError(.shapeMismatch, "the output's shape [3, 1] or [3]") { _ = try loss(kind, output, [0, 1], [2]) }
      for bad in [Float.nan, .infinity, -.infinity] {
        expectError(.invalidArgument, "target: expected", "got \(bad) in row 1, column 0") {
          _ = try loss(kind, output, [0, bad, 0], [3])
        }
      }
    }
    var large = [1.0, 1e300, 2.0]
    try large.withUnsafeMutableBytes { bytes in
      let target = try ArrayView(bytes.baseAddress, .float64, shape: [3])
      expectError(.invalidArgument, "got 1e+300, which float32 cannot hold, in row 1") {
        _ = try Loss.meanSquaredError(output.view(), target)
      }
    }
    expectError(.invalidArgument, "values in 0...1 for bce; got -1.0 in row 2") {
      _ = try loss(.binaryCrossEntropy, output, [0, 1, -1], [3])
    }
    withExtendedLifetime(output) {}
  }

  /// A step takes what the function takes, changes nothing else, and reports no hits where the loss has none.
  @Test func aStepHasTheSameRules() throws {
    let model = try Model.sequential([Dense(1)], inputShape: [2], seed: 1)
    let x = try randomTensor([4, 2], seed: 3)
    let before = model.allBytes
    let trainer = try Trainer(model, loss: .meanSquaredError)
    expectError(.invalidArgument, "targets: expected finite values", "got nan in row 3, column 0") {
      _ = try trainer.step(x, targets: Tensor([0, 1, 2, .nan], shape: [4]))
    }
    #expect(model.allBytes == before)
    let result = try trainer.step(x, targets: Tensor([0, 1, 2, 3], shape: [4]))
    #expect(result.correct == nil && result.accuracy.isNaN && result.rows == 4)
    #expect(model.allBytes != before)
    #expect(try trainer.evaluate([Tensor(shape: [0, 2]).view()], [Tensor(shape: [0]).view()]).loss.isNaN)
  }
}
