import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct TrainerTests {
  private let labels: [Int32] = [0, 1, 2, 0, 1, 2]

  private func network(softmax: Bool = false, seed: UInt64 = 2) throws -> Model {
    try Model.sequential(
      [Dense(5), BatchNorm(), Sigmoid(), Dropout(0.3), Dense(3)] + (softmax ? [Softmax()] : []), inputShape: [4], seed: seed)
  }

  /// A step is forward, loss, backward and update by hand: the same bits.
  @Test(arguments: Loss.allCases) func aStepIsTheLoopByHand(_ loss: Loss) throws {
    let layers: [any Layer] = [Dense(5), BatchNorm(), Sigmoid(), Dense(3)]
    let (a, b) = (
      try Model.sequential(layers, inputShape: [4], seed: 1), try Model.sequential(layers, inputShape: [4], seed: 1)
    )
    let trainer = try Trainer(a, loss: loss, optimizer: .adam(learningRate: 0.1))
    let optimizer = try Optimizer(b, .adam(learningRate: 0.1))
    var target = try randomTensor([6, 3], seed: 5, 0...1)
    if loss == .crossEntropy {
      let values = target.values
      target = try Tensor(
        values.indices.map { place in values[place] / values[place / 3 * 3..<place / 3 * 3 + 3].reduce(0, +) }, shape: [6, 3])
    }
    for step in 0..<4 {
      let x = try randomTensor([6, 4], seed: UInt64(10 + step))
      let result = try trainer.step(x, targets: target)
      let y = try b.forward(x, training: true)
      let gradient = try Tensor(shape: [6, 3])
      let byHand = try loss(y.view(), target.view(), gradient: gradient.view())
      _ = try b.backward(gradient)
      try optimizer.step()
      #expect(result == byHand)
      #expect(a.allBytes == b.allBytes)
      withExtendedLifetime(y) {}
    }
    withExtendedLifetime(target) {}
  }

  /// The figures are of the batch before the update; evaluating changes nothing.
  @Test func figuresAreOfBefore() throws {
    let model = try Model.sequential([Dense(8), Tanh(), Dense(3)], inputShape: [4], seed: 2)
    let trainer = try Trainer(model, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.5))
    let x = try randomTensor([6, 4], seed: 1)
    var last = Double.infinity
    for _ in 0..<30 {
      let before = model.allBytes
      let evaluated = try trainer.evaluate(x, labels: labels)
      #expect(model.allBytes == before)
      let step = try trainer.step(x, labels: labels)
      #expect(evaluated == step)
      #expect(step.loss < last && step.rows == 6)
      last = step.loss
    }
    #expect(try trainer.evaluate(x, labels: labels).accuracy == 1)
  }

  @Test func evaluationDoesNotDependOnTheBatchSize() throws {
    let trainer = try Trainer(network(), loss: .crossEntropy)
    let x = try randomTensor([103, 4], seed: 1)
    var all = (0..<103).map { Int32($0 % 3) }
    try all.withUnsafeMutableBytes { bytes in
      let (inputs, targets) = ([try x.view()], [try ArrayView(bytes.baseAddress, .int32, shape: [103])])
      let whole = try trainer.evaluate(inputs, targets, batchSize: 103)
      for size in [0, 1, 7, 50, 102, 1000] {
        let result = try trainer.evaluate(inputs, targets, batchSize: size)
        // Sums of 103 Float64 numbers in another order.
        #expect(abs(result.loss - whole.loss) <= 103 * 0x1p-52 * whole.loss)
        #expect(result.correct == whole.correct && result.rows == 103)
      }
      expectError(.invalidArgument, "batch_size") { _ = try trainer.evaluate(inputs, targets, batchSize: -1) }
    }
    withExtendedLifetime(x) {}
  }

  /// Softmax and cross-entropy are taken together: the bits of the network without the softmax, and gradients where probabilities are 0.
  @Test func softmaxIsTakenIntoTheLoss() throws {
    let (with, without) = (try network(softmax: true), try network())
    let trainers = (
      try Trainer(with, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.2)),
      try Trainer(without, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.2))
    )
    let x = try randomTensor([6, 4], seed: 1)
    for _ in 0..<5 { #expect(try trainers.0.step(x, labels: labels) == trainers.1.step(x, labels: labels)) }
    #expect(with.allBytes == without.allBytes)
    #expect(try trainers.0.evaluate(x, labels: labels) == trainers.1.evaluate(x, labels: labels))
    // The model itself still gives probabilities.
    let sums = try with.predict(x).reduced(.sum, axis: 1).values
    expectClose(sums, [Double](repeating: 1, count: 6), within: Tolerance.steps(4))

    let sharp = try Model.sequential([Dense(2, bias: false), Softmax()], inputShape: [1])
    try sharp.variable(named: "0.weight").set([500, -500])
    let result = try Trainer(sharp, loss: .crossEntropy, optimizer: .sgd(learningRate: 1)).step(
      Tensor([1], shape: [1, 1]), labels: [1])
    #expect(result.loss == 1000)
    #expect(try sharp.values("0.weight") == [499, -499])
    // With another loss the probabilities are what it sees.
    #expect(try Trainer(sharp, loss: .meanSquaredError).lossModel === sharp)
  }

  /// The loss of several outputs is the sum of theirs; one value as two outputs gets both gradients.
  @Test func severalOutputs() throws {
    var graph = Graph()
    let x = try graph.input([3])
    let (a, b) = (try graph.add(Dense(2), to: x, name: "a"), try graph.add(Dense(2), to: x, name: "b"))
    let input = try randomTensor([5, 3], seed: 1)
    let (s, t) = (try randomTensor([5, 2], seed: 2), try randomTensor([5, 2], seed: 3))
    let weights = [
      "a.weight": try randomTensor([2, 3], seed: 6).values, "b.weight": try randomTensor([2, 3], seed: 7).values,
    ]
    func train(_ outputs: [Graph.Node], _ targets: [Tensor]) throws -> (Model, TrainingResult) {
      let model = try Model(graph, inputs: [x], outputs: outputs)
      // First values depend on a layer's place in the model: give each its own.
      for name in ["a.weight", "b.weight"] { try? model.variable(named: name).set(weights[name] ?? []) }
      let trainer = try Trainer(model, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.5))
      let result = try trainer.step([input.view()], targets.map { try $0.view() })
      return withExtendedLifetime(targets) { (model, result) }
    }
    let both = try train([a, b], [s, t])
    let first = try train([a], [s])
    let second = try train([b], [t])
    #expect(abs(both.1.loss - first.1.loss - second.1.loss) <= 1e-15)
    #expect(try both.0.values("a.weight") == first.0.values("a.weight"))
    let twice = try train([a, a], [s, t])
    let start = try #require(weights["a.weight"])
    let other = try train([a], [t])
    let moved = try twice.0.values("a.weight")
    let (one, two) = (try first.0.values("a.weight"), try other.0.values("a.weight"))
    expectClose(
      moved, start.indices.map { Double(one[$0]) + Double(two[$0]) - Double(start[$0]) },
      within: Tolerance.network(depth: 2, terms: 5, magnitude: 2))
    withExtendedLifetime(input) {}
  }

  @Test func nothingChangesAfterAnError() throws {
    let model = try network()
    let trainer = try Trainer(model, loss: .crossEntropy, optimizer: .adam())
    let x = try randomTensor([6, 4], seed: 1)
    _ = try trainer.step(x, labels: labels)
    let before = model.allBytes
    func expect(_ kind: MartletError.Kind, _ word: String, _ x: Tensor, _ labels: [Int32]) {
      expectError(kind, word) { _ = try trainer.step(x, labels: labels) }
      expectError(kind, word) { _ = try trainer.fit(x, labels: labels) }
    }
    expect(.shapeMismatch, "labels: ", x, [0, 1])
    expect(.invalidArgument, "got 3 in row 5", x, [0, 1, 2, 0, 1, 3])
    expect(.shapeMismatch, "x: ", try Tensor(shape: [6, 5]), labels)
    expectError(.shapeMismatch, "targets", "1 outputs", "0 came") { _ = try trainer.step([x.view()], []) }
    expectError(.invalidArgument, "2 or more values per channel") {
      _ = try trainer.step(x.rows(0..<1), labels: [0])
    }
    #expect(model.allBytes == before)
    #expect(trainer.optimizer.stepCount == 1)
    // No rows: nothing happens.
    #expect(try trainer.step(Tensor(shape: [0, 4]), labels: []) == TrainingResult())
    #expect(try trainer.evaluate(Tensor(shape: [0, 4]), labels: []) == TrainingResult())
    #expect(model.allBytes == before)
    withExtendedLifetime(x) {}
  }

  /// The failed steps above must not shift the random numbers of dropout either.
  @Test func errorsDoNotDisturbTheRun() throws {
    let x = try randomTensor([6, 4], seed: 1)
    func run(disturbed: Bool) throws -> [[UInt8]] {
      let model = try network()
      let trainer = try Trainer(model, loss: .crossEntropy, seed: 9)
      for _ in 0..<4 {
        if disturbed { _ = try? trainer.step(x, labels: [0]) }
        _ = try trainer.step(x, labels: labels)
      }
      return model.allBytes
    }
    #expect(try run(disturbed: true) == run(disturbed: false))
  }

  @Test func creationErrors() throws {
    let wide = try Model.sequential([BatchNorm()], inputShape: [2, 3])
    expectError(.shapeMismatch, "loss: expected an output [rows, classes]", "got [rows, 2, 3] from output 0") {
      _ = try Trainer(wide, loss: .crossEntropy)
    }
    expectError(.invalidArgument, "learning_rate") {
      _ = try Trainer(wide, loss: .meanSquaredError, optimizer: .sgd(learningRate: -1))
    }
    let trainer = try Trainer(wide, loss: .meanSquaredError)
    try trainer.setLearningRate(0.125)
    #expect(trainer.learningRate == 0.125)
  }

  /// Errors name arguments as the function that was called does, and options in no other language's words.
  @Test func errorsHaveTheArgumentsNames() throws {
    let model = try network()
    let trainer = try Trainer(model, loss: .crossEntropy)
    let (x, wide) = (try randomTensor([6, 4], seed: 1), try randomTensor([6, 5], seed: 1))
    for call in [
      { _ = try trainer.step(wide, labels: labels) }, { _ = try trainer.fit(wide, labels: labels) },
      { _ = try trainer.evaluate(wide, labels: labels) }, { _ = try trainer.step(wide, targets: x) },
      { _ = try model.predict(wide) }, { _ = try model.forward(wide, training: true) },
    ] as [() throws -> Void] {
      #expect(martletError(call)?.message.hasPrefix("x: ") == true)
    }
    for call in [
      { _ = try trainer.step(x, labels: [0]) }, { _ = try trainer.fit(x, labels: [0, 1, 2, 3, 0, 0]) },
      { _ = try trainer.evaluate(x, labels: [0, 1, 2, 3, 0, 0]) },
    ] as [() throws -> Void] {
      #expect(martletError(call)?.message.hasPrefix("labels: ") == true)
    }
    #expect(martletError { _ = try trainer.step(x, targets: x) }?.message.hasPrefix("targets: ") == true)
    let one = martletError { _ = try trainer.fit(x, labels: labels, FitOptions(batchSize: 5)) }
    #expect(one?.message.contains("dropsLast") == true && one?.message.contains("=False") == false)
  }
}
