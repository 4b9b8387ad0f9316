import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct FitTests {
  private func network(seed: UInt64 = 2) throws -> Model {
    try Model.sequential([Dense(5), BatchNorm(), Sigmoid(), Dropout(0.3), Dense(3)], inputShape: [4], seed: seed)
  }
  private func labels(_ count: Int) -> [Int32] { (0..<count).map { Int32($0 * 5 % 3) } }

  /// Without shuffling, a fit is its steps: the same bits.
  @Test func aFitIsItsSteps() throws {
    let (a, b) = (try network(), try network())
    let x = try randomTensor([22, 4], seed: 1)
    let fitted = try Trainer(a, loss: .crossEntropy, optimizer: .adam(learningRate: 0.1), seed: 3)
    let stepped = try Trainer(b, loss: .crossEntropy, optimizer: .adam(learningRate: 0.1), seed: 3)
    var events: [TrainingResult] = []
    let result = try fitted.fit(x, labels: labels(22), FitOptions(epochs: 3, batchSize: 8, shuffles: false)) {
      if $0.kind == .step { events.append($0.training) }
      return true
    }
    var steps: [TrainingResult] = []
    for _ in 0..<3 {
      for first in stride(from: 0, to: 22, by: 8) {
        let last = min(first + 8, 22)
        steps.append(try stepped.step(x.rows(first..<last), labels: Array(labels(22)[first..<last])))
      }
    }
    #expect(events == steps)
    #expect(a.allBytes == b.allBytes)
    let epoch = steps.suffix(3)
    #expect(result.loss == epoch.reduce(0) { $0 + $1.loss * Double($1.rows) } / 22)
    #expect(result.correct == epoch.reduce(0) { $0 + ($1.correct ?? 0) } && result.rows == 22)
  }

  /// Each epoch goes through every row once, in an order of its own that the seed decides.
  @Test func shuffling() throws {
    // A learning rate of 0 and a network of one number a row: each step's loss is the mean of its rows' values.
    func losses(seed: UInt64, shuffles: Bool = true) throws -> [[Double]] {
      let model = try Model.sequential([Dense(1, bias: false)], inputShape: [1])
      try model.variable(named: "0.weight").set([1])
      let trainer = try Trainer(model, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0))
      let x = try Tensor((0..<12).map { Float(1 << $0).squareRoot() }, shape: [12, 1])
      let zeros = try Tensor(shape: [12, 1])
      var epochs: [[Double]] = []
      try trainer.fit([x.view()], [zeros.view()], FitOptions(epochs: 3, batchSize: 1, shuffles: shuffles, seed: seed)) {
        if $0.kind == .step { epochs.append([$0.training.loss]) } else { epochs.append([]) }
        return true
      }
      return withExtendedLifetime((x, zeros)) {
        epochs.split(separator: []).map { $0.map { $0[0].rounded() } }
      }
    }
    let every = (0..<12).map { Double(1 << $0) }
    let a = try losses(seed: 1)
    #expect(a.count == 3)
    for epoch in a {
      #expect(epoch.sorted() == every)
      #expect(epoch != every)
    }
    #expect(a[0] != a[1] && a[1] != a[2])
    #expect(try losses(seed: 1) == a)
    #expect(try losses(seed: 2) != a)
    #expect(try losses(seed: 1, shuffles: false) == [every, every, every])
  }

  @Test func lastBatches() throws {
    func steps(rows: Int, batch: Int, dropsLast: Bool) throws -> (Int, Int) {
      let trainer = try Trainer(network(), loss: .crossEntropy)
      var (count, seen) = (0, 0)
      try trainer.fit(
        randomTensor([rows, 4], seed: 1), labels: labels(rows), FitOptions(batchSize: batch, dropsLast: dropsLast)
      ) {
        if $0.kind == .step { (count, seen) = (count + 1, seen + $0.training.rows) }
        #expect($0.steps == (dropsLast ? rows / min(batch, rows) : (rows + min(batch, rows) - 1) / min(batch, rows)))
        return true
      }
      return (count, seen)
    }
    #expect(try steps(rows: 23, batch: 10, dropsLast: false) == (3, 23))
    #expect(try steps(rows: 23, batch: 10, dropsLast: true) == (2, 20))
    #expect(try steps(rows: 20, batch: 10, dropsLast: true) == (2, 20))
    // A batch larger than the data is the data.
    #expect(try steps(rows: 7, batch: 100, dropsLast: true) == (1, 7))
    #expect(try steps(rows: 21, batch: 10, dropsLast: true) == (2, 20))
  }

  /// Refused before anything changes, with what to do.
  @Test func aLastBatchOfOneRow() throws {
    let model = try network()
    let trainer = try Trainer(model, loss: .crossEntropy)
    let before = model.allBytes
    var events = 0
    expectError(
      .invalidArgument, "The last batch of each epoch has 1 of 21 rows at batch_size 10", "2 or more values per channel",
      "drop_last",
      "another batch size"
    ) {
      _ = try trainer.fit(randomTensor([21, 4], seed: 1), labels: labels(21), FitOptions(batchSize: 10)) { _ in
        events += 1
        return true
      }
    }
    #expect(model.allBytes == before && events == 0)
    // Without batch norm one row is a batch.
    let plain = try Model.sequential([Dense(3)], inputShape: [4])
    #expect(
      try Trainer(plain, loss: .crossEntropy).fit(
        randomTensor([21, 4], seed: 1), labels: labels(21), FitOptions(batchSize: 10)
      ).rows == 21)
  }

  @Test func events() throws {
    let trainer = try Trainer(network(), loss: .crossEntropy)
    let (x, v) = (try randomTensor([20, 4], seed: 1), try randomTensor([9, 4], seed: 2))
    var validationLabels = labels(9)
    var log: [String] = []
    try validationLabels.withUnsafeMutableBytes { bytes in
      let targets = try ArrayView(bytes.baseAddress, .int32, shape: [9])
      var options = FitOptions(epochs: 2, batchSize: 10)
      options.validation = ([try v.view()], [targets])
      let result = try trainer.fit(x, labels: labels(20), options) { event in
        log.append("\(event.kind) \(event.epoch)/\(event.epochs) \(event.step)/\(event.steps)")
        #expect((event.validation != nil) == (event.kind == .epoch))
        if let validation = event.validation {
          #expect(validation.rows == 9)
          #expect(try! trainer.evaluate([v.view()], [targets]) == validation)
          #expect(event.training.rows == 20)
        }
        return true
      }
      #expect(result.rows == 20)
    }
    #expect(log == ["step 0/2 1/4", "step 0/2 2/4", "epoch 0/2 2/4", "step 1/2 3/4", "step 1/2 4/4", "epoch 1/2 4/4"])
    withExtendedLifetime(v) {}
  }

  @Test func cancelling() throws {
    let model = try network()
    let trainer = try Trainer(model, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.1), seed: 1)
    let x = try randomTensor([20, 4], seed: 1)
    expectError(.cancelled, "after step 3 of 6") {
      _ = try trainer.fit(x, labels: labels(20), FitOptions(epochs: 3, batchSize: 10)) { $0.step < 3 }
    }
    expectError(.cancelled, "after epoch 1 of 3") {
      _ = try trainer.fit(x, labels: labels(20), FitOptions(epochs: 3, batchSize: 10)) { $0.kind == .step }
    }
    // Usable as it stands: three steps and two were done.
    #expect(trainer.optimizer.stepCount == 5)
    #expect(try model.variable(named: "1.num_batches_tracked").integer == 5)
    #expect(try model.predict(x).values.allSatisfy(\.isFinite))
    #expect(try trainer.fit(x, labels: labels(20), FitOptions(batchSize: 10)).rows == 20)
  }

  /// A callback may freeze and thaw: the next step obeys.
  @Test func switchesChangedInACallback() throws {
    let model = try network()
    let trainer = try Trainer(model, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.5))
    var tracked: [Int64] = []
    var scales: [[Float]] = []
    try trainer.fit(randomTensor([60, 4], seed: 1), labels: labels(60), FitOptions(batchSize: 10)) { event in
      guard event.kind == .step else { return true }
      tracked.append(try! model.variable(named: "1.num_batches_tracked").integer)
      scales.append(try! model.values("1.weight"))
      if event.step == 2 { try! model.setBatchNormSwitches(layer: nil, .frozen) }
      if event.step == 4 { try! model.setBatchNormSwitches(layer: "1", .learning) }
      return true
    }
    #expect(tracked == [1, 2, 2, 2, 3, 4])
    #expect(scales[0] != scales[1] && scales[1] == scales[2] && scales[2] == scales[3] && scales[3] != scales[4])
  }

  @Test func optionErrors() throws {
    let model = try network()
    let trainer = try Trainer(model, loss: .crossEntropy)
    let before = model.allBytes
    let x = try randomTensor([20, 4], seed: 1)
    func fit(_ options: FitOptions) throws { try trainer.fit(x, labels: labels(20), options) }
    expectError(.invalidArgument, "epochs", "-1 came") { try fit(FitOptions(epochs: -1)) }
    expectError(.invalidArgument, "batch_size", "0 came") { try fit(FitOptions(batchSize: 0)) }
    expectError(.invalidArgument, "epochs", "too many") { try fit(FitOptions(epochs: Int.max, batchSize: 2)) }
    var options = FitOptions()
    options.validation = ([try x.view()], [try x.view()])
    expectError(.shapeMismatch, "targets[0]") { try fit(options) }
    #expect(try trainer.fit(x, labels: labels(20), FitOptions(epochs: 0)) == TrainingResult())
    #expect(try trainer.fit(Tensor(shape: [0, 4]), labels: []) == TrainingResult())
    #expect(model.allBytes == before)
    withExtendedLifetime(x) {}
  }
}
