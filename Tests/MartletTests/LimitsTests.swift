// Every limit, at it and one beyond, from builders and from files.
import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct LimitsTests {
  private func ones(_ rank: Int) -> [Int] { [Int](repeating: 1, count: rank) }

  // MARK: Rank

  @Test func anArrayHasAtMostSoManyAxes() throws {
    #expect(try Tensor(shape: ones(Limits.rank), filledWith: 1).count == 1)
    let tensor = try Tensor([1], shape: [1])
    for rank in [Limits.rank + 1, 100, 100_000] {
      expectError(.shapeMismatch, "shape: expected at most 16 axes; got \(rank)") { _ = try Tensor(shape: ones(rank)) }
      expectError(.shapeMismatch, "16 axes") { _ = try tensor.reshaped(to: ones(rank)) }
      expectError(.shapeMismatch, "16 axes") { _ = try ArrayView(nil, .float32, shape: [0] + ones(rank - 1)) }
    }
  }

  /// The batch makes a row of 15 axes an array of 16, which all of the library takes.
  @Test func rowsOfTheMostAxesRunForwardAndBackward() throws {
    let row = ones(Limits.rowRank - 2) + [2, 3]
    let layers: [any Layer] = [
      LayerNorm(over: .all), BatchNorm(), ReLU(), GroupNorm(1), RMSNorm(), FilterResponseNorm(), Dropout(0.25), Softmax(),
      ChannelsFirst(), ChannelsLast(), Reshape(row.reversed()), Reshape(row), InputNormalization(),
    ]
    let model = try Model.sequential(layers, inputShape: row, seed: 1)
    #expect(model.outputShapes == [row])
    #expect(try model.variable(named: "0.weight").shape == row)
    let x = try randomTensor([4] + row, seed: 2)
    try model.fitInputNormalization([x.view()])
    let y = try model.forward(x, training: true)
    #expect(y.shape == [4] + row)
    #expect(try model.output(0).strides.count == Limits.rank)
    #expect(try model.backward(y).shape == [4] + row)
    #expect(try model.planDescription(batchSize: 4, training: true).contains("[4, 1, 1"))
    let joined = try joinOfTwo(row)
    #expect(joined.outputShapes == [row.dropLast() + [6]])
  }

  private func joinOfTwo(_ row: [Int]) throws -> Model {
    var graph = Graph()
    let (a, b) = (try graph.input(row), try graph.input(row))
    let output = try graph.add(Concatenate(), to: [a, b])
    return try Model(graph, inputs: [a, b], outputs: [output])
  }

  @Test(arguments: [Limits.rank, Limits.rank + 1, Limits.rank + 2, 1000]) func rowsOfMoreAxesAreRefused(_ rank: Int) throws {
    expectError(.shapeMismatch, "input shape: expected at most 15 axes (the batch is one more); got \(rank)") {
      var graph = Graph()
      _ = try graph.input(ones(rank))
    }
    expectError(.shapeMismatch, "Layer \"0\": reshape: expected at most 15 axes") {
      _ = try Model.sequential([Reshape(ones(rank))], inputShape: [1])
    }
    expectError(.shapeMismatch, "15 axes") { try HostileArchitectures.input(axes: rank).described() }
    expectError(.shapeMismatch, "15 axes") {
      try ArchitectureText(input: [1], [("reshape", "{\"shape\":\(ones(rank))}")]).described()
    }
  }

  @Test func filesOfMoreAxesAreRefused() throws {
    let directory = try ScratchDirectory()
    try writePlainly(HostileArchitectures.input(axes: Limits.rowRank).file(), to: directory("most"))
    let model = try Model.load(from: directory("most"))
    #expect(try model.forward(Tensor([2], shape: ones(Limits.rank)), training: false).values == [2])
    for rank in [Limits.rank, Limits.rank + 1, Limits.rank + 2, 60] {
      try writePlainly(HostileArchitectures.input(axes: rank).file(), to: directory("more"))
      expectError(.corruptFile, "15 axes (the batch is one more); got \(rank)") { _ = try Model.load(from: directory("more")) }
    }
    func tensor(_ rank: Int) -> String { "{\"x\":{\"dtype\":\"F32\",\"shape\":\(ones(rank)),\"data_offsets\":[0,4]}}" }
    #expect(try parse(rawFile(tensor(Limits.rank), dataLength: 4)).tensors.count == 1)
    expectError(.corruptFile, "17 dimensions") { _ = try parse(rawFile(tensor(Limits.rank + 1), dataLength: 4)) }
  }

  // MARK: Graphs

  @Test func nodesOfAGraph() throws {
    var graph = Graph()
    var last = try graph.input([1])
    for _ in 1..<Limits.nodeCount { last = try graph.add(ReLU(), to: last) }
    let nodes = graph.nodes.count
    expectError(.invalidArgument, "at most 16384 nodes") { _ = try graph.add(ReLU(), to: last) }
    expectError(.invalidArgument, "at most 16384 nodes") { _ = try graph.input([1]) }
    expectError(.invalidArgument, "at most 16384 nodes") { _ = try graph.apply(layerOf: last, to: [last]) }
    #expect(graph.nodes.count == nodes)
    #expect(try Model(graph, inputs: [Graph.Node(index: 0)], outputs: [last]).layers.count == nodes - 1)
    #expect(try HostileArchitectures.chain(nodes: Limits.nodeCount).described().graph.nodes.count == nodes)
    expectError(.invalidArgument, "at most 16384 nodes") {
      try HostileArchitectures.chain(nodes: Limits.nodeCount + 1).described()
    }
    expectError(.corruptFile, "at most 16384 layers") {
      try HostileArchitectures.chain(nodes: Limits.nodeCount + 2).described()
    }
  }

  @Test func placesOfALayer() throws {
    #expect(try HostileArchitectures.places(Limits.placeCount).described().graph.nodes.count == Limits.placeCount + 1)
    expectError(.invalidArgument, "at most 4096 places") { try HostileArchitectures.places(Limits.placeCount + 1).described() }
    var graph = Graph()
    let first = try graph.add(ReLU(), to: graph.input([1]), name: "shared")
    var last = first
    for _ in 1..<Limits.placeCount { last = try graph.apply(layerOf: first, to: [last]) }
    expectError(.invalidArgument, "at most 4096 places", "\"shared\"") { _ = try graph.apply(layerOf: first, to: [last]) }
  }

  @Test func inputsOfALayer() throws {
    var graph = Graph()
    let node = try graph.input([2])
    func many(_ count: Int) -> [Graph.Node] { [Graph.Node](repeating: node, count: count) }
    _ = try graph.add(Add(), to: many(Limits.layerInputCount))
    let joined = try graph.add(Concatenate(), to: many(Limits.layerInputCount))
    expectError(.invalidArgument, "at most 4096 of one layer; got 4097") { _ = try graph.add(Add(), to: many(4097)) }
    expectError(.invalidArgument, "at most 4096 of one layer") { _ = try graph.apply(layerOf: joined, to: many(4097)) }
    try HostileArchitectures.join(Limits.layerInputCount).described()
    expectError(.invalidArgument, "at most 4096 of one layer") {
      try HostileArchitectures.join(Limits.layerInputCount + 1).described()
    }
  }

  @Test func inputsAndOutputsOfAModel() throws {
    var graph = Graph()
    let inputs = try (0...Limits.inputCount).map { _ in try graph.input([1]) }
    let output = try graph.add(ReLU(), to: inputs[0], name: "relu")
    let most = Array(inputs.prefix(Limits.inputCount))
    #expect(try Model(graph, inputs: most, outputs: [output]).inputCount == Limits.inputCount)
    expectError(.invalidArgument, "inputs: expected at most 4096 of a model; got 4097") {
      _ = try Model(graph, inputs: inputs, outputs: [output])
    }
    func many(_ count: Int) -> [Graph.Node] { [Graph.Node](repeating: output, count: count) }
    let model = try Model(graph, inputs: [inputs[0]], outputs: many(Limits.outputCount))
    #expect(model.outputCount == Limits.outputCount)
    expectError(.invalidArgument, "outputs: expected at most 4096 of a model; got 4097") {
      _ = try Model(graph, inputs: [inputs[0]], outputs: many(4097))
    }
    _ = try model.submodel(outputs: [String](repeating: "relu", count: Limits.outputCount))
    expectError(.invalidArgument, "layer_names: expected at most 4096") {
      _ = try model.submodel(outputs: [String](repeating: "relu", count: Limits.outputCount + 1))
    }
    let directory = try ScratchDirectory()
    try writePlainly(HostileArchitectures.outputs(Limits.outputCount + 1).file(), to: directory("outputs"))
    expectError(.corruptFile, "outputs: expected at most 4096") { _ = try Model.load(from: directory("outputs")) }
  }

  // MARK: Names

  @Test(arguments: [
    "", "a/b", "a\u{0}b", "\u{1}", "line\nbreak", "tab\t", "\u{7F}", "\u{85}", "\u{9F}",
    String(repeating: "x", count: Limits.nameByteCount + 1), String(repeating: "\u{301}", count: Limits.nameByteCount / 2 + 1),
  ])
  func namesThatAreRefused(_ name: String) throws {
    var graph = Graph()
    let input = try graph.input([1])
    expectError(.invalidArgument, "name: expected") { _ = try graph.input([1], name: name) }
    expectError(.invalidArgument, "name: expected") { _ = try graph.add(ReLU(), to: input, name: name) }
    #expect(graph.nodes.count == 1)
    let quoted = try JSON.string(name).text()
    var text = ArchitectureText(input: [1], [("relu", "{}")])
    text.layers = ["{\"name\":\(quoted),\"kind\":\"relu\",\"options\":{}}"]
    expectError(.invalidArgument, "name: expected") { try text.described() }
    text = ArchitectureText(input: [1], [("relu", "{}")])
    text.nodes[0] = "{\"input\":[1],\"name\":\(quoted)}"
    expectError(.invalidArgument, "name: expected") { try text.described() }
  }

  @Test(arguments: ["x", "a.b", "слой", "層 1", "🐦", "__metadata__", String(repeating: "x", count: Limits.nameByteCount)])
  func namesThatAreTaken(_ name: String) throws {
    let directory = try ScratchDirectory()
    var graph = Graph()
    let input = try graph.input([1])
    let output = try graph.add(BatchNorm(), to: input, name: name)
    let model = try Model(graph, inputs: [input], outputs: [output])
    try model.save(to: directory("named"))
    #expect(try Model.load(from: directory("named")).layers.map(\.name) == [name])
  }
}
