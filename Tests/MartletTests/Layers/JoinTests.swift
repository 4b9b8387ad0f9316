import MartletTestSupport
import Testing

@testable import Martlet

/// Networks that branch and join: Add, Concatenate, layers in several places, several inputs and outputs.
@Suite struct JoinTests {
  @Test(arguments: [2, 3, 5]) func add(_ count: Int) throws {
    var graph = Graph()
    let inputs = try (0..<count).map { _ in try graph.input([2, 3]) }
    let sum = try graph.add(Add(), to: inputs)
    let relu = try graph.add(ReLU(), to: sum)
    let x = try inputs.indices.map { try randomTensor([4, 2, 3], seed: UInt64($0)) }
    for outputs in [[sum], [relu], [sum, relu]] {
      try checkGradients(Model(graph, inputs: inputs, outputs: outputs), x, terms: count, seed: 3)
    }
  }

  /// One node given twice, three times, and beside others: its gradient counts as often.
  @Test func oneNodeOften() throws {
    var graph = Graph()
    let (x, z) = (try graph.input([3]), try graph.input([3]))
    let h = try graph.add(Dense(3), to: x)
    let sums = try [[h, h], [h, h, h], [h, z, h], [z, h], [x, h, z]].map { try graph.add(Add(), to: $0) }
    let wide = try graph.add(Concatenate(), to: [h, z, h])
    let data = [try randomTensor([5, 3], seed: 1), try randomTensor([5, 3], seed: 2)]
    // One output for each, so that every input has a gradient.
    for sum in sums { try checkGradients(Model(graph, inputs: [x, z], outputs: [sum, wide]), data, terms: 3, seed: 4) }
    try checkGradients(Model(graph, inputs: [x, z], outputs: sums + [wide]), data, terms: 3, seed: 5)
  }

  /// Residual blocks: a skipped value, its gradient handed on through sums.
  @Test func residual() throws {
    var graph = Graph()
    let x = try graph.input([4])
    var h = try graph.add(Dense(5), to: x)
    for _ in 0..<3 {
      let branch = try graph.add(Dense(5), to: graph.add(Tanh(), to: graph.add(BatchNorm(), to: graph.add(Dense(5), to: h))))
      h = try graph.add(Sigmoid(), to: graph.add(Add(), to: [branch, h]))
    }
    let y = try graph.add(Dense(2), to: h)
    try checkGradients(Model(graph, inputs: [x], outputs: [y]), [randomTensor([6, 4], seed: 9)], terms: 6, seed: 7)
  }

  /// Sums in the step of a batch norm: of a shortcut, of the norm's own input, of a projection, behind every activation.
  @Test func residualBehindNorms() throws {
    for activation in [nil, Sigmoid(), Tanh(), ReLU()] as [(any Layer)?] {
      var graph = Graph()
      let x = try graph.input([4])
      func activated(_ node: Graph.Node) throws -> Graph.Node { try activation.map { try graph.add($0, to: node) } ?? node }
      func normed(_ node: Graph.Node) throws -> Graph.Node {
        try graph.add(BatchNorm(), to: graph.add(Dense(5), to: node))
      }
      var h = try activated(normed(x))
      h = try activated(graph.add(Add(), to: [normed(h), h]))
      h = try activated(graph.add(Add(), to: [h, graph.add(BatchNorm(), to: h)]))
      h = try activated(graph.add(Add(), to: [normed(h), normed(h)]))
      h = try graph.add(Dense(2), to: h)
      let model = try Model(graph, inputs: [x], outputs: [h], seed: 2)
      try checkGradients(model, [randomTensor([6, 4], seed: 9)], terms: 6, seed: 7)
    }
  }

