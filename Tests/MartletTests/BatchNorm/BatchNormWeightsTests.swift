import MartletTestSupport
import ReferenceKernels
import Testing

@testable import Martlet
@testable import MartletRuntime

/// Positions that count more or less in the statistics of a batch, or not at all.
@Suite struct BatchNormWeightsTests {
  /// x and its weights into norm, then what `behind` says.
  private func model(
    _ norm: BatchNorm, _ shape: [Int], weights: [Int]? = nil, _ behind: [any Layer] = []
  ) throws -> Model {
    var graph = Graph()
    let (x, w) = (try graph.input(shape), try graph.input(weights ?? Array(shape.dropLast())))
    let normal = try graph.add(norm, to: [x, w], name: "norm")
    let last = try behind.reduce(normal) { try graph.add($1, to: $0) }
    return try Model(graph, inputs: [x, w], outputs: [last], seed: 1)
  }

  private func forward(_ model: Model, _ x: Tensor, _ weights: Tensor, training: Bool) throws -> Tensor {
    try withExtendedLifetime((x, weights)) {
      try model.forward([x.view(), weights.view()], training: training)
      return try Tensor(copying: model.output(0))
    }
  }

  /// Weights of a quarter, and a third of zeros.
  private func weights(_ shape: [Int], seed: UInt64) throws -> Tensor {
    let values = try randomTensor(shape, seed: seed, -4...8).values.map { max(($0).rounded(), 0) / 4 }
    return try Tensor(values.enumerated().map { $0.offset == 1 ? 2 : $0.element }, shape: shape)
  }

  @Test(arguments: [nil, ReLU(), Sigmoid()] as [(any Layer)?]) func gradients(_ activation: (any Layer)?) throws {
    for (shape, rows) in [([3], 9), ([17], 6), ([4, 3], 4), ([2, 3, 5], 3), ([3, 1], 5), ([1], 8)] {
      for norm in [
        BatchNorm(), BatchNorm(scale: false, debiased: true), BatchNorm(shift: false, virtualBatchSize: 2),
        BatchNorm(normalizer: .moving), BatchNorm(normalizer: .moving, updatesMoving: false),
      ] {
        let model = try model(norm, shape, activation.map { [$0] } ?? [])
        let w = try weights([rows] + shape.dropLast(), seed: UInt64(rows))
        try checkGradients(
          model, [randomTensor([rows] + shape, seed: 5), w], terms: rows * shape.dropLast().reduce(4, *), seed: 6, weights: [1])
      }
    }
  }

  @Test func gradientsWithEverything() throws {
    let limits = BatchRenormalization(
      maximumRatio: 1.2, maximumDistance: 0.3, ratioRamp: .init(0, 0), distanceRamp: .init(0, 0))
    for norm in [BatchNorm(renormalization: limits), BatchNorm(virtualBatchSize: 3, renormalization: limits)] {
      let model = try model(norm, [4, 3], weights: [4, 1], [Tanh(), Flatten(), Dense(2)])
      try checkGradients(
        model, [randomTensor([8, 4, 3], seed: 5, -1...2), weights([8, 4, 1], seed: 3)], terms: 64, seed: 6, weights: [1])
    }
  }

