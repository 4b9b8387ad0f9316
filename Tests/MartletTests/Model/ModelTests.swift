import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct ModelTests {
  private func network() throws -> Model {
    try Model.sequential([Dense(5), BatchNorm(), Tanh(), Dense(3)], inputShape: [4], seed: 7)
  }

  // MARK: Submodels and copies

  @Test func submodelsShare() throws {
    let model = try network()
    randomiseAffine(model, seed: 1)
    let hidden = try model.submodel(outputs: ["1", "2"])
    #expect(hidden.outputShapes == [[5], [5]])
    let x = try randomTensor([6, 4], seed: 1)
    try hidden.forward([x.view()], training: false)
    let normalised = try Tensor(copying: hidden.output(0))
    #expect(try normalised.activated(.tanh) == Tensor(copying: hidden.output(1)))
    // What one changes the other sees; what one freezes is frozen.
    try model.variable(named: "0.bias").set([1, 2, 3, 4, 5])
    #expect(try hidden.values("0.bias") == [1, 2, 3, 4, 5])
    try hidden.setBatchNormSwitches(layer: "1", .frozen)
    #expect(try model.batchNormSwitches(layer: "1") == .frozen)
    try hidden.forward([x.view()], training: false)
    #expect(try Tensor(copying: hidden.output(0)) != normalised)
    expectError(.invalidArgument, "no layer \"9\"", "\"0\" (dense)") { _ = try model.submodel(outputs: ["9"]) }
    expectError(.invalidArgument, "at least one output") { _ = try model.submodel(outputs: []) }
    withExtendedLifetime(x) {}
  }

  /// Training a submodel moves what it reaches and nothing else, whatever gradients were left by the whole.
  @Test(arguments: [OptimizerOptions.sgd(learningRate: 0.1, momentum: 0.9, weightDecay: 0.1), .adam(learningRate: 0.1)])
  func trainingASubmodel(_ options: OptimizerOptions) throws {
    let model = try network()
    let x = try randomTensor([6, 4], seed: 1)
    _ = try Trainer(model, loss: .meanSquaredError).step(x, targets: randomTensor([6, 3], seed: 2))
    let head = try model.values("3.weight")
    let body = try model.values("0.weight")
    let trainer = try Trainer(model.submodel(outputs: ["2"]), loss: .meanSquaredError, optimizer: options)
    for _ in 0..<3 { _ = try trainer.step(x, targets: randomTensor([6, 5], seed: 3)) }
    #expect(try model.values("3.weight") == head)
    #expect(try model.values("0.weight") != body)
  }

  @Test func clonesAreIndependent() throws {
    let model = try network()
    let x = try randomTensor([6, 4], seed: 1)
    _ = try model.forward(x, training: true)
    try model.setTrainable("3.bias", false)
    let copy = try model.clone()
    #expect(copy.allBytes == model.allBytes)
    #expect(try !copy.variable(named: "3.bias").isTrainable)
    #expect(try copy.predict(x) == model.predict(x))
    let before = model.allBytes
    _ = try Trainer(copy, loss: .meanSquaredError).step(x, targets: randomTensor([6, 3], seed: 2))
    try copy.setTrainable("3.bias", true)
    #expect(copy.allBytes != before)
    #expect(model.allBytes == before)
    #expect(try !model.variable(named: "3.bias").isTrainable)
  }

  // MARK: Forward and backward by hand

  @Test func phases() throws {
    let model = try network()
    let x = try randomTensor([6, 4], seed: 1)
    let g = try Tensor(shape: [6, 3])
    expectError(.invalidState, "run forward first") { _ = try model.output(0) }
    expectError(.invalidState, "needs a forward in training first") { _ = try model.backward(g) }
    expectError(.invalidState, "no input gradient") { _ = try model.inputGradient(0) }
    _ = try model.forward(x, training: false)
    expectError(.invalidState, "needs a forward in training first") { _ = try model.backward(g) }
    _ = try model.forward(x, training: true)
    expectError(.invalidState, "no input gradient") { _ = try model.inputGradient(0) }
    expectError(.shapeMismatch, "gradOutput", "[rows, 3]", "[6, 4]") { _ = try model.backward(x) }
    expectError(.shapeMismatch, "6 rows are needed", "5 came") { _ = try model.backward(Tensor(shape: [5, 3])) }
    _ = try model.backward(g)
    expectError(.invalidState, "already run") { _ = try model.backward(g) }
    expectError(.invalidArgument, "1 inputs", "1 came") { _ = try model.inputGradient(1) }
    expectError(.invalidArgument, "1 outputs", "-1 came") { _ = try model.output(-1) }
  }

  @Test func inputErrors() throws {
    var graph = Graph()
    let (a, b) = (try graph.input([4]), try graph.input([2, 2]))
    let y = try graph.add(Dense(2), to: a)
    let z = try graph.add(Flatten(), to: b)
    let model = try Model(graph, inputs: [a, b], outputs: [y, z])
    let (x, w) = (try Tensor(shape: [3, 4]), try Tensor(shape: [3, 2, 2]))
    func forward(_ inputs: Tensor...) throws { try model.forward(inputs.map { try $0.view() }, training: true) }
    try forward(x, w)
    expectError(.shapeMismatch, "inputs: the model has 2; 1 came") { try forward(x) }
    expectError(.shapeMismatch, "inputs[0]", "[rows, 4]", "[3, 2, 2]") { try forward(w, x) }
    expectError(.shapeMismatch, "inputs[1]", "[rows, 2, 2]", "the first axis is the batch", "[3, 4]") { try forward(x, x) }
    expectError(.shapeMismatch, "as many rows", "3", "2") { try forward(x, Tensor(shape: [2, 2, 2])) }
    expectError(.shapeMismatch, "inputs[0]", "[]") { try forward(Tensor(shape: []), w) }
    withExtendedLifetime((x, w)) {}
  }

  /// Any strides and types come in, and give the same bits as their contiguous copy.
  @Test func stridedInputs() throws {
    let model = try network()
    let t = try Tensor((0..<24).map { Float($0 % 7) }, shape: [4, 6])
    let transposed = try ArrayView(t.storage.base, .float32, shape: [6, 4], strides: [1, 6])
    try model.forward([transposed], training: false)
    let got = try Tensor(copying: model.output(0))
    #expect(try got == model.forward(Tensor(copying: transposed), training: false))
    var bytes = transposed.copied.map { UInt8($0) }
    try bytes.withUnsafeMutableBytes {
      try model.forward([ArrayView($0.baseAddress, .uint8, shape: [6, 4])], training: false)
    }
    #expect(try Tensor(copying: model.output(0)) == got)
    withExtendedLifetime(t) {}
  }

  // MARK: Tensors

  @Test func settingVariables() throws {
    let model = try Model.sequential([Dense(2), BatchNorm()], inputShape: [3])
    let all = try model.variables.map { ($0.name, try Tensor(shape: $0.shape, filledWith: 2)) }
    func set(_ values: [(String, Tensor)], strict: Bool) throws {
      try withExtendedLifetime(values) { try model.setVariables(values.map { ($0.0, try $0.1.view()) }, strict: strict) }
    }
    try set(all, strict: true)
    #expect(try model.values("0.weight") == [2, 2, 2, 2, 2, 2])
    #expect(try model.variable(named: "1.num_batches_tracked").integer == 2)
    // Without counters, as other libraries write it: they become 0.
    try set(all.filter { !$0.0.contains("num_batches") }, strict: true)
    #expect(try model.variable(named: "1.num_batches_tracked").integer == 0)
    let before = model.allBytes
    expectError(.invalidArgument, "\"0.weight\"", "\"1.running_mean\"", "missing", "turn strict off") {
      try set(all.filter { $0.0 != "0.weight" && $0.0 != "1.running_mean" }, strict: true)
    }
    let (zeros, wrong) = (try Tensor(shape: [2, 3]), try Tensor(shape: [3, 2]))
    expectError(.shapeMismatch, "0.weight", "[2, 3] is needed", "[3, 2] came") { try set([("0.weight", wrong)], strict: false) }
    expectError(.invalidArgument, "\"0.weight\" came twice") {
      try set([("0.weight", zeros), ("0.weight", zeros)], strict: false)
    }
    // All are checked before the first is written.
    expectError(.invalidArgument, "no tensor \"9.weight\"", "\"0.weight\"") {
      try set([("0.weight", zeros), ("9.weight", zeros)], strict: false)
    }
    for value in [-1, 0.5] as [Float] {
      expectError(.invalidArgument, "whole number") {
        try set([("1.num_batches_tracked", Tensor([value], shape: []))], strict: false)
      }
    }
    #expect(model.allBytes == before)
    try set([("0.weight", zeros)], strict: false)
    #expect(try model.values("0.weight") == [0, 0, 0, 0, 0, 0])
  }

  @Test func viewsAreTheMemoryItself() throws {
    let model = try network()
    let view = try model.variable(named: "0.bias").value
    try #require(view.contiguousFloats).pointee = 42
    #expect(try model.values("0.bias")[0] == 42)
    #expect(try model.variable(named: "1.running_mean").gradientValue == nil)
    #expect(try model.variable(named: "1.num_batches_tracked").value.dataType == .int64)
  }
}