  @Test func concatenate() throws {
    var graph = Graph()
    let inputs = [try graph.input([2, 3]), try graph.input([2, 1]), try graph.input([2, 17])]
    let wide = try graph.add(Concatenate(), to: inputs)
    let again = try graph.add(Concatenate(), to: [wide, inputs[0], wide])
    let x = [
      try randomTensor([3, 2, 3], seed: 1), try randomTensor([3, 2, 1], seed: 2), try randomTensor([3, 2, 17], seed: 3),
    ]
    let model = try Model(graph, inputs: inputs, outputs: [wide])
    #expect(model.outputShapes == [[2, 21]])
    try checkGradients(model, x, terms: 2, seed: 4)
    try checkGradients(Model(graph, inputs: inputs, outputs: [again, wide]), x, terms: 3, seed: 5)
    // DenseNet: each layer reads all before it.
    var dense = Graph()
    let start = try dense.input([3])
    var h = start
    for _ in 0..<3 { h = try dense.add(Concatenate(), to: [h, dense.add(ReLU(), to: dense.add(Dense(2), to: h))]) }
    try checkGradients(Model(dense, inputs: [start], outputs: [h]), [randomTensor([4, 3], seed: 6)], terms: 9, seed: 8)
  }

  /// Each layer with variables or randomness in two places: one set of tensors, gradients that add up, masks of their own.
  @Test func sharedLayers() throws {
    var graph = Graph()
    let (a, b) = (try graph.input([4]), try graph.input([4]))
    let dense = try graph.add(Dense(4), to: a, name: "shared")
    let denseAgain = try graph.apply(layerOf: dense, to: [b])
    let norm = try graph.add(BatchNorm(), to: dense)
    let normAgain = try graph.apply(layerOf: norm, to: [denseAgain])
    let drop = try graph.add(Dropout(0.4), to: norm)
    let dropAgain = try graph.apply(layerOf: drop, to: [normAgain])
    let joined = try graph.add(Add(), to: [drop, dropAgain])
    // Behind itself too.
    let third = try graph.apply(layerOf: dense, to: [joined])
    let model = try Model(graph, inputs: [a, b], outputs: [third, joined])
    #expect(model.layers.map(\.name) == ["shared", "batch_norm_1", "dropout_1", "add_1"])
    #expect(model.network.nodes.map(\.name).contains("shared/3"))
    #expect(model.parameterCount == 20 + 8)
    let x = [try randomTensor([7, 4], seed: 1), try randomTensor([7, 4], seed: 2)]
    try checkGradients(model, x, terms: 12, seed: 6)

    // The two places of a dropout drop different elements.
    var plain = Graph()
    let input = try plain.input([64])
    let first = try plain.add(Dropout(0.5), to: input)
    let second = try plain.apply(layerOf: first, to: [input])
    let masks = try Model(plain, inputs: [input], outputs: [first, second])
    let ones = try Tensor([Float](repeating: 1, count: 64), shape: [1, 64])
    try masks.forward([ones.view()], training: true)
    #expect(try masks.output(0).copied != masks.output(1).copied)
    withExtendedLifetime(ones) {}
  }

  /// Trainers accumulate over places too; submodels and clones keep them; files hold them.
  @Test func sharedLayersEverywhere() throws {
    var graph = Graph()
    let (a, b) = (try graph.input([3], name: "a"), try graph.input([3], name: "b"))
    let left = try graph.add(Dense(4), to: a, name: "twin")
    let right = try graph.apply(layerOf: left, to: [b])
    let join = try graph.add(Add(), to: [left, right], name: "join")
    let model = try Model(graph, inputs: [a, b], outputs: [join], seed: 2)
    let x = [try randomTensor([6, 3], seed: 1), try randomTensor([6, 3], seed: 2)]
    let target = try randomTensor([6, 4], seed: 3)
    let views = try x.map { try $0.view() }
    func predict(_ model: Model) throws -> [Float] {
      let result = try Tensor(shape: [6, 4])
      try model.predict(views, into: [result.view()])
      return result.values
    }
    let trainer = try Trainer(model, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.1))
    let before = try trainer.evaluate(views, [target.view()]).loss
    for _ in 0..<20 { try trainer.step(views, [target.view()]) }
    #expect(try trainer.evaluate(views, [target.view()]).loss < before / 2)

