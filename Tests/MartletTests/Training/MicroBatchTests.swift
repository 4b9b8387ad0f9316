import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct MicroBatchTests {
  private func network(norm: Bool = true, dropout: Double = 0) throws -> Model {
    let middle: [any Layer] = norm ? [BatchNorm()] : []
    let model = try Model.sequential(
      [Dense(6)] + middle + [Sigmoid(), Dropout(dropout), Dense(3)], inputShape: [4], seed: 5)
    randomiseAffine(model, seed: 6)
    return model
  }

  private func trainer(_ model: Model, rate: Double = 0.5) throws -> Trainer {
    try Trainer(model, loss: .crossEntropy, optimizer: .sgd(learningRate: rate, momentum: 0.9), seed: 3)
  }

  private let labels = (0..<23).map { Int32($0 * 7 % 3) }
  private func data() throws -> Tensor { try randomTensor([23, 4], seed: 1, -1...2) }

  private func parameters(_ model: Model) -> [Float] {
    model.variables.filter { $0.kind == .parameter }.flatMap(\.values)
  }

  /// The gradient is the mean over all rows of what each micro-batch gives alone, found by hand.
  @Test(arguments: [2, 5, 11, 22]) func ownStatistics(_ size: Int) throws {
    let (model, byHand) = (try network(), try network())
    let x = try data()
    let trainer = try trainer(model, rate: 0)
    try trainer.setMicroBatchSize(size)
    let result = try trainer.step(x, labels: labels)
    // 23 rows: where one would be left over, it has joined the micro-batch before.
    let ends = Array(stride(from: size, to: 22, by: size)) + [23]
    var (first, loss, correct) = (0, 0.0, 0)
    for end in ends {
      let part = try x.rows(first..<end)
      let outputs = try byHand.forward(part, training: true)
      let gradient = try Tensor(shape: outputs.shape)
      var partLabels = Array(labels[first..<end])
      let found = try partLabels.withUnsafeMutableBytes { bytes in
        try Loss.crossEntropy(
          outputs.view(), ArrayView(bytes.baseAddress, .int32, shape: [end - first]), gradient: gradient.view())
      }
      // The loss's gradient is of the mean over the part: as many rows of 23.
      let share = Float(end - first) / 23
      let scaled = try Tensor(gradient.values.map { $0 * share }, shape: gradient.shape)
      _ = try byHand.backward(scaled, accumulate: first > 0)
      loss += found.loss * Double(end - first)
      correct += found.correct ?? 0
      first = end
    }
    #expect(abs(result.loss - loss / 23) <= Tolerance.loss(magnitude: 3) && result.correct == correct && result.rows == 23)
    for (variable, other) in zip(model.variables, byHand.variables) {
      if variable.kind == .state {
        #expect(variable.readingView.copied.bits == other.readingView.copied.bits, "\(variable.name)")
      } else {
        expectClose(
          variable.gradientValues, other.gradientValues.map(Double.init),
          within: Tolerance.network(depth: 3, terms: 23, magnitude: 1), variable.name)
      }
    }
    #expect(try model.variable(named: "1.num_batches_tracked").integer == Int64(ends.count))
  }

  /// Without batch norm and dropout a step in micro-batches is the step of the whole batch, but for the order of the sums.
  @Test func withoutNormIsTheWholeBatch() throws {
    let (model, whole) = (try network(norm: false), try network(norm: false))
    let x = try data()
    let (parts, one) = (try trainer(model), try trainer(whole))
    try parts.setMicroBatchSize(4)
    for _ in 0..<3 {
      let (a, b) = (try parts.step(x, labels: labels), try one.step(x, labels: labels))
      #expect(abs(a.loss - b.loss) <= Tolerance.network(depth: 3, terms: 23, magnitude: 3) && a.correct == b.correct)
    }
    expectClose(
      parameters(model), parameters(whole).map(Double.init), within: Tolerance.network(depth: 9, terms: 23, magnitude: 2))
  }

  /// A size that holds the whole batch changes no bit, dropout included; nor does a size that was taken back.
  @Test func wholeBatch() throws {
    let x = try data()
    let (model, whole, reset) = (try network(dropout: 0.4), try network(dropout: 0.4), try network(dropout: 0.4))
    let (parts, one, back) = (try trainer(model), try trainer(whole), try trainer(reset))
    try parts.setMicroBatchSize(23)
    try back.setMicroBatchSize(2)
    try back.setMicroBatchSize(nil)
    for _ in 0..<2 {
      let want = try one.step(x, labels: labels)
      #expect(try parts.step(x, labels: labels) == want)
      #expect(try back.step(x, labels: labels) == want)
    }
    #expect(model.allBytes == whole.allBytes && reset.allBytes == whole.allBytes)
  }

  /// Parts with the statistics of the whole: the bits of one large batch.
  @Test func wholeStatistics() throws {
    let x = try data()
    let (model, whole) = (try network(dropout: 0.4), try network(dropout: 0.4))
    let (parts, one) = (try trainer(model), try trainer(whole))
    for _ in 0..<2 {
      let cut = try [0..<1, 1..<9, 9..<9, 9..<23].map { try x.rows($0) }
      let result = try labels.withUnsafeBytes { bytes in
        var first = 0
        let batches = try cut.map { part in
          let rows = part.shape[0]
          defer { first += rows }
          let address = bytes.baseAddress.map { UnsafeMutableRawPointer(mutating: $0 + 4 * first) }
          return ([try part.view()], [try ArrayView(address, .int32, shape: [rows])])
        }
        return try withExtendedLifetime(cut) { try parts.step(microBatches: batches, statistics: .whole) }
      }
      #expect(try result == one.step(x, labels: labels))
    }
    #expect(model.allBytes == whole.allBytes)
  }

  /// A fit in micro-batches is its steps in micro-batches, a last batch that is not full included.
  @Test func fit() throws {
    let x = try data()
    let (model, other) = (try network(), try network())
    let (fitted, stepped) = (try trainer(model), try trainer(other))
    try fitted.setMicroBatchSize(3)
    try stepped.setMicroBatchSize(3)
    try fitted.fit(x, labels: labels, FitOptions(epochs: 2, batchSize: 10, shuffles: false))
    for _ in 0..<2 {
      for range in [0..<10, 10..<20, 20..<23] { try stepped.step(x.rows(range), labels: Array(labels[range])) }
    }
    #expect(model.allBytes == other.allBytes)
  }

  /// Images that a thread reads ahead.
  @Test func fitOnImages() throws {
    let x = try randomTensor([12, 3, 3, 1], seed: 1)
    let classes = (0..<12).map { Int32($0 % 2) }
    func train(_ normalization: ImageNormalization?) throws -> Model {
      let model = try Model.sequential(
        [Conv2D(4, kernelSize: 3), BatchNorm(), ReLU(), Flatten(), Dense(2)], inputShape: [3, 3, 1], seed: 1)
      let trainer = try Trainer(model, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.5))
      try trainer.setMicroBatchSize(4)
      var options = FitOptions(epochs: 2, batchSize: 8)
      options.normalization = normalization
      try trainer.fit(x, labels: classes, options)
      return model
    }
    let (read, plain) = (try train(ImageNormalization(mean: [0], standardDeviation: [1])), try train(nil))
    #expect(read.allBytes == plain.allBytes)
  }

  @Test func errors() throws {
    let x = try data()
    let model = try network()
    let trainer = try trainer(model)
    let before = model.allBytes
    for size in [0, -3] {
      expectError(.invalidArgument, "micro_batch_size", "\(size) came") { try trainer.setMicroBatchSize(size) }
    }
    try trainer.setMicroBatchSize(1)
    expectError(.invalidArgument, "Layer \"1\"", "2 or more values") { try trainer.step(x, labels: labels) }
    let one = try x.rows(0..<1)
    let values = try Tensor(shape: [23, 3])
    var label = [Int32(1)]
    try label.withUnsafeMutableBytes { bytes in
      let labels = try ArrayView(bytes.baseAddress, .int32, shape: [1])
      withExtendedLifetime((x, one, values)) {
        expectError(.invalidArgument, "Layer \"1\"", "2 or more values") {
          try trainer.step(microBatches: [([x.view()], [values.view()]), ([one.view()], [labels])])
        }
        expectError(.invalidArgument, "one kind") {
          try trainer.step(microBatches: [([x.view()], [values.view()]), ([one.view()], [labels])], statistics: .whole)
        }
        expectError(.shapeMismatch, "micro_batches[1].targets[0]") {
          try trainer.step(microBatches: [([x.view()], [values.view()]), ([x.view()], [labels])])
        }
      }
    }
    #expect(try trainer.step(microBatches: []) == TrainingResult())
    #expect(model.allBytes == before)
  }
}
