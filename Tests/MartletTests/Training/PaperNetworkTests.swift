import MartletTestSupport
import Testing

@testable import Martlet

/// Twenty steps of the paper's network from given weights, and single dense layers, against PyTorch in Float64.
@Suite struct PaperNetworkTests {
  private func network() throws -> Model {
    var graph = Graph()
    let input = try graph.input([64])
    var last = input
    for number in 1...3 {
      last = try graph.add(Dense(100), to: last, name: "dense\(number)")
      last = try graph.add(BatchNorm(), to: last, name: "norm\(number)")
      last = try graph.add(Sigmoid(), to: last, name: "sigmoid\(number)")
    }
    last = try graph.add(Dense(10), to: last, name: "dense4")
    return try Model(graph, inputs: [input], outputs: [last])
  }

  @Test func twentySteps() throws {
    let (start, run, hidden) = (
      try GoldenFile("paper_network_start"), try GoldenFile("paper_network"), try GoldenFile("paper_network_hidden")
    )
    let model = try network()
    for name in start.names { try model.variable(named: name).set(start.floats(name)) }
    let trainer = try Trainer(model, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.1))
    let x = try Tensor(run.floats("x"), shape: [300, 64])
    let labels = try run("labels").values.map { Int32($0) }
    let (losses, correct) = (try run("losses").values, try run("correct").values)
    for step in 0..<20 {
      let first = step * 60 % 300
      let result = try trainer.step(x.rows(first..<first + 60), labels: Array(labels[first..<first + 60]))
      #expect(abs(result.loss - losses[step]) <= Tolerance.afterTraining, "step \(step)")
      #expect(Double(result.correct ?? -1) == correct[step], "step \(step)")
    }
    for variable in model.variables where variable.localName != "num_batches_skipped" {
      let record = "end/\(variable.name)"
      let want = run.has(record) ? try run(record).values : try hidden(record).values
      if variable.dataType == .int64 {
        #expect([Double(variable.integer)] == want)
      } else {
        expectClose(variable.values, want, within: Tolerance.afterTraining, variable.name)
      }
    }
    let logits = try model.predict(x.rows(0..<60))
    let want = try run("logits").values
    expectClose(logits.values, want, within: Tolerance.afterTraining * (1 + largest(want)))
  }

  @Test(arguments: ["one", "small", "nobias", "tails"]) func dense(_ name: String) throws {
    let golden = try GoldenFile("dense")
    let weight = try golden("\(name)/weight")
    let (units, inputs) = (weight.shape[0], weight.shape[1])
    let hasBias = golden.has("\(name)/bias")
    let model = try Model.sequential([Dense(units, bias: hasBias)], inputShape: [inputs])
    try model.variable(named: "0.weight").set(golden.floats("\(name)/weight"))
    if hasBias { try model.variable(named: "0.bias").set(golden.floats("\(name)/bias")) }
    let rows = try golden("\(name)/x").shape[0]
    let x = try Tensor(golden.floats("\(name)/x"), shape: [rows, inputs])
    let g = try Tensor(golden.floats("\(name)/grad_output"), shape: [rows, units])
    func expect(_ got: [Float], _ record: String, terms: Int, _ a: [Float], _ b: [Float]) throws {
      let magnitude = Double(terms) * largest(a) * largest(b) + 4
      expectClose(
        got, try golden("\(name)/\(record)").values, within: Tolerance.dotProduct(terms: terms, magnitude: magnitude), record)
    }
    let w = try golden.floats("\(name)/weight")
    try expect(model.forward(x, training: true).values, "y", terms: inputs, x.values, w)
    try expect(model.backward(g).values, "grad_input", terms: units, g.values, w)
    try expect(model.variable(named: "0.weight").gradientValues, "grad_weight", terms: rows, g.values, x.values)
    if hasBias { try expect(model.variable(named: "0.bias").gradientValues, "grad_bias", terms: rows, g.values, [1]) }
  }

  /// The readers of goldens must be able to fail.
  @Test func goldenFilesAreChecked() throws {
    let golden = try GoldenFile("dense")
    #expect(throws: GoldenFile.Failure.self) { try golden("no/such/record") }
    #expect(throws: GoldenFile.Failure.self) { try GoldenFile("no_such_file") }
    #expect(try golden("one/x").shape == [1, 1] && golden.floats("one/x") == [-0x1.ccf29cp-2])
  }
}
