import MartletTestSupport
import Testing

@testable import Martlet

/// Findings on data, each with the number that a reference computes.
@Suite struct DataCheckTests {
  private func network() throws -> Model {
    let model = try Model.sequential(
      [Dense(6), BatchNorm(), ReLU(), Dropout(0.3), Dense(5, bias: false), BatchNorm(), Dense(3)], inputShape: [4], seed: 2)
    randomiseAffine(model, seed: 9)
    return model
  }

  /// A model whose statistics are those of the data.
  private func settled(_ x: Tensor) throws -> Model {
    let model = try network()
    try withExtendedLifetime(x) { try model.updatePopulationStatistics([x.view()]) }
    return model
  }

  private func findings(_ model: Model, _ x: Tensor, _ code: Finding.Code) throws -> [Finding] {
    try model.check(on: x).filter { $0.code == code }
  }

  /// Mean and unbiased variance of a channel of [rows, C].
  private func moments(_ values: [Double], channel: Int, of channels: Int) -> (mean: Double, variance: Double) {
    let column = stride(from: channel, to: values.count, by: channels).map { values[$0] }
    let mean = column.reduce(0, +) / Double(column.count)
    return (mean, column.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(column.count - 1))
  }

  @Test func dataItWasSettledOnGivesNone() throws {
    let x = try randomTensor([200, 4], seed: 3)
    let codes = try Set(settled(x).check(on: x).map(\.code))
    #expect(codes.isDisjoint(with: [.movingVarianceOff, .dataDrifted, .trainingInferenceGap, .statisticsNeverUpdated]))
  }

  @Test func movingVarianceOff() throws {
    let x = try randomTensor([200, 4], seed: 3)
    let model = try settled(x)
    // What the second norm reads in training, without dropout.
    let copy = try model.clone()
    for layer in copy.layers where layer.layer is Dropout { layer.layer = Dropout(0) }
    let inputs = try copy.submodel(outputs: ["4"]).forward(x, training: true)
    var variances = try model.values("5.running_var")
    let wanted = moments(inputs.doubles, channel: 3, of: 5).variance
    variances[3] = Float(wanted / 20)
    variances[1] = Float(moments(inputs.doubles, channel: 1, of: 5).variance * 10)
    try model.variable(named: "5.running_var").set(variances)
    let found = try findings(model, x, .movingVarianceOff)
    #expect(found.count == 1)
    #expect(found[0].layer == "5" && found[0].channels == [3, 1])
    let ratio = (wanted + 1e-5) / (Double(variances[3]) + 1e-5)
    #expect(abs(found[0].value - ratio) < 1e-4 * ratio)
    #expect(found[0].message.contains("in 2 of 5 channels"))
    // Within the limit of 4·(1 + 4·√(2/199)) there is none.
    variances[3] = Float(wanted / 5)
    variances[1] = Float(moments(inputs.doubles, channel: 1, of: 5).variance * 5)
    try model.variable(named: "5.running_var").set(variances)
    #expect(DataCheck.mostVarianceRatio(rows: 200) > 5.5)
    #expect(try findings(model, x, .movingVarianceOff).isEmpty)
  }

  @Test func dataDrifted() throws {
    let x = try randomTensor([100, 4], seed: 3)
    let model = try Model.sequential([BatchNorm(), Dense(2)], inputShape: [4])
    try withExtendedLifetime(x) { try model.updatePopulationStatistics([x.view()]) }
    #expect(try findings(model, x, .dataDrifted).isEmpty)
    var values = x.values
    for row in 0..<100 { values[4 * row + 2] += 2 }
    let moved = try Tensor(values, shape: [100, 4])
    let found = try findings(model, moved, .dataDrifted)
    #expect(found.count == 1 && found[0].layer == "0" && found[0].channels == [2])
    let (mean, _) = moments(moved.doubles, channel: 2, of: 4)
    let moving = (mean: Double(try model.values("0.running_mean")[2]), variance: Double(try model.values("0.running_var")[2]))
    let errors = (mean - moving.mean) / (moving.variance + 1e-5).squareRoot() * 10
    #expect(abs(found[0].value - errors) < 1e-6 * errors)
    // Of many rows a distance of a unit is sure; of two rows it is nothing to speak of.
    for row in 0..<100 { values[4 * row + 2] -= 1 }
    let near = try Tensor(values, shape: [100, 4])
    #expect(try findings(model, near, .dataDrifted).count == 1)
    #expect(try findings(model, near.rows(0..<2), .dataDrifted).isEmpty)
    // A small distance may be sure, but stays small.
    for row in 0..<100 { values[4 * row + 2] -= 0.9 }
    #expect(try findings(model, Tensor(values, shape: [100, 4]), .dataDrifted).isEmpty)
  }

