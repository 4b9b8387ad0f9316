import MartletTestSupport
import Synchronization
import Testing

@testable import Martlet

@Suite struct PredictTests {
  private func network(seed: UInt64 = 3) throws -> Model {
    let model = try Model.sequential(
      [
        InputNormalization(), Dense(37), BatchNorm(), Sigmoid(), Dropout(0.5), Dense(21), BatchNorm(), Tanh(), Dense(10),
        Softmax(),
      ],
      inputShape: [29], seed: seed)
    randomiseAffine(model, seed: seed)
    let data = try randomTensor([50, 29], seed: 1, -3...5)
    try model.fitInputNormalization([data.view()])
    withExtendedLifetime(data) {}
    return model
  }

  /// Half-precision weights: near the exact result by the stated bound, a row alone as in a batch, and switched off again.
  @Test func halfPrecisionWeights() throws {
    let model = try Model.sequential([Dense(300), Dense(7)], inputShape: [50], seed: 4)
    let x = try randomTensor([40, 50], seed: 2)
    let exact = try model.predict(x)
    try model.setInferenceWeights(.float16)
    #expect(try model.clone().inferenceWeights == .float16)
    let rounded = try model.predict(x)
    #expect(rounded.bits != exact.bits)
    // Each layer's weights err by 2⁻¹¹ at most; the sums of magnitudes bound what that makes of the result.
    let magnitudes = try Model.sequential([Dense(300), Dense(7)], inputShape: [50])
    for (target, source) in zip(magnitudes.variables, model.variables) {
      let values = try Tensor(copying: source.readingView).mapped(.absolute)
      try magnitudes.setVariables([(target.name, values.view())], strict: false)
      withExtendedLifetime(values) {}
    }
    let bound = try magnitudes.predict(x.mapped(.absolute))
    for (found, (want, most)) in zip(rounded.doubles, zip(exact.doubles, bound.doubles)) {
      #expect(abs(found - want) <= most * (2 * 0x1p-11 + 1e-5))
    }
    for row in [0, 39] {
      #expect(try model.predict(x.rows(row..<row + 1)).bits == rounded.rows(row..<row + 1).bits)
    }
    try model.setInferenceWeights(.float32)
    #expect(try model.predict(x).bits == exact.bits)
  }

  /// Weights far from 1 keep 11 bits: in either format the outputs are those of the same weights near 1.
  @Test(arguments: [0x1p-80, 1e-30, 1e-7, 1, 70000, 1e30]) func halfPrecisionOfAnySize(_ size: Double) throws {
    let model = try Model.sequential([Dense(7, biasInitializer: .constant(size))], inputShape: [50], seed: 4)
    let x = try randomTensor([40, 50], seed: 2)
    let weight = try model.variable(named: "0.weight").copyValues()
    let scaled = try Tensor(weight.values.enumerated().map { Float(Double($1) * size) * ($0 < 50 ? 1e3 : 1) }, shape: [7, 50])
    try model.setVariables([("0.weight", scaled.view())], strict: false)
    let exact = try model.predict(x)
    try model.setInferenceWeights(.float16)
    #expect(try model.planDescription(batchSize: 40, training: false).contains("0 dense, float16 weights"))
    let rounded = try model.predict(x)
    #expect(rounded.bits != exact.bits)
    for row in 0..<40 {
      for o in 0..<7 {
        var (most, largest, inputs) = (0.0, 0.0, 0.0)
        for k in 0..<50 {
          let (w, v) = (abs(Double(scaled.values[o * 50 + k])), abs(Double(x.values[row * 50 + k])))
          most += 0x1p-11 * w * v
          inputs += v
          largest = max(largest, w)
        }
        // The stated bound, and the rounding of both sums.
        most += 0x1p-33 * largest * inputs + 2 * 60 * 0x1p-24 * (largest * inputs + size)
        #expect(abs(rounded.doubles[row * 7 + o] - exact.doubles[row * 7 + o]) <= most)
      }
      #expect(try model.predict(x.rows(row..<row + 1)).bits == rounded.rows(row..<row + 1).bits)
    }
    withExtendedLifetime(scaled) {}
  }

