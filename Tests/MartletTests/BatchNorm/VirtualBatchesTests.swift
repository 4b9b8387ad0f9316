import MartletTestSupport
import ReferenceKernels
import Testing

@testable import Martlet
@testable import MartletRuntime

/// Statistics over a few rows at a time.
@Suite struct VirtualBatchesTests {
  /// Every row once, in order; no batch of one value where there are two; never more batches for fewer rows.
  @Test func cuts() {
    for inner in 1...3 {
      for size in (inner == 1 ? 2 : 1)...9 {
        let batches = VirtualBatches(size: size, inner: inner)
        var before = 0
        for rows in 0...40 {
          let count = batches.count(rows: rows)
          let ranges = (0..<count).map { batches.range($0, rows: rows) }
          #expect(ranges.flatMap { Array($0) } == Array(0..<rows))
          #expect(ranges.dropLast().allSatisfy { $0.count == size })
          #expect(rows * inner < 2 || ranges.allSatisfy { $0.count * inner >= 2 })
          #expect(ranges.allSatisfy { $0.count <= batches.mostRows(rows: rows) })
          #expect(count >= before)
          before = count
        }
      }
    }
    #expect(VirtualBatches(size: nil, inner: 2).count(rows: 7) == 1)
    #expect(VirtualBatches(size: .max, inner: 1).range(0, rows: 7) == 0..<7)
    #expect(VirtualBatches(size: .max, inner: 1).mostRows(rows: 7) == 7)
  }

  /// To the bit what the plain layer makes of one virtual batch after the other; the gradients of scale and shift are their sums.
  @Test(arguments: [nil, ReLU(), Tanh()] as [(any Layer)?], [([5], 22, 4), ([5], 21, 4), ([2, 3, 17], 5, 2), ([1], 9, 3)])
  func plainLayersInTurn(_ activation: (any Layer)?, _ row: (shape: [Int], rows: Int, size: Int)) throws {
    func model(_ norm: BatchNorm) throws -> Model {
      let model = try Model.sequential([norm] + (activation.map { [$0] } ?? []), inputShape: row.shape, seed: 1)
      randomiseAffine(model, seed: 2)
      return model
    }
    let (ghost, plain) = (try model(BatchNorm(virtualBatchSize: row.size)), try model(BatchNorm()))
    let x = try randomTensor([row.rows] + row.shape, seed: 3, -2...4)
    let r = try randomTensor([row.rows] + row.shape, seed: 4)
    let y = try ghost.forward(x, training: true)
    let dx = try ghost.backward(r)
    let inner = row.shape.dropLast().reduce(1, *)
    let batches = VirtualBatches(size: row.size, inner: inner)
    var sums = [[Double]](repeating: [Double](repeating: 0, count: row.shape.last ?? 1), count: 2)
    for number in 0..<batches.count(rows: row.rows) {
      let range = batches.range(number, rows: row.rows)
      #expect(try plain.forward(x.rows(range), training: true).bits == y.rows(range).bits)
      #expect(try plain.backward(r.rows(range)).bits == dx.rows(range).bits)
      for (place, name) in ["0.weight", "0.bias"].enumerated() {
        for (c, value) in try plain.variable(named: name).gradientValues.enumerated() { sums[place][c] += Double(value) }
      }
    }
    for (name, want) in zip(["0.weight", "0.bias"], sums) {
      expectClose(
        try ghost.variable(named: name).gradientValues, want,
        within: Tolerance.steps(row.rows) * Double(row.rows * inner) * 4, name)
    }
    for name in ["0.running_mean", "0.running_var"] { #expect(try ghost.values(name) == plain.values(name)) }
    #expect(try ghost.variable(named: "0.num_batches_tracked").integer == Int64(batches.count(rows: row.rows)))
    // Inference knows nothing of it.
    #expect(try ghost.predict(x).bits == plain.predict(x).bits)
  }

  @Test func gradients() throws {
    for (shape, rows, size) in [([3], 9, 4), ([3], 8, 2), ([2, 2, 2], 5, 1), ([17], 7, 3)] {
      for activation in [nil, ReLU(), Sigmoid()] as [(any Layer)?] {
        let model = try Model.sequential(
          [BatchNorm(virtualBatchSize: size)] + (activation.map { [$0] } ?? []), inputShape: shape, seed: 1)
        try checkGradients(model, [randomTensor([rows] + shape, seed: 5)], terms: rows * 4, seed: 6)
      }
    }
    let deep = try Model.sequential(
      [Dense(4), BatchNorm(virtualBatchSize: 3), ReLU(), Dense(3), BatchNorm(scale: false, virtualBatchSize: 4)],
      inputShape: [5], seed: 1)
    try checkGradients(deep, [randomTensor([10, 5], seed: 7)], terms: 10, seed: 8)
  }

  /// conv → norm → add → relu, the sum in the norm's pass.
  @Test func residual() throws {
    var graph = Graph()
    let x = try graph.input([2, 3, 4])
    let z = try graph.add(Conv2D(4, kernelSize: 1), to: x)
    let sum = try graph.add(Add(), to: [graph.add(BatchNorm(virtualBatchSize: 2), to: z, name: "norm"), x])
    let y = try graph.add(ReLU(), to: sum)
    let model = try Model(graph, inputs: [x], outputs: [y], seed: 1)
    #expect(
      try model.planDescription(batchSize: 7, training: true)
        .contains("norm batch_norm + add_1 add + relu_1 relu, virtual batches of 2 "))
    try checkGradients(model, [randomTensor([5, 2, 3, 4], seed: 2)], terms: 30, seed: 3)
  }