  /// The norm's value goes on into a sum, and its weights come from a layer.
  @Test func residualAndComputedWeights() throws {
    var graph = Graph()
    let (x, w) = (try graph.input([3, 4]), try graph.input([3]))
    let positive = try graph.add(ReLU(), to: w)
    let sum = try graph.add(Add(), to: [graph.add(BatchNorm(), to: [x, positive], name: "norm"), x])
    let last = try graph.add(ReLU(), to: sum)
    let model = try Model(graph, inputs: [x, w], outputs: [last], seed: 1)
    #expect(
      try model.planDescription(batchSize: 7, training: true).contains("norm batch_norm + add_1 add + relu_2 relu, weighted "))
    try checkGradients(
      model, [randomTensor([5, 3, 4], seed: 2), randomTensor([5, 3], seed: 3, -1...2)], terms: 15, seed: 3, weights: [1])
  }

  /// As if the padding were not there: statistics of what counts, whatever lies in the rest.
  @Test func paddingDoesNotCount() throws {
    for (positions, channels) in [(5, 3), (1, 20), (7, 16)] {
      let padded = try model(BatchNorm(), [positions, channels])
      let plain = try Model.sequential([BatchNorm()], inputShape: [channels], seed: 1)
      for step in 0..<3 {
        let x = try randomTensor([6, positions, channels], seed: UInt64(step), 20...23)
        let w = try Tensor((0..<6 * positions).map { ($0 + step) % 3 == 0 ? 0 : 1 }, shape: [6, positions])
        let kept = (0..<6 * positions).filter { w.values[$0] == 1 }
        let rows = kept.flatMap { x.values[$0 * channels..<($0 + 1) * channels] }
        var garbage = x.values
        for row in 0..<6 * positions where w.values[row] == 0 {
          for c in 0..<channels { garbage[row * channels + c] = c % 2 == 0 ? 0 : -1e6 }
        }
        let y = try forward(padded, Tensor(garbage, shape: x.shape), w, training: true).values
        let want = try plain.forward(Tensor(rows, shape: [kept.count, channels]), training: true)
        expectClose(
          kept.flatMap { y[$0 * channels..<($0 + 1) * channels] }, want.doubles,
          within: Tolerance.network(depth: 2, terms: 0, magnitude: 4))
      }
      for name in ["running_mean", "running_var"] {
        let want = try plain.values("0." + name).map(Double.init)
        expectClose(try padded.values("norm." + name), want, within: Tolerance.network(depth: 2, terms: 0, magnitude: 23))
      }
      #expect(try padded.variable(named: "norm.num_batches_tracked").integer == 3)
    }
  }

  /// Nothing counts: nothing changes. Too little counts: what `singleValue` says.
  @Test func tooLittle() throws {
    let policies: [BatchNorm.SingleValue] = [.error, .moving, .skip]
    let totals: [[Float]] = [[0, 0, 0], [0, 1, 0], [0.9, 0, 1]]
    for (total, policy) in totals.flatMap({ total in policies.map { (total, $0) } }) {
      let model = try model(BatchNorm(singleValue: policy), [4], [Tanh()])
      randomiseAffine(model, seed: 3)
      let (x, w) = (try randomTensor([3, 4], seed: 1), try Tensor(total, shape: [3]))
      let want = try forward(model, x, w, training: false)
      let before = model.allBytes
      for name in ["norm.weight", "norm.bias"] { try model.variable(named: name).gradient?.update(repeating: 5, count: 4) }
      #expect(try forward(model, x, w, training: true).bits == want.bits)
      let isEmpty = total == [0, 0, 0]
      #expect(try model.variable(named: "norm.num_batches_skipped").integer == (isEmpty ? 0 : 1))
      try model.variable(named: "norm.num_batches_skipped").storage.integers.pointee = 0
      #expect(model.allBytes == before)
      let r = try randomTensor([3, 4], seed: 2)
      try model.backward([r.view()])
      let isSkipped = isEmpty || policy == .skip
      for name in ["norm.weight", "norm.bias"] {
        #expect(try model.variable(named: name).gradientValues.allSatisfy { $0 == 0 } == isSkipped, "\(policy) \(total)")
      }
      #expect(try model.inputGradient(0).copied.allSatisfy { $0 != 0 })
      #expect(try model.inputGradient(1).copied == [0, 0, 0])
      withExtendedLifetime(r) {}
    }
  }

  @Test func aSkippedVirtualBatch() throws {
    let model = try model(BatchNorm(virtualBatchSize: 3), [2])
    let w = try Tensor([1, 1, 0, 0, 0, 0, 1, 2, 0, 0, 1, 0], shape: [12])
    _ = try forward(model, randomTensor([12, 2], seed: 1), w, training: true)
    #expect(try model.variable(named: "norm.num_batches_tracked").integer == 2)
    #expect(try model.variable(named: "norm.num_batches_skipped").integer == 1)
    try checkGradients(model, [randomTensor([12, 2], seed: 1), w], terms: 12, seed: 4, weights: [1])
  }

  /// Inference does not ask for weights, folds as ever, and the plan says where they are used.
  @Test func inference() throws {
    var graph = Graph()
    let (x, w) = (try graph.input([4, 5]), try graph.input([4]))
    let z = try graph.add(Conv1D(6, kernelSize: 1), to: x, name: "conv")
    let y = try graph.add(ReLU(), to: graph.add(BatchNorm(), to: [z, w], name: "norm"), name: "relu")
    let model = try Model(graph, inputs: [x, w], outputs: [y], seed: 1)
    randomiseAffine(model, seed: 2)
    #expect(
      try model.planDescription(batchSize: 9, training: false).contains("conv conv1d + norm batch_norm + relu relu "))
    let training = try model.planDescription(batchSize: 9, training: true)
    #expect(training.contains("norm batch_norm + relu relu, weighted ") && !training.contains("moments"), "\(training)")
    let (data, ones) = (try randomTensor([9, 4, 5], seed: 3), try weights([9, 4], seed: 4))
    let want = try forward(model, data, ones, training: false)
    let other = try forward(model, data, Tensor(shape: [9, 4]), training: false)
    #expect(want.bits == other.bits)
    let (folded, certificate) = try withExtendedLifetime((data, ones)) {
      try model.folded(checkedOn: [data.view(), ones.view()])
    }
    #expect(certificate.foldedCount == 1 && certificate.isWithinBounds, "\(certificate)")
    #expect(folded.layers.map(\.name) == ["conv", "relu"] && folded.inputCount == 2)
  }

  /// A value that is somebody's weights is not that somebody's input: it is not folded into it.
  @Test func whatWeighsIsNotNormalised() throws {
    var graph = Graph()
    let x = try graph.input([4, 2])
    let weights = try graph.add(Conv1D(1, kernelSize: 1), to: x, name: "weights")
    let y = try graph.add(BatchNorm(), to: [x, weights], name: "norm")
    let model = try Model(graph, inputs: [x], outputs: [y], seed: 1)
    let plan = try model.planDescription(batchSize: 3, training: false)
    #expect(plan.contains("weights conv1d ") && plan.contains("norm batch_norm "), "\(plan)")
    let data = try randomTensor([3, 4, 2], seed: 1)
    let certificate = try model.folded(checkedOn: data).certificate
    #expect(certificate.foldedCount == 0 && certificate.isWithinBounds, "\(certificate)")
  }

  @Test func populationStatistics() throws {
    let model = try model(BatchNorm(), [5, 3])
    let x = try randomTensor([20, 5, 3], seed: 1, 3...9)
    let w = try Tensor((0..<100).map { Float($0 % 4) }, shape: [20, 5])
    try withExtendedLifetime((x, w)) { try model.updatePopulationStatistics([x.view(), w.view()], batchSize: 7) }
    let moments = Reference.channelMoments(x.doubles, channels: 3, weights: w.doubles)
    expectClose(try model.values("norm.running_mean"), moments.mean, within: Tolerance.steps(2) * 9)
    expectClose(
      try model.values("norm.running_var"), moments.variance.map { $0 * 150 / 149 }, within: Tolerance.steps(2) * 9)
    expectError(.invalidState, "weights add up to") {
      var statistics = try PopulationStatistics(channels: 3)
      let compute = try Compute.shared
      let shape = ChannelShape(outer: 5, channels: 3)
      let workspace = try Storage(byteCount: compute.channelWorkspaceByteCount(shape) + 64)
      let spread = try Storage(byteCount: compute.rowWeightsByteCount(shape))
      let half = try Tensor([0.25, 0, 0, 0.5, 0])
      withExtendedLifetime(half) {
        let weights = compute.spreadRowWeights(half.storage.floats, shape, into: spread.floats)
        statistics.add(x.storage.floats, shape, weights: weights, workspace: workspace.base, compute)
      }
      #expect(statistics.count == 2)
      _ = try statistics.variance(unbiased: true)
    }
  }

  /// One layer with weights in one place and without in another.
  @Test func twoPlaces() throws {
    var graph = Graph()
    let (a, b, w) = (try graph.input([3]), try graph.input([3]), try graph.input([]))
    let first = try graph.add(BatchNorm(), to: [a, w])
    let second = try graph.apply(layerOf: first, to: [b])
    let sum = try graph.add(Add(), to: [first, second])
    let model = try Model(graph, inputs: [a, b, w], outputs: [sum], seed: 1)
    let w6 = try Tensor([1, 0, 2, 0.5, 0, 1], shape: [6])
    try checkGradients(
      model, [randomTensor([6, 3], seed: 1), randomTensor([6, 3], seed: 2), w6], terms: 12, seed: 3, weights: [2])
    #expect(try model.variable(named: "batch_norm_1.num_batches_tracked").integer == 2)
  }

  @Test func shapeErrors() throws {
    func build(_ x: [Int], _ w: [Int]) throws { _ = try model(BatchNorm(), x, weights: w) }
    for (x, w) in [([4, 3], [3]), ([4, 3], [4, 3]), ([4, 3], []), ([3], [3]), ([2, 4, 3], [8]), ([4, 3], [4, 1, 1])] {
      expectError(.shapeMismatch, "weights: one for each position", Shape.text(w)) { try build(x, w) }
    }
    for (x, w) in [([4, 3], [4]), ([4, 3], [4, 1]), ([3], []), ([3], [1]), ([1], [1]), ([2, 4, 3], [2, 4])] { try build(x, w) }
    expectError(.shapeMismatch, "at least one axis") { try build([], []) }
    var graph = Graph()
    let nodes = try (0..<3).map { _ in try graph.input([4]) }
    expectError(.shapeMismatch, "one input", "3 came") { _ = try graph.add(BatchNorm(), to: nodes) }
    expectError(.shapeMismatch) { _ = try graph.add(BatchNorm(), to: [Graph.Node]()) }
  }
}