  /// Small weights before a batch norm that makes them large again, which the norm's own numbers follow.
  @Test func halfPrecisionBeforeBatchNorm() throws {
    let model = try Model.sequential(
      [Dense(6, bias: false, weightInitializer: .normal(deviation: 1e-7)), BatchNorm(epsilon: 1e-20)], inputShape: [20], seed: 4
    )
    let x = try randomTensor([64, 20], seed: 2)
    for seed in 1..<3 as Range<UInt64> {
      let data = try randomTensor([64, 20], seed: seed)
      try model.updatePopulationStatistics([data.view()])
      try model.setInferenceWeights(.float32)
      let exact = try model.predict(x)
      try model.setInferenceWeights(.float16)
      let rounded = try model.predict(x)
      for (a, b) in zip(exact.values, rounded.values) { #expect(abs(a - b) <= 1e-2) }
      #expect(exact.values.contains { abs($0) > 1 })
      withExtendedLifetime(data) {}
    }
    withExtendedLifetime(x) {}
  }

  /// What half precision cannot hold stays as it is, and the plan says so.
  @Test(arguments: [Float.infinity, .nan, 0x1p-120]) func weightsBeyondHalfPrecision(_ value: Float) throws {
    let model = try Model.sequential([Dense(2, bias: false), Dense(1)], inputShape: [2], seed: 1)
    let weight = try Tensor([value, value, 1, 2], shape: [2, 2])
    try model.setVariables([("0.weight", weight.view())], strict: false)
    let x = try Tensor([1, 2], shape: [1, 2])
    let exact = try model.predict(x)
    try model.setInferenceWeights(.float16)
    let plan = try model.planDescription(batchSize: 1, training: false)
    #expect(plan.contains("0 dense, float32 weights") && plan.contains("1 dense, float16 weights"))
    let first = try model.submodel(outputs: ["0"])
    #expect(try first.predict(x).values.last == 5)
    #expect(exact.values.count == 1)
    withExtendedLifetime(weight) {}
  }

  /// A row's result does not depend on the rows beside it, on how many there are, or on the batch size: to the bit.
  @Test func rowsDoNotSeeEachOther() throws {
    let model = try network()
    let x = try randomTensor([150, 29], seed: 2, -3...5)
    let all = try model.predict(x, batchSize: 150)
    for batchSize in [0, 1, 2, 3, 5, 7, 16, 64, 149, 1000] {
      #expect(try model.predict(x, batchSize: batchSize).bits == all.bits, "batches of \(batchSize)")
    }
    for row in [0, 1, 77, 149] {
      #expect(try model.predict(x.rows(row..<row + 1)).bits == all.rows(row..<row + 1).bits, "row \(row)")
    }
    #expect(try model.predict(x.rows(13..<60)).bits == all.rows(13..<60).bits)
    // Neighbours that are not numbers.
    var spoilt = x
    try spoilt.withMutableFloats { values in
      for i in 0..<29 {
        values[i] = .nan
        values[75 * 29 + i] = .infinity
      }
    }
    let result = try model.predict(spoilt)
    for row in 1..<150 where row != 75 { #expect(try result.rows(row..<row + 1).bits == all.rows(row..<row + 1).bits) }
  }

  /// The short way for contiguous rows: the same bits, and its own checks.
  @Test func rowsWithoutDescription() throws {
    let model = try network()
    let x = try randomTensor([9, 29], seed: 2)
    let want = try model.predict(x)
    let y = try Tensor(shape: [9, 10])
    for batchSize in [0, 1, 4] {
      try model.predict(rows: 9, x.storage.floats, batchSize: batchSize, into: y.storage.floats)
      #expect(y.bits == want.bits)
    }
    try model.predict(rows: 0, x.storage.floats, into: x.storage.floats)
    expectError(.invalidArgument, "rows", "-1 came") {
      try model.predict(rows: -1, x.storage.floats, into: y.storage.floats)
    }
    expectError(.invalidArgument, "rows", "came") {
      try model.predict(rows: Int.max, x.storage.floats, into: y.storage.floats)
    }
    expectError(.invalidArgument, "batch_size") {
      try model.predict(rows: 1, x.storage.floats, batchSize: -1, into: y.storage.floats)
    }
    expectError(.invalidArgument, "output shares memory with input") {
      try model.predict(rows: 2, x.storage.floats, into: x.storage.floats + 2 * 29 - 1)
    }
    expectError(.invalidArgument, "1 inputs and 2 outputs") {
      try model.submodel(outputs: ["8", "9"]).predict(rows: 1, x.storage.floats, into: y.storage.floats)
    }
    #expect(y.bits == want.bits)
  }

  @Test func handAndPredictAgree() throws {
    let model = try network()
    let x = try randomTensor([40, 29], seed: 4)
    #expect(try model.predict(x).bits == model.forward(x, training: false).bits)
  }

  /// Eight threads at once on one model, each with batches of its own size.
  @Test func manyThreads() throws {
    let model = try network()
    let inputs = try (0..<8).map { try randomTensor([60 + 7 * $0, 29], seed: UInt64($0)) }
    let want = try inputs.map { try model.predict($0) }
    let failures = Mutex<[String]>([])
    Threads.run(8) { number in
      for round in 0..<20 {
        let got = try? model.predict(inputs[number], batchSize: 16 + 3 * ((number + round) % 5))
        if got?.bits != want[number].bits { failures.withLock { $0.append("thread \(number), round \(round)") } }
      }
    }
    #expect(failures.withLock { $0 } == [])
  }

  /// Images: plain, strided, grouped and depthwise convolutions, every pooling, a branch, norms in tails and on their own.
  private func imageNetwork() throws -> Model {
    var graph = Graph()
    let x = try graph.input([11, 9, 3])
    func chain(_ layers: [any Layer], _ start: Graph.Node) throws -> Graph.Node {
      try layers.reduce(start) { try graph.add($1, to: $0) }
    }
    let stem = try chain([Conv2D(17, kernelSize: 3, padding: .same, bias: false), BatchNorm(), ReLU()], x)
    let branch = try chain(
      [
        Conv2D(17, kernelSize: 3, padding: .same, groups: 17), BatchNorm(), Sigmoid(), Dropout(0.2), Conv2D(17, kernelSize: 1),
        BatchNorm(),
      ], stem)
    let sum = try chain([BatchNorm(), ReLU()], graph.add(Add(), to: [branch, stem]))
    let small = try graph.add(
      Concatenate(), to: [chain([MaxPool2D(2)], sum), chain([Conv2D(6, kernelSize: 2, strides: 2), Tanh()], sum)])
    let large = try chain([ZeroPad2D(1), Upsample2D(2), AvgPool2D(3)], small)
    let sequence = try chain([Reshape([-1, 23]), Conv1D(5, kernelSize: 3, groups: 1), MaxPool1D(2), GlobalAvgPool1D()], large)
    let joined = try graph.add(Concatenate(), to: [sequence, chain([GlobalAvgPool2D()], small)])
    let y = try chain([Dense(10), Softmax()], joined)
    let model = try Model(graph, inputs: [x], outputs: [y], seed: 5)
    randomiseAffine(model, seed: 6)
    return model
  }

  /// An image alone has the bits that it has in any batch, folded or not; neighbours that are not numbers do not matter.
  @Test func imagesDoNotSeeEachOther() throws {
    let model = try imageNetwork()
    let x = try randomTensor([37, 11, 9, 3], seed: 2)
    let (folded, certificate) = try model.folded(checkedOn: x)
    #expect(certificate.foldedCount == 3 && certificate.isWithinBounds, "\(certificate)")
    for network in [model, folded] {
      let all = try network.predict(x, batchSize: 37)
      for batchSize in [0, 1, 2, 3, 5, 16, 36] {
        #expect(try network.predict(x, batchSize: batchSize).bits == all.bits, "batches of \(batchSize)")
      }
      for row in [0, 1, 19, 36] { #expect(try network.predict(x.rows(row..<row + 1)).bits == all.rows(row..<row + 1).bits) }
      var spoilt = x
      try spoilt.withMutableFloats { for i in 0..<297 { $0[18 * 297 + i] = .nan } }
      let result = try network.predict(spoilt)
      for row in 0..<37 where row != 18 { #expect(try result.rows(row..<row + 1).bits == all.rows(row..<row + 1).bits) }
    }
  }

  /// Six threads at once on one network of images that has not run yet: who packs the weights, all read them.
  @Test func manyThreadsOnImages() throws {
    let inputs = try (0..<6).map { try randomTensor([5 + 3 * $0, 11, 9, 3], seed: UInt64($0)) }
    let other = try imageNetwork()
    let want = try inputs.map { try other.predict($0) }
    let failures = Mutex<[String]>([])
    for _ in 0..<5 {
      let model = try imageNetwork()
      Threads.run(6) { number in
        for round in 0..<4 {
          let got = try? model.predict(inputs[number], batchSize: 2 + 3 * ((number + round) % 5))
          if got?.bits != want[number].bits { failures.withLock { $0.append("thread \(number), round \(round)") } }
        }
      }
    }
    #expect(failures.withLock { $0 } == [])
  }

  /// However many sizes are asked for, the model keeps a bounded number of plans.
  @Test func idleMemoryIsBounded() throws {
    let model = try network()
    for rows in 1...80 { _ = try model.predict(randomTensor([rows * 3, 29], seed: 1)) }
    #expect(model.idleExecutors.count <= 16)
  }

  @Test func changesAreSeen() throws {
    let model = try network()
    let x = try randomTensor([5, 29], seed: 6)
    let before = try model.predict(x)
    try model.variable(named: "2.running_mean").set([Float](repeating: 2, count: 37))
    #expect(try model.predict(x) != before)
  }

  @Test func errors() throws {
    let model = try network()
    let x = try Tensor(shape: [4, 29])
    let y = try Tensor(shape: [4, 10])
    let (input, output) = (try x.view(), try y.view())
    expectError(.invalidArgument, "batch_size", "-1 came") { try model.predict([input], batchSize: -1, into: [output]) }
    expectError(.shapeMismatch, "outputs[0]", "[rows, 10]", "[4, 29]") { try model.predict([input], into: [input]) }
    expectError(.shapeMismatch, "4 rows are needed", "3 came") {
      try model.predict([input], into: [ArrayView(y.storage.base, .float32, shape: [3, 10])])
    }
    expectError(.invalidArgument, "outputs[0]", "contiguous float32", "float64") {
      try model.predict([input], into: [ArrayView(x.storage.base, .float64, shape: [4, 10])])
    }
    expectError(.invalidArgument, "contiguous float32", "strides [1, 4]") {
      try model.predict([input], into: [ArrayView(y.storage.base, .float32, shape: [4, 10], strides: [1, 4])])
    }
    expectError(.invalidArgument, "outputs[0] shares memory with inputs[0]") {
      try model.predict([input], into: [ArrayView(x.storage.base, .float32, shape: [4, 10])])
    }
    let two = try model.submodel(outputs: ["8", "9"])
    expectError(.invalidArgument, "2 outputs", "predict(_:batchSize:into:)") { _ = try two.predict(x) }
    expectError(.invalidArgument, "outputs[1] shares memory with outputs[0]") {
      try two.predict([input], into: [output, output])
    }
    #expect(y.values.allSatisfy { $0 == 0 })
    withExtendedLifetime((x, y)) {}
  }
}
