import MartletTestSupport
import Testing

@testable import Martlet

/// What is recorded, against a reference in Float64, and that training does not notice.
@Suite struct ShiftRecorderTests {
  /// Of y = x·W₁ᵀ·W₂ᵀ and the mean squared error: the gradient by W₂, row by row.
  private func secondGradient(_ first: [Double], _ second: [Double], _ x: [Double], _ target: [Double], rows: Int) -> [Double] {
    let (inputs, hidden, outputs) = (4, 5, 3)
    var gradient = [Double](repeating: 0, count: outputs * hidden)
    for row in 0..<rows {
      let h = (0..<hidden).map { j in (0..<inputs).reduce(0) { $0 + x[row * inputs + $1] * first[j * inputs + $1] } }
      for o in 0..<outputs {
        let y = (0..<hidden).reduce(0) { $0 + h[$1] * second[o * hidden + $1] }
        let error = 2 * (y - target[row * outputs + o]) / Double(rows * outputs)
        for j in 0..<hidden { gradient[o * hidden + j] += error * h[j] }
      }
    }
    return gradient
  }

  private func linear() throws -> Model {
    try Model.sequential([Dense(5, bias: false), Dense(3, bias: false)], inputShape: [4], seed: 2)
  }

  private func size(_ values: [Double]) -> Double { values.reduce(0) { $0 + $1 * $1 }.squareRoot() }

