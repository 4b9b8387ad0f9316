import MartletRuntime
import MartletTestSupport
import Testing

@testable import Martlet

/// Which layers become one step, seen through the steps' titles; that fused and unfused agree is in LayerGradientTests.
@Suite struct FusionTests {
  private func titles(_ model: Model, training: Bool) throws -> [String] {
    try Plan(
      model.network, inputs: model.inputNodes, outputs: model.outputNodes, capacity: 4, training: training,
      wantsInputGradient: false, compute: Compute.shared
    ).steps.map(\.title)
  }

  @Test func theUsualChain() throws {
    let model = try Model.sequential([Dense(5), BatchNorm(), Sigmoid(), Dense(3), Tanh(), BatchNorm()], inputShape: [4])
    #expect(
      try titles(model, training: true) == ["0 dense", "1 batch_norm + 2 sigmoid", "3 dense + 4 tanh", "5 batch_norm"])
    #expect(
      try titles(model, training: false) == ["0 dense + 1 batch_norm + 2 sigmoid", "3 dense + 4 tanh", "5 batch_norm"])
  }

  @Test func whatIsSeenStays() throws {
    var graph = Graph()
    let x = try graph.input([4])
    let dense = try graph.add(Dense(3), to: x, name: "dense")
    let norm = try graph.add(BatchNorm(), to: dense, name: "norm")
    let relu = try graph.add(ReLU(), to: norm, name: "relu")
    let all = try Model(graph, inputs: [x], outputs: [dense, norm, relu])
    for training in [true, false] {
      #expect(try titles(all, training: training) == ["dense dense", "norm batch_norm", "relu relu"])
    }
    // A second reader keeps a value too.
    let other = try graph.add(Tanh(), to: norm, name: "tanh")
    let branched = try Model(graph, inputs: [x], outputs: [relu, other])
    #expect(try titles(branched, training: false) == ["dense dense + norm batch_norm", "relu relu", "tanh tanh"])
    // A branch that the outputs do not need does not count as a reader.
    let straight = try Model(graph, inputs: [x], outputs: [relu])
    #expect(try titles(straight, training: false) == ["dense dense + norm batch_norm + relu relu"])
  }

  @Test func namesOfTheSameValueTakeNoStep() throws {
    let model = try Model.sequential([Flatten(), Dropout(0.5), Dense(2), Dropout(0)], inputShape: [2, 2])
    #expect(try titles(model, training: false) == ["2 dense"])
    #expect(try titles(model, training: true) == ["1 dropout", "2 dense"])
  }

  /// Fused or seen, the numbers agree: bias and activation in the tail to the last bits, the folded norm within its tolerance.
  @Test func fusionChangesNoAnswer() throws {
    let fused = try Model.sequential([Dense(19), BatchNorm(), Sigmoid(), Dense(7), ReLU()], inputShape: [9], seed: 3)
    randomiseAffine(fused, seed: 4)
    let seen = Model(
      fused.network, inputs: fused.inputNodes, outputs: Array(fused.network.nodes.indices.dropFirst()), seed: 0)
    let x = try randomTensor([33, 9], seed: 5)
    for training in [false, true] {
      // Training moves the statistics, which inference reads: start both from the same.
      let before = fused.variables.map(\.values)
      try seen.forward([x.view()], training: training)
      let want = try seen.output(4).copied
      for (variable, values) in zip(fused.variables, before) where variable.dataType == .float32 { variable.set(values) }
      let got = try fused.forward(x, training: training)
      expectClose(
        got.values, want.map(Double.init), within: Tolerance.network(depth: 5, terms: 19, magnitude: 1 + largest(want)))
    }
    withExtendedLifetime(x) {}
  }

  @Test func planDescription() throws {
    let model = try Model.sequential([Dense(5), BatchNorm(), Sigmoid(), Dense(3)], inputShape: [4])
    let text = try model.planDescription(batchSize: 60, training: true)
    for part in [
      "training, 60 rows", "3 steps forward, 3 backward", "1 batch_norm + 2 sigmoid", "[60, 5]", "[60, 3]",
      "bytes in one arena",
      "53 parameters",
    ] {
      #expect(text.contains(part), "\(text)")
    }
    #expect(try model.planDescription(batchSize: 1, training: false).contains("inference, 1 rows"))
    expectError(.invalidArgument, "batch_size", "0 came") { _ = try model.planDescription(batchSize: 0, training: true) }
  }
}