  @Test func channelsAlwaysOff() throws {
    let x = try randomTensor([50, 4], seed: 3)
    let model = try Model.sequential([Dense(3), ReLU(), Dense(4), ReLU()], inputShape: [4], seed: 1)
    #expect(try findings(model, x, .channelsAlwaysOff).isEmpty)
    try model.variable(named: "2.bias").set([100, -100, 100, -100])
    let found = try findings(model, x, .channelsAlwaysOff)
    #expect(found.count == 1 && found[0].layer == "3" && found[0].channels == [1, 3] && found[0].value == 2)
    // An image's channel is on if one pixel is; a layer in two places, if one place is.
    let images = try Model.sequential([ReLU()], inputShape: [2, 2, 2])
    let pixel = try Tensor([0, 0, 0, 0, 0, 0, -1, 1], shape: [1, 2, 2, 2])
    #expect(try findings(images, pixel, .channelsAlwaysOff).map(\.channels) == [[0]])
    var graph = Graph()
    let a = try graph.input([2])
    let once = try graph.add(ReLU(), to: a)
    let negative = try graph.add(Dense(2, bias: false, weightInitializer: .constant(-1)), to: a)
    let twice = try graph.apply(layerOf: once, to: [negative])
    let both = try Model(graph, inputs: [a], outputs: [once, twice])
    let single = try Model(graph, inputs: [a], outputs: [once])
    let off = try Tensor([-1, -1], shape: [1, 2])
    #expect(try findings(both, off, .channelsAlwaysOff).isEmpty)
    #expect(try findings(single, off, .channelsAlwaysOff).map(\.channels) == [[0, 1]])
  }

  @Test func trainingInferenceGap() throws {
    let x = try randomTensor([60, 4], seed: 3)
    let model = try settled(x)
    let integers = (0..<60).map { Int32($0 % 3) }
    func found(_ options: CheckOptions = .init()) throws -> [Finding] {
      try model.check(on: x, labels: integers, options).filter { $0.code == .trainingInferenceGap }
    }
    #expect(try found().isEmpty)
    try model.variable(named: "5.running_mean").set([30, -30, 30, -30, 30])
    let one = try found()
    #expect(one.count == 1 && one[0].layer.isEmpty)

    // What trainers say of the same rows, in training (at a rate of 0, without dropout) and at inference.
    let copy = try model.clone()
    for layer in copy.layers where layer.layer is Dropout { layer.layer = Dropout(0) }
    let trainer = try Trainer(copy, loss: .crossEntropy, optimizer: .sgd(learningRate: 0))
    let inference = try trainer.evaluate(x, labels: integers).loss
    let training = try trainer.step(x, labels: integers).loss
    #expect(abs(one[0].value - (inference - training)) < 1e-5 * inference)
    // In batches of 20 the batches' statistics are others.
    let parts = try found(CheckOptions(batchSize: 20))
    #expect(parts.count == 1 && parts[0].value != one[0].value)
    // A last batch of one row is left out, in both.
    #expect(try found(CheckOptions(batchSize: 59)).first?.message.contains("the same 59 rows") == true)
  }