  @Test func gradientChange() throws {
    let model = try linear()
    let (x, target) = (try randomTensor([20, 4], seed: 1), try randomTensor([20, 3], seed: 2))
    let trainer = try Trainer(model, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.5, momentum: 0.9))
    var options = ShiftRecorder.Options()
    options.loss = .meanSquaredError
    let recorder = try ShiftRecorder(model, layers: ["0", "1"], options)
    for step in 0..<3 {
      let (first, second) = (try model.values("0.weight").map(Double.init), try model.values("1.weight").map(Double.init))
      _ = try withExtendedLifetime((x, target)) { try recorder.step(trainer, step: step, [x.view()], [target.view()]) }
      let moved = try model.values("0.weight").map(Double.init)
      let g = secondGradient(first, second, x.doubles, target.doubles, rows: 20)
      let h = secondGradient(moved, second, x.doubles, target.doubles, rows: 20)
      let found = recorder.records.suffix(2).map { $0 }
      #expect(found.map(\.layer) == ["0", "1"] && found.map(\.step) == [step, step])
      // Nothing is before the first layer.
      #expect(found[0].gradientChange == 0 && abs(found[0].gradientCosine - 1) < 1e-12)
      let wanted = size(zip(g, h).map { $0 - $1 })
      #expect(wanted > 1e-3 && abs(found[1].gradientChange - wanted) < 1e-4 * wanted)
      let cosine = zip(g, h).reduce(0) { $0 + $1.0 * $1.1 } / (size(g) * size(h))
      #expect(abs(found[1].gradientCosine - cosine) < 1e-5)
    }
  }

  @Test func distributions() throws {
    let model = try linear()
    let values: [Float] = [4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]
    let x = try Tensor(values, shape: [3, 4])
    var options = ShiftRecorder.Options()
    options.percentiles = [0, 25, 100]
    options.channel = 0
    let recorder = try ShiftRecorder(model, layers: ["0"], options)
    try withExtendedLifetime(x) { try recorder.record(step: 9, [x.view()]) }
    let found = try #require(recorder.records.first)
    #expect(found.percentiles == [1, 1.5, 4] && found.step == 9)
    #expect(abs(found.mean - 7.0 / 3) < 1e-15 && abs(found.deviation - (14.0 / 9).squareRoot()) < 1e-15)
    #expect(found.gradientChange.isNaN && found.gradientCosine.isNaN)
    #expect(recorder.csv.split(separator: "\n")[0] == "step,layer,mean,deviation,p0,p25,p100,gradient_change,gradient_cosine")
    #expect(recorder.csv.hasSuffix(",1.0,1.5,4.0,,\n"))

    // Every percentile has a column of its own name, and comes once.
    options.percentiles = [99.95, 99.96, 1e-7, 100]
    let fine = try ShiftRecorder(model, layers: ["0"], options)
    #expect(fine.csv == "step,layer,mean,deviation,p99.95,p99.96,p1e-07,p100,gradient_change,gradient_cosine\n")
    options.percentiles = [50, 15, 50]
    expectError(.invalidArgument, "percentiles: expected different numbers; got 50.0 twice") {
      _ = try ShiftRecorder(model, layers: ["0"], options)
    }

    // A NaN has no place in an order; the layers before normalise with the batch.
    let broken = try Tensor([.nan] + values.dropFirst(), shape: [3, 4])
    try withExtendedLifetime(broken) { try recorder.record(step: 10, [broken.view()]) }
    #expect(recorder.records[1].percentiles.allSatisfy(\.isNaN) && recorder.records[1].mean.isNaN)
    let normed = try Model.sequential([BatchNorm(), Dense(2)], inputShape: [4])
    let other = try ShiftRecorder(normed, layers: ["1"])
    let wide = try randomTensor([100, 4], seed: 3, 5...9)
    try withExtendedLifetime(wide) { try other.record(step: 0, [wide.view()]) }
    #expect(abs(other.records[0].mean) < 1e-5 && abs(other.records[0].deviation - 1) < 1e-3)
  }

  @Test func trainingGoesOnAsWithoutIt() throws {
    func make() throws -> (Model, Trainer) {
      let layers: [any Layer] = [Dense(6), BatchNorm(), Sigmoid(), Dropout(0.3), Dense(3), Softmax()]
      let model = try Model.sequential(layers, inputShape: [4], seed: 1)
      return (model, try Trainer(model, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.5, momentum: 0.9), seed: 4))
    }
    let ((plain, one), (recorded, other)) = (try make(), try make())
    let recorder = try ShiftRecorder(recorded, layers: ["1", "2", "4"])
    let x = try randomTensor([15, 4], seed: 1)
    let target = try Tensor((0..<45).map { $0 % 3 == ($0 / 3) % 3 ? 1 : 0 }, shape: [15, 3])
    try withExtendedLifetime((x, target)) {
      for step in 0..<3 {
        let want = try one.step([x.view()], [target.view()])
        #expect(try recorder.step(other, step: step, [x.view()], [target.view()], probe: [x.view()]) == want)
      }
    }
    #expect(plain.allBytes == recorded.allBytes)
    for record in recorder.records {
      // A sigmoid has no parameters, and so no gradient of its own.
      #expect(record.layer == "2" ? record.gradientChange.isNaN : record.gradientChange > 0)
    }
    // What does not train is not measured.
    try recorded.setTrainable("4.weight", false)
    try recorded.setTrainable("4.bias", false)
    try withExtendedLifetime((x, target)) { _ = try recorder.step(other, step: 3, [x.view()], [target.view()]) }
    #expect(recorder.records.last?.gradientChange.isNaN == true && recorder.records.count == 12)
  }

  @Test func refuses() throws {
    let model = try linear()
    expectError(.invalidArgument, "at least one") { _ = try ShiftRecorder(model, layers: []) }
    expectError(.invalidArgument, "\"nope\"") { _ = try ShiftRecorder(model, layers: ["nope"]) }
    var options = ShiftRecorder.Options()
    options.percentiles = [50, -1]
    expectError(.invalidArgument, "0...100", "-1") { _ = try ShiftRecorder(model, layers: ["0"], options) }
    options.percentiles = []
    options.channel = 4
    expectError(.invalidArgument, "channel", "4 that \"0\" reads") { _ = try ShiftRecorder(model, layers: ["0"], options) }

    var graph = Graph()
    let x = try graph.input([4])
    let once = try graph.add(Dense(4), to: x, name: "shared")
    let twice = try graph.apply(layerOf: once, to: [once])
    let sum = try graph.add(Add(), to: [once, twice], name: "sum")
    let joined = try Model(graph, inputs: [x], outputs: [sum])
    expectError(.invalidArgument, "2 places") { _ = try ShiftRecorder(joined, layers: ["shared"]) }
    expectError(.invalidArgument, "2 values") { _ = try ShiftRecorder(joined, layers: ["sum"]) }

    options = ShiftRecorder.Options()
    options.loss = .meanSquaredError
    let recorder = try ShiftRecorder(model, layers: ["1"], options)
    let (rows, target) = (try randomTensor([5, 4], seed: 1), try randomTensor([5, 3], seed: 2))
    try withExtendedLifetime((rows, target)) {
      let (data, wanted) = (try rows.view(), try target.view())
      expectError(.invalidState, "before_update") { try recorder.afterUpdate([data], [wanted]) }
      expectError(.shapeMismatch, "targets") { try recorder.beforeUpdate(step: 0, [data], [data]) }
      expectError(.shapeMismatch, "inputs") { try recorder.beforeUpdate(step: 0, [wanted], [wanted]) }
      expectError(.shapeMismatch, "targets") { try recorder.beforeUpdate(step: 0, [data], []) }
      try recorder.beforeUpdate(step: 0, [data], [wanted])
      try recorder.beforeUpdate(step: 1, [data], [wanted])
      try recorder.afterUpdate([data], [wanted])
      expectError(.invalidState, "before_update") { try recorder.afterUpdate([data], [wanted]) }
    }
    // Nothing was updated between: nothing turned.
    #expect(recorder.records.map(\.step) == [1] && recorder.records[0].gradientChange == 0)
  }
}
