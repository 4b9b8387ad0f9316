// Outputs that the backward pass makes again: the same bits, in less memory.
import MartletTestSupport
import Testing

@testable import Martlet
@testable import MartletRuntime

@Suite struct RecomputationTests {
  /// Two branches that meet side by side, a norm that is read twice, norms with every activation.
  private func model() throws -> Model {
    var graph = Graph()
    let x = try graph.input([6, 6, 3])
    func block(_ input: Graph.Node, _ filters: Int, _ activation: any Layer) throws -> Graph.Node {
      let z = try graph.add(Conv2D(filters, kernelSize: 3, padding: .same, bias: false), to: input)
      return try graph.add(activation, to: graph.add(BatchNorm(), to: z))
    }
    let stem = try graph.add(MaxPool2D(2, strides: 1), to: block(x, 8, ReLU()))
    let left = try block(stem, 4, ReLU())
    let right = try block(block(stem, 5, Tanh()), 4, ReLU())
    let both = try graph.add(Concatenate(), to: [left, right])
    let last = try graph.add(BatchNorm(), to: graph.add(Conv2D(4, kernelSize: 1), to: both))
    let head = try graph.add(Dense(3), to: graph.add(Flatten(), to: last))
    return try Model(graph, inputs: [x], outputs: [head], seed: 3)
  }

  /// Gradients of all parameters after one forward and one backward pass with fixed random input and cotangent.
  private func gradients(_ model: Model, least: Int) throws -> (bits: [[UInt32]], arena: Int, again: Int) {
    let compute = try Compute.shared
    let plan = try Plan(
      model.network, inputs: model.inputNodes, outputs: model.outputNodes, capacity: 7, training: true,
      wantsInputGradient: true, leastRecomputedByteCount: least, compute: compute)
    let run = try Executor(plan, compute)
    try run.prepare(rows: 7)
    let random = CounterRandom(seed: 5, stream: 0)
    for i in 0..<7 * 108 { run.inputFloats(0)[i] = Float(random.uniform(UInt64(i)) - 0.5) }
    run.forward()
    let cotangent = try #require(run.outputGradient(0))
    for i in 0..<7 * 3 { cotangent[i] = Float(random.uniform(UInt64(1_000_000 + i)) - 0.5) }
    run.backward()
    var bits = model.variables.compactMap { variable in
      variable.gradient.map { gradient in (0..<variable.count).map { gradient[$0].bitPattern } }
    }
    let input = try #require(run.inputGradient(0))
    bits.append((0..<7 * 108).map { input[$0].bitPattern })
    return (bits, plan.layout.byteCount, plan.backwardSteps.count { $0 is Recomputation })
  }

  @Test func sameBitsInLessMemory() throws {
    let model = try model()
    let kept = try gradients(model, least: .max)
    let made = try gradients(model.clone(), least: 0)
    #expect(kept.again == 0)
    // The stem, the two branches' ends and their joint; tanh needs its output, the last norm's is the output's input.
    #expect(made.again >= 4)
    #expect(made.bits == kept.bits)
    #expect(made.arena < kept.arena)
    // A gradient that is all zeros would agree with anything.
    #expect(kept.bits.allSatisfy { $0.contains { $0 << 1 != 0 } })
  }

  @Test func smallNetworksKeepTheirOutputs() throws {
    #expect(try gradients(model(), least: Recomputation.leastByteCount).again == 0)
  }
}