  /// Losses that are not probabilities are measured by the targets.
  @Test func gapOfSquaredErrors() throws {
    let x = try randomTensor([60, 4], seed: 3)
    let model = try Model.sequential([Dense(3), BatchNorm(), Dense(2)], inputShape: [4], seed: 1)
    try withExtendedLifetime(x) { try model.updatePopulationStatistics([x.view()]) }
    let target = try model.predict(x)
    let options = CheckOptions(loss: .meanSquaredError)
    // Both losses are tiny: that one is many times the other means nothing.
    #expect(try !model.check(on: x, targets: target, options).contains { $0.code == .trainingInferenceGap })
    try model.variable(named: "1.running_mean").set([5, 5, 5])
    #expect(try model.check(on: x, targets: target, options).contains { $0.code == .trainingInferenceGap })
  }

  @Test func nothingChanges() throws {
    let x = try randomTensor([33, 4], seed: 3)
    let target = try randomTensor([33, 3], seed: 4)
    let (model, other) = (try network(), try network())
    for each in [model, other] { _ = try each.forward(x, training: true) }
    let before = model.allBytes
    let first = try model.check(on: x, targets: target, CheckOptions(batchSize: 8, loss: .meanSquaredError))
    #expect(model.allBytes == before)
    #expect(try model.check(on: x, targets: target, CheckOptions(batchSize: 8, loss: .meanSquaredError)) == first)
    #expect(first.count > 2)
    // The dropout of the next step is what it would have been; gradients of the last forward can still be taken.
    let gradient = try randomTensor([33, 3], seed: 5)
    #expect(try model.backward(gradient).bits == other.backward(gradient).bits)
    #expect(try model.forward(x, training: true).bits == other.forward(x, training: true).bits)
  }

  @Test func imagesAndSharedLayers() throws {
    var graph = Graph()
    let (a, b) = (try graph.input([4, 4, 2]), try graph.input([2, 2, 2]))
    let norm = try graph.add(BatchNorm(), to: a)
    let again = try graph.apply(layerOf: norm, to: [b])
    let end = try graph.add(Concatenate(), to: [graph.add(Flatten(), to: norm), graph.add(Flatten(), to: again)])
    let model = try Model(graph, inputs: [a, b], outputs: [end])
    let (x, y) = (try randomTensor([30, 4, 4, 2], seed: 1), try randomTensor([30, 2, 2, 2], seed: 2, 20...30))
    try withExtendedLifetime((x, y)) {
      try model.updatePopulationStatistics([x.view(), y.view()])
      #expect(try model.check(on: [x.view(), y.view()]).isEmpty)
      // Two rows of the other kind alone.
      try model.variable(named: "batch_norm_1.running_mean").set([-90, 0])
      let found = try model.check(on: [x.view(), y.view()])
      #expect(found.map(\.code) == [.dataDrifted] && found[0].channels == [0])
    }
  }

  @Test func refuses() throws {
    let model = try network()
    let x = try randomTensor([5, 4], seed: 1)
    var values = x.values
    values[9] = .nan
    let broken = try Tensor(values, shape: [5, 4])
    let (empty, wide) = (try Tensor(shape: [0, 4]), try randomTensor([5, 3], seed: 1))
    expectError(.invalidArgument, "data", "finite", "row 2") { _ = try model.check(on: broken) }
    expectError(.invalidArgument, "1 or more rows") { _ = try model.check(on: empty) }
    expectError(.shapeMismatch, "data: the shape") { _ = try model.check(on: wide) }
    expectError(.shapeMismatch, "targets: expected") {
      _ = try model.check(on: x, targets: empty, CheckOptions(loss: .meanSquaredError))
    }
    try withExtendedLifetime((x, wide)) {
      let (data, target) = (try x.view(), try wide.view())
      expectError(.invalidArgument, "targets came without data") { _ = try model.check(targets: [target]) }
      expectError(.shapeMismatch, "targets", "1 outputs") { _ = try model.check(on: [data], targets: [target, target]) }
      expectError(.shapeMismatch, "data") { _ = try model.check(on: [data, data]) }
    }
    // No norm, no ReLU, no targets: the data is looked at all the same.
    let plain = try Model.sequential([Dense(2)], inputShape: [4])
    #expect(try plain.check(on: x).isEmpty)
    expectError(.invalidArgument, "finite") { _ = try plain.check(on: broken) }
    // One row: what needs a variance is left out.
    #expect(try model.check(on: x.rows(0..<1)).contains { $0.code == .oneValuePerChannel })
  }
}
