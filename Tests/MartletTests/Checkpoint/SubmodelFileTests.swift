// A part of a network is a model: in files, copies and lists it has its own layers and no others.
import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct SubmodelFileTests {
  let directory: ScratchDirectory
  init() throws { directory = try ScratchDirectory() }

  private func network() throws -> Model {
    let model = try Model.sequential([Dense(5), BatchNorm(), ReLU(), Dense(3), BatchNorm()], inputShape: [4], seed: 1)
    _ = try model.forward(randomTensor([8, 4], seed: 2), training: true)
    return model
  }

  @Test func itsFileIsItsOwn() throws {
    let model = try network()
    try model.setTrainable("0.weight", false)
    try model.setTrainable("3.weight", false)
    let part = try model.submodel(outputs: ["2"])
    try part.save(to: directory("part"))
    let loaded = try Model.load(from: directory("part"))
    let x = try randomTensor([6, 4], seed: 3)
    #expect(try loaded.predict(x).values == part.predict(x).values)
    #expect(loaded.variables.map(\.name) == part.variables.map(\.name))
    #expect(loaded.allBytes == part.allBytes)
    #expect(try loaded.architectureText == part.architectureText)
    #expect(try !loaded.variable(named: "0.weight").isTrainable && loaded.variable(named: "0.bias").isTrainable)
    #expect(try Safetensors.read(directory("part")).tensors.allSatisfy { !$0.name.hasPrefix("3.") && !$0.name.hasPrefix("4.") })
  }

  @Test func itHasItsOwnLayers() throws {
    let model = try network()
    let part = try model.submodel(outputs: ["2"])
    #expect(part.layers.map(\.name) == ["0", "1", "2"])
    #expect(part.variables.allSatisfy { $0.name.hasPrefix("0.") || $0.name.hasPrefix("1.") })
    #expect(part.parameterCount == 4 * 5 + 5 + 2 * 5)
    expectError(.invalidArgument, "no layer \"3\"") { _ = try part.layer(named: "3") }
    expectError(.invalidArgument, "no tensor \"3.weight\"") { _ = try part.variable(named: "3.weight") }
    expectError(.invalidArgument, "no layer \"3\"") { _ = try part.submodel(outputs: ["3"]) }
    // Freezing all norms of a part leaves the rest of the network as it was.
    try part.setBatchNormSwitches(layer: nil, .frozen)
    #expect(try model.batchNormSwitches(layer: "1") == .frozen && model.batchNormSwitches(layer: "4") == .learning)
  }

  @Test func copiesAreOfThePart() throws {
    let model = try network()
    let part = try model.submodel(outputs: ["2"])
    let x = try randomTensor([6, 4], seed: 3)
    let before = try part.predict(x).values
    let copy = try part.clone()
    #expect(copy.network.nodes.count == 4 && copy.variables.count == part.variables.count)
    #expect(try copy.predict(x).values == before)
    let (folded, _) = try part.folded(checkedOn: x)
    #expect(folded.layers.map(\.name) == ["0", "2"])
    try folded.save(to: directory("folded"))
    #expect(try Model.load(from: directory("folded")).predict(x).values == folded.predict(x).values)
    // Half precision compares with a copy whose nodes keep their numbers.
    try part.setInferenceWeights(.float16)
    #expect(try part.folded(checkedOn: x).certificate.isWithinBounds)
    #expect(try part.check(on: x).allSatisfy { $0.layer != "4" })
  }

  @Test func loadingIntoAPartLeavesTheRest() throws {
    let (model, other) = (try network(), try network())
    for variable in other.variables where variable.dataType == .float32 {
      variable.set(.init(repeating: 0.5, count: variable.count))
    }
    let part = try model.submodel(outputs: ["2"])
    let rest = try model.values("3.weight")
    try other.submodel(outputs: ["2"]).save(to: directory("part"))
    let report = try part.loadWeights(from: directory("part"))
    #expect(report.unexpected.isEmpty && report.matched.contains("1.running_mean"))
    #expect(try model.values("0.weight").allSatisfy { $0 == 0.5 } && model.values("3.weight") == rest)
  }

  /// A part that holds only the second place of a layer has it as its first.
  @Test func secondPlaces() throws {
    var graph = Graph()
    let (a, b) = (try graph.input([3]), try graph.input([3]))
    let first = try graph.add(Dense(3), to: a, name: "twin")
    let second = try graph.apply(layerOf: first, to: [b])
    let model = try Model(graph, inputs: [a, b], outputs: [first, second], seed: 4)
    let part = try model.submodel(outputs: ["twin/2"])
    try part.save(to: directory("second"))
    let x = [try randomTensor([2, 3], seed: 5), try randomTensor([2, 3], seed: 6)]
    func run(_ model: Model) throws -> [Float] {
      let out = try Tensor(shape: [2, 3])
      try withExtendedLifetime((x, out)) { try model.predict(x.map { try $0.view() }, into: [out.view()]) }
      return out.values
    }
    for copy in [try Model.load(from: directory("second")), try part.clone()] {
      #expect(copy.inputCount == 2)
      #expect(try run(copy) == run(part))
      #expect(try copy.submodel(outputs: ["twin"]).outputShapes == [[3]])
    }
  }
}