  /// What cannot be done with virtual batches is not said to be done.
  @Test func planSaysWhatIsDone() throws {
    let layers = { (size: Int?) -> [any Layer] in
      [Conv2D(16, kernelSize: 3, padding: .same), BatchNorm(virtualBatchSize: size), ReLU()]
    }
    let ghost = try Model.sequential(layers(8), inputShape: [8, 8, 16])
    let plain = try Model.sequential(layers(nil), inputShape: [8, 8, 16])
    #expect(try plain.planDescription(batchSize: 32, training: true).contains("0 conv2d, moments "))
    let training = try ghost.planDescription(batchSize: 32, training: true)
    #expect(!training.contains("moments") && training.contains("1 batch_norm + 2 relu, virtual batches of 8 "), "\(training)")
    #expect(
      try ghost.planDescription(batchSize: 32, training: false) == plain.planDescription(batchSize: 32, training: false))
  }

  /// An output made again for the backward pass has every virtual batch's own map.
  @Test func outputsMadeAgain() throws {
    let compute = try Compute.shared
    func gradients(least: Int) throws -> [[UInt32]] {
      let model = try Model.sequential(
        [Dense(6), BatchNorm(virtualBatchSize: 3), ReLU(), Dense(2)], inputShape: [4], seed: 1)
      let plan = try Plan(
        model.network, inputs: model.inputNodes, outputs: model.outputNodes, capacity: 10, training: true,
        wantsInputGradient: true, leastRecomputedByteCount: least, compute: compute)
      #expect(plan.backwardSteps.contains { $0 is Recomputation } == (least == 0))
      let run = try Executor(plan, compute)
      // Fewer rows than there is room for.
      try run.prepare(rows: 8)
      let x = try randomTensor([8, 4], seed: 1)
      for i in 0..<32 { run.inputFloats(0)[i] = x.values[i] }
      run.forward()
      for i in 0..<16 { run.outputGradient(0)?[i] = Float(i % 5) - 2 }
      run.backward()
      return model.variables.map(\.gradientValues.bits)
    }
    let kept = try gradients(least: .max)
    #expect(try gradients(least: 0) == kept)
    #expect(kept.contains { $0.contains { $0 << 1 != 0 } })
  }

  @Test func threadsChangeNoBit() throws {
    let shape = ChannelShape(outer: 3000, channels: 40)
    let x = try randomTensor([3000, 40], seed: 1)
    for (set, computes) in EveryCompute.ofAllThreads {
      let found = try computes.map { compute -> [UInt32] in
        let model = try Model.sequential([BatchNorm(virtualBatchSize: 1200), ReLU()], inputShape: [40], seed: 1)
        let plan = try Plan(
          model.network, inputs: model.inputNodes, outputs: model.outputNodes, capacity: shape.outer, training: true,
          wantsInputGradient: true, compute: compute)
        let run = try Executor(plan, compute)
        try run.prepare(rows: shape.outer)
        run.inputFloats(0).update(from: x.values, count: x.count)
        run.forward()
        run.outputGradient(0)?.update(from: x.values, count: x.count)
        run.backward()
        let (y, dx) = (run.outputFloats(0), try #require(run.inputGradient(0)))
        return (0..<x.count).flatMap { [y[$0].bitPattern, dx[$0].bitPattern] } + model.variables.flatMap(\.gradientValues.bits)
      }
      #expect(found[0] == found[1] && found[0] == found[2], "on \(set)")
    }
  }

  /// A batch with a NaN is skipped alone; batches of one row, and empty ones.
  @Test func oddBatches() throws {
    let model = try Model.sequential([BatchNorm(virtualBatchSize: 4)], inputShape: [2])
    var x = try randomTensor([12, 2], seed: 1)
    try x.setElement(at: [5, 0], to: .nan)
    let y = try model.forward(x, training: true)
    #expect(y.values.enumerated().allSatisfy { $1.isNaN == ((8..<16).contains($0) && $0 % 2 == 0) })
    #expect(try model.variable(named: "0.num_batches_tracked").integer == 2)
    #expect(try model.variable(named: "0.num_batches_skipped").integer == 1)
    expectError(.invalidArgument, "2 or more values") { _ = try model.forward(randomTensor([1, 2], seed: 1), training: true) }
    let before = model.allBytes
    _ = try model.forward(Tensor(shape: [0, 2]), training: true)
    #expect(try model.backward(Tensor(shape: [0, 2])).shape == [0, 2])
    #expect(model.allBytes == before)
  }

  @Test func optionErrorsAndFiles() throws {
    func build(_ size: Int, _ shape: [Int]) throws {
      _ = try Model.sequential([BatchNorm(virtualBatchSize: size)], inputShape: shape)
    }
    for size in [0, -1, Int.min] { expectError(.invalidArgument, "virtual_batch_size", "\(size)") { try build(size, [3]) } }
    for shape in [[3], [1, 3], [1, 1, 3]] {
      expectError(.invalidArgument, "virtual_batch_size 1", "2 or more rows") { try build(1, shape) }
    }
    try build(1, [2, 3])
    try build(.max, [3])
    let norm = BatchNorm(virtualBatchSize: 32)
    #expect(try BatchNorm(configuration: .object(norm.configuration)) == norm)
    #expect(try Model.sequential([norm], inputShape: [3]).architectureText.contains("\"virtual_batch_size\":32"))
  }
}
