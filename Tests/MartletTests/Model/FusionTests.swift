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

  /// A block whose shortcut is its input, one with a projection (made last, so that it goes on into the sum), a sum that is seen.
  private func residualNetwork(_ activation: any Layer) throws -> (model: Model, sum: Graph.Node) {
    var graph = Graph()
    let x = try graph.input([6, 6, 4])
    func convolved(_ input: Graph.Node, _ filters: Int, _ name: String) throws -> Graph.Node {
      let z = try graph.add(Conv2D(filters, kernelSize: 3, padding: .same, bias: false), to: input, name: name)
      return try graph.add(BatchNorm(), to: z, name: name + "n")
    }
    let a = try graph.add(activation, to: convolved(x, 8, "a"), name: "ar")
    let sum = try graph.add(
      Add(), to: [convolved(graph.add(ReLU(), to: convolved(a, 8, "b"), name: "br"), 8, "c"), a], name: "s")
    let s = try graph.add(activation, to: sum, name: "sr")
    let d = try convolved(s, 16, "d")
    let t = try graph.add(Add(), to: [d, convolved(s, 16, "e")], name: "t")
    let y = try graph.add(Dense(3), to: graph.add(Flatten(), to: graph.add(activation, to: t, name: "tr")), name: "y")
    return (try Model(graph, inputs: [x], outputs: [y], seed: 4), sum)
  }

  @Test func sumsOfBranches() throws {
    let (model, sum) = try residualNetwork(ReLU())
    let inference = try titles(model, training: false)
    #expect(
      inference == [
        "a conv2d + an batch_norm + ar relu", "b conv2d + bn batch_norm + br relu",
        "c conv2d + cn batch_norm + s add + sr relu", "d conv2d + dn batch_norm",
        "e conv2d + en batch_norm + t add + tr relu", "y dense",
      ])
    let training = try titles(model, training: true)
    #expect(
      training == [
        "a conv2d", "an batch_norm + ar relu", "b conv2d", "bn batch_norm + br relu", "c conv2d",
        "cn batch_norm + s add + sr relu", "d conv2d", "dn batch_norm", "e conv2d", "en batch_norm + t add + tr relu",
        "y dense",
      ])
    // A sum that is seen ends its step; what goes into it may not.
    let seen = Model(model.network, inputs: model.inputNodes, outputs: [sum.index] + model.outputNodes, seed: 0)
    #expect(try titles(seen, training: false).contains("c conv2d + cn batch_norm + s add"))
    #expect(try titles(seen, training: false).contains("sr relu"))
    // Every convolution's moments are gathered where it is written.
    let plan = try model.planDescription(batchSize: 16, training: true)
    for name in ["a", "b", "c", "d", "e"] { #expect(plan.contains("\(name) conv2d, moments "), "\(plan)") }
    #expect(!plan.contains("y dense, moments"))
    #expect(try !model.planDescription(batchSize: 16, training: false).contains("moments"))
  }

  /// Fused and step by step: the same operations in the same order, so the same bits, gradients included.
  @Test func sumsOfBranchesChangeNoBit() throws {
    for activation in [ReLU(), Sigmoid(), Tanh()] as [any Layer] {
      let model = try residualNetwork(activation).model
      randomiseAffine(model, seed: 6)
      let seen = Model(
        model.network, inputs: model.inputNodes, outputs: Array(model.network.nodes.indices.dropFirst()), seed: 0)
      let last = seen.outputNodes.count - 1
      let x = try randomTensor([9, 6, 6, 4], seed: 5)
      let cotangent = try randomTensor([9, 3], seed: 7)
      for training in [false, true] {
        let before = model.variables.map(\.values)
        try seen.forward([x.view()], training: training)
        let want = try seen.output(last).copied
        var gradients: [[UInt32]] = []
        if training {
          let zeros = try seen.outputShapes.dropLast().map { try Tensor(shape: [9] + $0) }
          try seen.backward(zeros.map { try $0.view() } + [cotangent.view()])
          gradients = seen.variables.map { $0.gradientValues.bits }
        }
        for (variable, values) in zip(model.variables, before) where variable.dataType == .float32 { variable.set(values) }
        let got = try model.forward(x, training: training)
        if training {
          #expect(got.bits == want.bits, "\(type(of: activation))")
          try model.backward([cotangent.view()])
          for (variable, wanted) in zip(model.variables, gradients) {
            expectClose(
              variable.gradientValues, wanted.map { Double(Float(bitPattern: $0)) },
              within: Tolerance.network(depth: 9, terms: 9 * 36, magnitude: 1 + largest(wanted.map { Float(bitPattern: $0) })))
          }
        } else {
          // The folded norm rounds otherwise than the map of its own step.
          expectClose(
            got.values, want.map(Double.init), within: Tolerance.network(depth: 9, terms: 144, magnitude: 1 + largest(want)))
        }
      }
      withExtendedLifetime((x, cotangent)) {}
    }
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
    let model = try Model.sequential([Dense(5), BatchNorm(), Sigmoid(), Dropout(0.5), Dense(3)], inputShape: [4])
    let lines = try model.planDescription(batchSize: 60, training: true).split(separator: "\n").map(String.init)
    func words(_ line: String) -> [String] { line.split(separator: " ").map(String.init) }
    #expect(lines[0].hasPrefix("training, 60 rows, ") && lines[0].hasSuffix(": 4 steps forward, 4 backward"))
    #expect(words(lines[1]) == ["step", "output", "bytes", "scratch", "gradients", "stays", "for", "backward"])
    // Of Dense the input stays; of the norm, the input, the output for the sigmoid, the statistics; of dropout nothing.
    #expect(words(lines[2]).prefix(6) == ["0", "dense,", "moments", "[60,", "5]", "1,200"])
    #expect(lines[2].hasSuffix("  0  input 960"), "nothing asks for the gradient of the input")
    #expect(words(lines[3]).prefix(8) == ["1", "batch_norm", "+", "2", "sigmoid", "[60,", "5]", "1,200"])
    #expect(lines[3].contains("  1,200  input 1,200, output 1,200, context "))
    #expect(lines[4].hasSuffix("  1,200  nothing"))
    #expect(lines[5].hasSuffix("  1,200  input 1,200"))
    #expect(lines[6].contains(" bytes in one arena (") && lines[6].hasSuffix("inputs of 960 bytes among them; 53 parameters"))
    #expect(lines.count == 7)

    let inference = try model.planDescription(batchSize: 1, training: false).split(separator: "\n").map(String.init)
    #expect(inference[0].hasPrefix("inference, 1 rows, ") && inference[0].hasSuffix(": 2 steps"))
    #expect(words(inference[2]).prefix(7) == ["0", "dense", "+", "1", "batch_norm", "+", "2"])
    expectError(.invalidArgument, "batch_size", "0 came") { _ = try model.planDescription(batchSize: 0, training: true) }
  }

  /// A large plan's bytes in groups of three; a frozen front has no gradients.
  @Test func planOfAFrozenFront() throws {
    let model = try Model.sequential([Dense(1000), Dense(7)], inputShape: [30])
    for name in ["0.weight", "0.bias"] { try model.setTrainable(name, false) }
    let text = try model.planDescription(batchSize: 1234, training: true)
    #expect(text.contains("[1234, 1000]  4,936,000 "), "\(text)")
    #expect(text.contains("-  nothing: no gradient is wanted") && text.contains("; 38,007 parameters"), "\(text)")
  }
}
