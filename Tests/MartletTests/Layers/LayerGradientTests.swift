import MartletTestSupport
import Testing

@testable import Martlet

/// Each layer alone and in networks: outputs and gradients against the Float64 reference.
@Suite struct LayerGradientTests {
  private func check(
    _ layers: [any Layer], _ shape: [Int], rows: Int = 5, terms: Int = 8, range: ClosedRange<Float> = -1.5...1.5,
    seed: UInt64 = 31,
    prepare: (Model) throws -> Void = { _ in }, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let model = try Model.sequential(layers, inputShape: shape, seed: seed)
    try prepare(model)
    let x = try randomTensor([rows] + shape, seed: seed &+ 1, range)
    try checkGradients(model, [x], terms: terms, seed: seed, sourceLocation: sourceLocation)
  }

  @Test func dense() throws {
    try check([Dense(4)], [6])
    try check([Dense(1)], [1], rows: 1)
    try check([Dense(17, bias: false)], [9], rows: 3, terms: 17)
  }

  @Test(arguments: [0, 1, 2]) func activations(_ which: Int) throws {
    let activation: any Layer = [Sigmoid(), Tanh(), ReLU()][which]
    // Alone, in a product's tail, behind batch norm, and behind something they cannot be fused with.
    try check([activation], [7])
    try check([Dense(4), activation], [6])
    try check([BatchNorm(), activation], [3])
    try check([Dense(4), BatchNorm(), activation, Dense(2)], [5])
    try check([Softmax(), activation], [4])
    try check([Dense(4), activation, activation], [3])
  }

  @Test func softmax() throws {
    try check([Softmax()], [5])
    try check([Dense(4), Softmax()], [3])
    try check([Softmax()], [2, 3], rows: 2)
  }

  @Test(arguments: [0.25, 0.5, 0.9]) func dropout(_ rate: Double) throws {
    try check([Dropout(rate)], [40])
    try check([Dense(6), Dropout(rate), Tanh(), Dropout(rate), Dense(2)], [5])
  }

  @Test func flatten() throws {
    try check([Flatten()], [2, 3])
    try check([Flatten(), Dense(3)], [2, 3, 2], terms: 12)
    try check([BatchNorm(), Flatten(), Dense(3), Flatten(), ReLU()], [2, 3])
  }

  @Test func inputNormalization() throws {
    func fit(_ model: Model) throws {
      let data = try randomTensor([50, 4], seed: 77, 2...5)
      try model.fitInputNormalization([data.view()])
      withExtendedLifetime(data) {}
    }
    try check([InputNormalization()], [4], range: 2...5, prepare: fit)
    try check([InputNormalization(epsilon: 0.1), Dense(3), BatchNorm(), Sigmoid()], [4], range: 2...5, prepare: fit)
  }

  @Test func wholeNetworks() throws {
    try check([Dense(6), BatchNorm(), Sigmoid(), Dense(5), BatchNorm(), Sigmoid(), Dense(3)], [4], rows: 9, terms: 9)
    try check([BatchNorm(), Dense(5), Tanh(), BatchNorm(scale: false), Dense(5), ReLU(), Dense(2), Softmax()], [4], rows: 7)
    try check([Dense(5), Sigmoid(), BatchNorm(), Dropout(0.3), Dense(4), Tanh(), Dense(2)], [3], rows: 8)
  }

  /// Two outputs, a value read twice, an output that is read on, an input that nothing reads.
  @Test func branches() throws {
    var graph = Graph()
    let x = try graph.input([4])
    let z = try graph.input([2])
    let idle = try graph.input([3])
    let stem = try graph.add(Tanh(), to: graph.add(BatchNorm(), to: graph.add(Dense(5), to: x)))
    let left = try graph.add(Sigmoid(), to: graph.add(Dense(3), to: stem))
    let right = try graph.add(Softmax(), to: graph.add(Dense(2), to: stem))
    let other = try graph.add(BatchNorm(), to: z)
    let model = try Model(graph, inputs: [x, z, idle], outputs: [left, right, stem, other], seed: 5)
    let inputs = [
      try randomTensor([6, 4], seed: 1), try randomTensor([6, 2], seed: 2), try randomTensor([6, 3], seed: 3),
    ]
    randomiseAffine(model, seed: 1)
    try model.forward(inputs.map { try $0.view() }, training: true)
    let zeros = try model.outputShapes.map { try Tensor(shape: [6] + $0) }
    try model.backward(zeros.map { try $0.view() })
    // Nobody reads it, so its gradient may be called 0 or missing, but not anything else.
    if let gradient = try? model.inputGradient(2).copied { #expect(gradient.allSatisfy { $0 == 0 }) }

    let connected = try Model(graph, inputs: [x, z], outputs: [left, right, stem, other], seed: 5)
    try checkGradients(connected, Array(inputs.prefix(2)), terms: 6, seed: 8)
    withExtendedLifetime((inputs, zeros)) {}
  }

  /// One value given out twice: the gradients by both add up.
  @Test func oneValueAsTwoOutputs() throws {
    var graph = Graph()
    let x = try graph.input([3])
    let y = try graph.add(Dense(2), to: x)
    let flat = try graph.add(Flatten(), to: y)
    let model = try Model(graph, inputs: [x], outputs: [y, flat, y], seed: 6)
    try checkGradients(model, [randomTensor([4, 3], seed: 4)], terms: 4, seed: 9)
    // The input itself as an output.
    let identity = try Model(graph, inputs: [x], outputs: [x, y], seed: 6)
    try checkGradients(identity, [randomTensor([4, 3], seed: 5)], terms: 4, seed: 10)
  }

  @Test func accumulatedGradients() throws {
    let model = try Model.sequential([Dense(3), BatchNorm(), Tanh(), Dense(2)], inputShape: [4], seed: 3)
    randomiseAffine(model, seed: 2)
    let x = try randomTensor([5, 4], seed: 1)
    let r = try randomTensor([5, 2], seed: 2)
    func run(accumulate: Bool) throws -> [[Float]] {
      _ = try model.forward(x, training: true)
      _ = try model.backward(r, accumulate: accumulate)
      return model.variables.filter { $0.kind == .parameter }.map(\.gradientValues)
    }
    let once = try run(accumulate: false)
    let twice = try run(accumulate: true)
    let again = try run(accumulate: false)
    #expect(again == once)
    for (a, b) in zip(once, twice) {
      // Doubling is exact; a sum of many parts may be rounded at other places.
      expectClose(b, a.map { 2 * Double($0) }, within: Tolerance.network(depth: 4, terms: 5, magnitude: 2 * largest(a) + 1))
    }
  }
}