    let directory = try ScratchDirectory()
    try model.save(to: directory("twin.safetensors"))
    let loaded = try Model.load(from: directory("twin.safetensors"))
    #expect(loaded.network.nodes.map(\.name) == ["a", "b", "twin", "twin/2", "join"])
    let wanted = try predict(model)
    #expect(try predict(loaded) == wanted)
    #expect(try predict(model.clone()) == wanted)
    #expect(try loaded.architectureText == model.architectureText)
    let places = try model.submodel(outputs: ["twin/2"])
    try places.forward(views, training: false)
    let alone = try Model.sequential([Dense(4)], inputShape: [3])
    for (copy, original) in zip(alone.variables, model.variables) { copy.copyValues(from: original) }
    #expect(try places.output(0).copied == alone.predict(x[1]).values)
    expectError(.invalidArgument, "no layer \"twin/3\"") { _ = try model.submodel(outputs: ["twin/3"]) }
    withExtendedLifetime((x, target)) {}
  }

  /// A batch norm in two places gets the pooled statistics of both.
  @Test func sharedPopulationStatistics() throws {
    var graph = Graph()
    let (a, b) = (try graph.input([2]), try graph.input([2]))
    let norm = try graph.add(BatchNorm(), to: a, name: "norm")
    let again = try graph.apply(layerOf: norm, to: [b])
    let model = try Model(graph, inputs: [a, b], outputs: [norm, again])
    let x = [try randomTensor([9, 2], seed: 1, 0...1), try randomTensor([9, 2], seed: 2, 4...5)]
    try model.updatePopulationStatistics(x.map { try $0.view() }, batchSize: 4)
    var pooled = try PopulationStatistics(channels: 2)
    for part in x { try pooled.add(part.view()) }
    let (mean, variance) = (try model.values("norm.running_mean"), try model.values("norm.running_var"))
    expectClose(mean, pooled.mean, within: 1e-6)
    expectClose(variance, try pooled.variance(unbiased: true), within: 1e-5)
    withExtendedLifetime(x) {}
  }

  @Test func errors() throws {
    var graph = Graph()
    let (x, z) = (try graph.input([3], name: "x"), try graph.input([2, 3]))
    let scalar = try graph.input([])
    expectError(.shapeMismatch, "Layer \"add_1\"", "two or more inputs; 1 came") { _ = try graph.add(Add(), to: x) }
    expectError(.shapeMismatch, "one shape", "[3]", "input 1 [2, 3]") { _ = try graph.add(Add(), to: [x, z]) }
    expectError(.shapeMismatch, "two or more inputs; 0 came") { _ = try graph.add(Concatenate(), to: []) }
    expectError(.shapeMismatch, "last axis alone", "[2, 3]", "input 1 [3]") { _ = try graph.add(Concatenate(), to: [z, x]) }
    expectError(.shapeMismatch, "at least one axis") { _ = try graph.add(Concatenate(), to: [scalar, scalar]) }
    expectError(.invalidArgument, "layer: node 0 (\"x\") is an input") { _ = try graph.apply(layerOf: x, to: [x]) }
    expectError(.invalidArgument, "layer: node 99") { _ = try graph.apply(layerOf: .init(index: 99), to: [x]) }
    let wide = try graph.input([5])
    let dense = try graph.add(Dense(2), to: x, name: "dense")
    expectError(.shapeMismatch, "Layer \"dense\"", "weight", "[2, 3]", "[5] needs [2, 5]", "a layer of its own") {
      _ = try graph.apply(layerOf: dense, to: [wide])
    }
    expectError(.shapeMismatch, "takes one input; 2 came") { _ = try graph.apply(layerOf: dense, to: [x, x]) }
    expectError(.invalidArgument, "input of dense", "node 77") { _ = try graph.apply(layerOf: dense, to: [.init(index: 77)]) }
    // Concatenations that double: too many values are refused, not counted beyond Int.
    var (h, failure) = (x, MartletError?.none)
    for _ in 0..<70 where failure == nil {
      failure = martletError { h = try graph.add(Concatenate(), to: [h, h]) }
    }
    #expect(failure?.kind == .shapeMismatch)
    #expect(failure?.message.contains("more elements than memory can hold") == true)
  }
}
