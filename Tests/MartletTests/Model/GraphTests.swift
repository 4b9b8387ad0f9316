import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct GraphTests {
  @Test func names() throws {
    var graph = Graph()
    let x = try graph.input([4])
    let named = try graph.add(Dense(3), to: x, name: "dense_2")
    let first = try graph.add(Dense(3), to: x)
    let second = try graph.add(Dense(3), to: x)
    let model = try Model(graph, inputs: [x], outputs: [named, first, second])
    #expect(model.layers.map(\.name) == ["dense_2", "dense_1", "dense_3"])
    #expect(model.layers.map(\.kind) == ["dense", "dense", "dense"])
    #expect(model.variables.map(\.name).prefix(2) == ["dense_2.weight", "dense_2.bias"])
    #expect(model.inputShapes == [[4]] && model.outputShapes == [[3], [3], [3]])
    expectError(.invalidArgument, "\"dense_1\" is taken") { _ = try graph.add(ReLU(), to: x, name: "dense_1") }
    expectError(.invalidArgument, "is taken") { _ = try graph.input([2], name: "dense_2") }
    for wrong in ["", "a/b"] {
      expectError(.invalidArgument, "name", "'/'", "\"\(wrong)\"") { _ = try graph.add(ReLU(), to: x, name: wrong) }
    }
  }

  @Test func sequentialIsNumbered() throws {
    let model = try Model.sequential([Dense(100), BatchNorm(), Sigmoid(), Dense(10)], inputShape: [784])
    #expect(
      model.variables.map(\.name) == [
        "0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked",
        "1.num_batches_skipped", "3.weight", "3.bias",
      ])
    #expect(try model.variable(named: "0.weight").shape == [100, 784])
    #expect(model.parameterCount == 784 * 100 + 100 + 200 + 1010)
    #expect(model.variables.filter(\.isWeight).map(\.name) == ["0.weight", "3.weight"])
  }

  /// A layer that throws leaves the graph as it was; the message names the layer.
  @Test func layerErrors() throws {
    var graph = Graph()
    let x = try graph.input([2, 3])
    let flat = try graph.add(Flatten(), to: x)
    expectError(.shapeMismatch, "Layer \"dense_1\"", "[2, 3]", "Put a Flatten before it") { _ = try graph.add(Dense(3), to: x) }
    #expect(graph.nodes.count == 2 && graph.layers.count == 1)
    expectError(.invalidArgument, "units must be 1 or more; 0 came") { _ = try graph.add(Dense(0), to: flat) }
    expectError(.shapeMismatch, "more elements than memory") { _ = try graph.add(Dense(Int.max >> 9), to: flat) }
    expectError(.shapeMismatch, "dense takes one input; 2 came") { _ = try graph.add(Dense(1), to: [flat, flat]) }
    expectError(.shapeMismatch, "takes one input; 0 came") { _ = try graph.add(ReLU(), to: []) }
    for rate in [-0.1, 1, 0.99999999999, .nan] {
      expectError(.invalidArgument, "rate: expected a number in 0..<1") { _ = try graph.add(Dropout(rate), to: flat) }
    }
    for epsilon in [-1, Double.nan, .infinity] {
      expectError(.invalidArgument, "epsilon") { _ = try graph.add(InputNormalization(epsilon: epsilon), to: flat) }
    }
    expectError(.invalidArgument, "weight_initializer", "deviation", "-1") {
      _ = try graph.add(Dense(2, weightInitializer: .normal(deviation: -1)), to: flat)
    }
    expectError(.invalidArgument, "bias_initializer", "finite") {
      _ = try graph.add(Dense(2, biasInitializer: .constant(.infinity)), to: flat)
    }
    let scalar = try graph.input([])
    expectError(.shapeMismatch, "softmax", "at least one axis") { _ = try graph.add(Softmax(), to: scalar) }
    let nothing = try graph.input([0])
    expectError(.shapeMismatch, "1 or more input features", "[0]") { _ = try graph.add(Dense(1), to: nothing) }
    struct Foreign: Layer { static let kind = "foreign" }
    expectError(.unsupported, "Foreign", "not one of this library's layers") { _ = try graph.add(Foreign(), to: flat) }
    // The graph is as good as before.
    let last = try graph.add(Dense(1), to: flat)
    #expect(try Model(graph, inputs: [x], outputs: [last]).outputShapes == [[1]])
  }

  @Test func nodeErrors() throws {
    var graph = Graph()
    let x = try graph.input([3], name: "x")
    let z = try graph.input([2], name: "z")
    let y = try graph.add(Dense(2), to: x, name: "y")
    let w = try graph.add(Dense(2), to: z)
    let foreign = Graph.Node(index: 77)
    expectError(.invalidArgument, "node 77", "4 nodes") { _ = try graph.add(ReLU(), to: foreign) }
    expectError(.invalidArgument, "outputs", "node -1") { _ = try Model(graph, inputs: [x], outputs: [Graph.Node(index: -1)]) }
    expectError(.invalidArgument, "at least one output") { _ = try Model(graph, inputs: [x], outputs: []) }
    expectError(.invalidArgument, "at least one input") { _ = try Model(graph, inputs: [], outputs: [y]) }
    expectError(.invalidArgument, "node 2", "\"y\"", "not an input") { _ = try Model(graph, inputs: [y], outputs: [y]) }
    expectError(.invalidArgument, "the same node came twice") { _ = try Model(graph, inputs: [x, x], outputs: [y]) }
    expectError(.invalidArgument, "need the input \"z\"") { _ = try Model(graph, inputs: [x], outputs: [y, w]) }
    expectError(.shapeMismatch, "input shape", "[-3]") { _ = try graph.input([-3]) }
    expectError(.invalidArgument, "at least one layer") { _ = try Model.sequential([], inputShape: [3]) }
    #expect(try Model(graph, inputs: [x, z], outputs: [y]).layers.map(\.name) == ["y"])
  }

  /// Models of one graph do not share anything.
  @Test func modelsOfOneGraphAreApart() throws {
    var graph = Graph()
    let x = try graph.input([3])
    let y = try graph.add(Dense(2), to: x, name: "y")
    let (a, b) = (try Model(graph, inputs: [x], outputs: [y], seed: 1), try Model(graph, inputs: [x], outputs: [y], seed: 1))
    let c = try Model(graph, inputs: [x], outputs: [y], seed: 2)
    #expect(try a.values("y.weight") == b.values("y.weight"))
    #expect(try a.values("y.weight") != c.values("y.weight"))
    try a.variable(named: "y.weight").set([Float](repeating: 3, count: 6))
    #expect(try b.values("y.weight") != a.values("y.weight"))
  }
}
