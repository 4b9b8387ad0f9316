import MartletTestSupport
import ReferenceKernels
import Testing

@testable import Martlet
@testable import MartletRuntime

/// A batch's normalisation, corrected towards that of inference.
@Suite struct BatchRenormalizationTests {
  private typealias Ramp = BatchRenormalization.Ramp
  /// Limits that are open from the first batch on.
  private func open(_ ratio: Double, _ distance: Double) -> BatchRenormalization {
    BatchRenormalization(
      maximumRatio: ratio, maximumDistance: distance, ratioRamp: Ramp(0, 0), distanceRamp: Ramp(0, 0))
  }

  @Test func limits() {
    let paper = BatchRenormalization()
    for (batches, ratio, distance) in [
      (0, 1, 0), (5000, 1, 0), (15000, 1 + 2.0 * 10 / 35, 2.5), (22500, 2, 4.375), (25000, 1 + 2.0 * 20 / 35, 5), (40000, 3, 5),
      (Int64.max, 3, 5),
    ] as [(Int64, Double, Double)] {
      let found = paper.limits(after: batches)
      #expect(abs(found.ratio - ratio) < 1e-12 && abs(found.distance - distance) < 1e-12, "after \(batches)")
    }
    #expect(open(2, 1).limits(after: 0) == (2, 1))
    let step = BatchRenormalization(ratioRamp: Ramp(3, 3), distanceRamp: Ramp(2, 4))
    #expect(step.limits(after: 2) == (1, 0) && step.limits(after: 3) == (3, 2.5) && step.limits(after: 4) == (3, 5))
  }

  /// Closed limits are plain batch norm, gradients and all.
  @Test func closed() throws {
    func run(_ norm: BatchNorm) throws -> ([UInt32], [UInt32], [[UInt8]], [[UInt32]]) {
      let model = try Model.sequential([Dense(19), norm, ReLU()], inputShape: [4], seed: 1)
      randomiseAffine(model, seed: 2)
      let y = try model.forward(randomTensor([30, 4], seed: 3), training: true)
      let dx = try model.backward(randomTensor([30, 19], seed: 4))
      return (y.bits, dx.bits, model.allBytes, model.variables.map(\.gradientValues.bits))
    }
    #expect(try run(BatchNorm()) == run(BatchNorm(renormalization: BatchRenormalization())))
    #expect(try run(BatchNorm()) == run(BatchNorm(renormalization: open(1, 0))))
  }

  /// Wide limits are the normalisation by the moving statistics, as they stood before the batch.
  @Test func wideOpen() throws {
    let model = try Model.sequential([BatchNorm(renormalization: open(1e6, 1e6))], inputShape: [2, 5])
    randomiseAffine(model, seed: 2)
    for step in 0..<3 {
      let x = try randomTensor([6, 2, 5], seed: UInt64(step), -3...4)
      let want = try model.predict(x)
      let y = try model.forward(x, training: true)
      expectClose(y.values, want.doubles, within: Tolerance.network(depth: 2, terms: 0, magnitude: 4 * largest(want.values)))
    }
    #expect(try model.variable(named: "0.num_batches_tracked").integer == 3)
  }

  /// Channels of all kinds: within the limits, beyond either.
  @Test(arguments: [nil, ReLU(), Sigmoid()] as [(any Layer)?]) func gradients(_ activation: (any Layer)?) throws {
    for (limits, shape, rows) in [
      (open(1.2, 0.3), [5], 8), (open(3, 5), [5], 8), (open(1, 2), [3], 4), (open(2, 0), [2, 2, 18], 3),
    ] {
      for norm in [
        BatchNorm(renormalization: limits), BatchNorm(scale: false, renormalization: limits),
        BatchNorm(virtualBatchSize: 3, renormalization: limits),
      ] {
        let model = try Model.sequential([norm] + (activation.map { [$0] } ?? []), inputShape: shape, seed: 1)
        try checkGradients(model, [randomTensor([rows] + shape, seed: 5, -1...2)], terms: rows * 4, seed: 6)
      }
    }
  }

  /// The moments still come from the layer in front, and the plan says what is done with them.
  @Test func plan() throws {
    let model = try Model.sequential(
      [Conv2D(16, kernelSize: 3, padding: .same), BatchNorm(renormalization: open(2, 1)), ReLU()], inputShape: [8, 8, 16],
      seed: 1)
    let text = try model.planDescription(batchSize: 32, training: true)
    #expect(text.contains("0 conv2d, moments ") && text.contains("1 batch_norm + 2 relu, renormalised "), "\(text)")
    #expect(try !model.planDescription(batchSize: 32, training: false).contains("renormalised"))
    let x = try randomTensor([4, 8, 8, 16], seed: 3)
    #expect(try model.folded(checkedOn: x).certificate.foldedCount == 1)
    // Gathered moments and those of the separate pass are the same statistics.
    randomiseAffine(model, seed: 7)
    let seen = Model(model.network, inputs: model.inputNodes, outputs: [1, 3], seed: 0)
    let state = try ["1.running_mean", "1.running_var"].map(model.values)
    let y = try model.forward(x, training: true)
    for (name, values) in zip(["1.running_mean", "1.running_var"], state) { try model.variable(named: name).set(values) }
    try seen.forward([x.view()], training: true)
    expectClose(
      y.values, try seen.output(1).copied.map(Double.init),
      within: Tolerance.network(depth: 2, terms: 0, magnitude: 8 * largest(y.values)))
    withExtendedLifetime(x) {}
  }

  /// A moving statistic that is no number shows in its own channel.
  @Test func spoiledStatistics() throws {
    let model = try Model.sequential([BatchNorm(renormalization: open(2, 1))], inputShape: [3])
    try model.variable(named: "0.running_mean").set([0, .nan, 0])
    try model.variable(named: "0.running_var").set([1, 1, 0])
    let y = try model.forward(randomTensor([6, 3], seed: 1), training: true)
    for (i, value) in y.values.enumerated() { #expect(value.isNaN == (i % 3 == 1)) }
  }

  @Test func optionErrorsAndFiles() throws {
    func build(_ renormalization: BatchRenormalization) throws {
      _ = try Model.sequential([BatchNorm(renormalization: renormalization)], inputShape: [3])
    }
    for ratio in [0.9, 0, -1, .nan, .infinity] { expectError(.invalidArgument, "r_max") { try build(open(ratio, 1)) } }
    for distance in [-0.1, .nan, .infinity] { expectError(.invalidArgument, "d_max") { try build(open(2, distance)) } }
    for ramp in [Ramp(-1, 3), Ramp(4, 3), Ramp(.min, .max)] {
      expectError(.invalidArgument, "r_ramp", "0 <= begin <= end") { try build(BatchRenormalization(ratioRamp: ramp)) }
      expectError(.invalidArgument, "d_ramp") { try build(BatchRenormalization(distanceRamp: ramp)) }
    }
    try build(BatchRenormalization(ratioRamp: Ramp(0, .max), distanceRamp: Ramp(.max, .max)))
    let norm = BatchNorm(renormalization: BatchRenormalization(maximumRatio: 2, distanceRamp: Ramp(1, 2)))
    #expect(try BatchNorm(configuration: .object(norm.configuration)) == norm)
    for json in [JSON.object([]), 3, .null, ["r_max": 2, "d_max": 1.5, "r_ramp": [1], "d_ramp": [1, 2]]] {
      expectError(.corruptFile, "batch_norm") {
        _ = try BatchNorm(configuration: .object(BatchNorm().configuration + [("renormalization", json)]))
      }
    }
  }
}
