import MartletTestSupport
import Testing

@testable import Martlet

/// What the recipe changes, and what it must leave alone.
@Suite struct ResidualRecipeTests {
  /// x → conv (bias) → bn → relu → conv (bias) → bn → + shortcut → relu → dense.
  private func block(
    projection: Bool = false, norm: BatchNorm = BatchNorm()
  ) throws -> (graph: Graph, input: Graph.Node, output: Graph.Node) {
    var graph = Graph()
    let x = try graph.input([4, 4, 3])
    let stem = try graph.add(Conv2D(3, kernelSize: 3, padding: .same), to: x, name: "stem")
    let first = try graph.add(Conv2D(3, kernelSize: 3, padding: .same), to: stem, name: "conv1")
    let active = try graph.add(ReLU(), to: graph.add(norm, to: first, name: "bn1"))
    let second = try graph.add(Conv2D(3, kernelSize: 3, padding: .same), to: active, name: "conv2")
    let branch = try graph.add(norm, to: second, name: "bn2")
    var shortcut = stem
    if projection {
      shortcut = try graph.add(norm, to: graph.add(Conv2D(3, kernelSize: 1), to: stem, name: "conv3"), name: "bn3")
    }
    let sum = try graph.add(ReLU(), to: graph.add(Add(), to: [branch, shortcut]), name: "sum")
    let output = try graph.add(Dense(2), to: graph.add(Flatten(), to: sum), name: "last")
    return (graph, x, output)
  }

  @Test func aBlockStartsAsItsShortcut() throws {
    var (graph, x, output) = try block()
    let recipe = graph.applyResidualRecipe()
    #expect(recipe == ResidualRecipe(withoutBias: ["conv1", "conv2"], zeroScales: ["bn2"]))
    #expect(graph.applyResidualRecipe() == ResidualRecipe())
    let model = try Model(graph, inputs: [x], outputs: [output], seed: 3)
    let names = model.variables.map(\.name)
    #expect(!names.contains("conv1.bias") && !names.contains("conv2.bias"))
    #expect(names.contains("stem.bias") && names.contains("last.bias"))
    #expect(try model.variable(named: "bn2.weight").values == [0, 0, 0])
    #expect(try model.variable(named: "bn1.weight").values == [1, 1, 1])

    // relu(0 + stem): what the block adds is nothing until it learns.
    let data = try randomTensor([2, 4, 4, 3], seed: 5)
    let stem = try model.submodel(outputs: ["stem"]).predict(data)
    let sum = try model.submodel(outputs: ["sum"]).predict(data)
    #expect(sum.values == stem.values.map { max($0, 0) })
    let trainer = try Trainer(model, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.1))
    _ = try trainer.step(data, labels: [0, 1])
    #expect(try model.variable(named: "bn2.weight").values.contains { $0 != 0 })
  }

  @Test func theShortcutsOwnNormKeepsItsScale() throws {
    var (graph, _, _) = try block(projection: true)
    let recipe = graph.applyResidualRecipe()
    #expect(recipe == ResidualRecipe(withoutBias: ["conv1", "conv2", "conv3"], zeroScales: ["bn2"]))
  }

  @Test(
    "A bias that matters stays",
    arguments: [
      BatchNorm(normalizer: .moving), BatchNorm(singleValue: .moving), BatchNorm(renormalization: BatchRenormalization()),
    ])
  func biasThatMatters(norm: BatchNorm) throws {
    var (graph, _, _) = try block(norm: norm)
    #expect(graph.applyResidualRecipe().withoutBias.isEmpty)
  }

  @Test func aLayerReadByOthersKeepsItsBias() throws {
    var graph = Graph()
    let x = try graph.input([3])
    let dense = try graph.add(Dense(3), to: x, name: "dense")
    let norm = try graph.add(BatchNorm(), to: dense)
    _ = try graph.add(Add(), to: [norm, dense])
    #expect(graph.applyResidualRecipe() == ResidualRecipe(withoutBias: [], zeroScales: ["batch_norm_1"]))
  }

  /// Two branches as long as each other: neither is the shortcut. A norm without a scale, or one that something else reads, stays.
  @Test func whereThereIsNoTelling() throws {
    var graph = Graph()
    let x = try graph.input([3])
    let one = try graph.add(BatchNorm(), to: x)
    let other = try graph.add(BatchNorm(), to: x)
    _ = try graph.add(Add(), to: [one, other])
    let plain = try graph.add(BatchNorm(scale: false), to: x)
    _ = try graph.add(Add(), to: [plain, x])
    let shared = try graph.add(BatchNorm(), to: x)
    _ = try graph.add(Concatenate(), to: [graph.add(Add(), to: [shared, x]), shared])
    #expect(graph.applyResidualRecipe() == ResidualRecipe())
  }

  /// A shared layer changes if all its places agree.
  @Test func sharedLayers() throws {
    var graph = Graph()
    let x = try graph.input([3])
    let dense = try graph.add(Dense(3), to: x, name: "dense")
    let norm = try graph.add(BatchNorm(), to: dense, name: "norm")
    let sum = try graph.add(Add(), to: [norm, x])
    let again = try graph.apply(layerOf: dense, to: [sum])
    let both = try graph.add(Add(), to: [graph.apply(layerOf: norm, to: [again]), sum])
    var copy = graph
    #expect(copy.applyResidualRecipe() == ResidualRecipe(withoutBias: ["dense"], zeroScales: ["norm"]))
    _ = try graph.apply(layerOf: dense, to: [both])
    #expect(graph.applyResidualRecipe() == ResidualRecipe(withoutBias: [], zeroScales: ["norm"]))
  }

  @Test func emptyGraph() {
    var graph = Graph()
    #expect(graph.applyResidualRecipe() == ResidualRecipe())
  }
}
