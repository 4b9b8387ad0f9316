import MartletTestSupport
import ReferenceKernels
import Testing

@testable import Martlet

/// How the moving statistics follow the batches, what normalises, and what skips.
@Suite struct BatchNormStatisticsTests {
  private let channels = 4
  private func model(_ norm: BatchNorm) throws -> Model { try Model.sequential([norm], inputShape: [channels]) }
  private func batch(_ number: Int, rows: Int = 6) throws -> Tensor {
    try randomTensor([rows, channels], seed: UInt64(900 + number), Float(number - 2)...Float(number + 1))
  }

  /// Moving statistics after batches of different sizes, by the definition; rounded to Float32 after each batch, as they are stored.
  @Test(arguments: [0.9, 0.5, 0, 1, nil] as [Double?], [false, true]) func follow(_ momentum: Double?, _ biased: Bool) throws {
    let model = try model(BatchNorm(momentum: momentum, biasedMovingVariance: biased))
    var (mean, variance) = ([Double](repeating: 0, count: 4), [Double](repeating: 1, count: 4))
    for (number, rows) in [6, 2, 11].enumerated() {
      let x = try batch(number, rows: rows)
      _ = try model.forward(x, training: true)
      let moments = Reference.channelMoments(x.doubles, channels: 4)
      // momentum weighs the previous statistic; without it, the k-th batch enters with 1/k.
      let weight = momentum ?? Double(number) / Double(number + 1)
      let factor = biased ? 1 : Double(rows) / Double(rows - 1)
      for c in 0..<4 {
        mean[c] = weight * mean[c] + (1 - weight) * moments.mean[c]
        variance[c] = weight * variance[c] + (1 - weight) * moments.variance[c] * factor
      }
      let tolerance = Tolerance.steps(4) * 8
      expectClose(try model.values("0.running_mean"), mean, within: tolerance, "mean after \(number)")
      expectClose(try model.values("0.running_var"), variance, within: tolerance, "variance after \(number)")
      #expect(try model.variable(named: "0.num_batches_tracked").integer == Int64(number + 1))
      #expect(try model.variable(named: "0.num_batches_skipped").integer == 0)
    }
  }

  @Test func inferenceUsesAndKeepsTheMovingStatistics() throws {
    let model = try model(BatchNorm())
    randomiseAffine(model, seed: 3)
    let before = model.allBytes
    let x = try batch(1)
    let want = Reference.normalise(
      x.doubles, mean: try model.values("0.running_mean").map(Double.init),
      variance: try model.values("0.running_var").map(Double.init),
      epsilon: 1e-5, scale: try model.values("0.weight").map(Double.init), shift: try model.values("0.bias").map(Double.init))
    let byHand = try model.forward(x, training: false)
    expectClose(byHand.values, want, within: Tolerance.network(depth: 1, terms: 0, magnitude: largest(want)))
    #expect(try model.predict(x) == byHand)
    #expect(model.allBytes == before)
    // One row is fine at inference.
    #expect(try model.predict(x.rows(2..<3)).values == Array(byHand.values[8..<12]))
  }

  @Test func normaliseWithMovingWhileFollowing() throws {
    let model = try model(BatchNorm(normalizer: .moving, updatesMoving: true))
    randomiseAffine(model, seed: 4)
    let x = try batch(0)
    let inference = try model.forward(x, training: false)
    let training = try model.forward(x, training: true)
    #expect(training == inference)
    // Followed all the same; the next batch sees it.
    #expect(try model.variable(named: "0.num_batches_tracked").integer == 1)
    let moved = try model.forward(x, training: true)
    #expect(moved != inference)
    let normal = try self.model(BatchNorm())
    randomiseAffine(normal, seed: 4)
    _ = try normal.forward(x, training: true)
    _ = try normal.forward(x, training: true)
    #expect(try model.values("0.running_mean") == normal.values("0.running_mean"))
    #expect(try model.values("0.running_var") == normal.values("0.running_var"))
  }

  @Test func batchNormaliserWithoutFollowing() throws {
    let model = try model(BatchNorm(updatesMoving: false))
    let before = model.allBytes
    _ = try model.forward(try batch(0), training: true)
    #expect(model.allBytes == before)
  }

  @Test func scaleAndShiftCanGiveBackTheInput() throws {
    let model = try model(BatchNorm())
    let x = try batch(2, rows: 32)
    let moments = Reference.channelMoments(x.doubles, channels: 4)
    try model.variable(named: "0.weight").set(moments.variance.map { Float(($0 + 1e-5).squareRoot()) })
    try model.variable(named: "0.bias").set(moments.mean.map { Float($0) })
    expectClose(
      try model.forward(x, training: true).values, x.doubles,
      within: Tolerance.network(depth: 1, terms: 0, magnitude: largest(x.values)))
  }

  @Test func tensorsFollowTheFlags() throws {
    func names(_ norm: BatchNorm) throws -> [String] { try model(norm).variables.map(\.name) }
    let state = ["0.running_mean", "0.running_var", "0.num_batches_tracked", "0.num_batches_skipped"]
    #expect(try names(BatchNorm()) == ["0.weight", "0.bias"] + state)
    #expect(try names(BatchNorm(scale: false)) == ["0.bias"] + state)
    #expect(try names(BatchNorm(shift: false)) == ["0.weight"] + state)
    #expect(try names(BatchNorm(scale: false, shift: false)) == state)
    let fresh = try model(BatchNorm())
    #expect(try fresh.values("0.weight") == [1, 1, 1, 1] && fresh.values("0.bias") == [0, 0, 0, 0])
    #expect(try fresh.values("0.running_mean") == [0, 0, 0, 0] && fresh.values("0.running_var") == [1, 1, 1, 1])
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity, 3e38]) func nonfiniteBatchesAreSkipped(_ poison: Float) throws {
    let model = try model(BatchNorm())
    _ = try model.forward(try batch(0), training: true)
    let (mean, variance) = (try model.values("0.running_mean"), try model.values("0.running_var"))
    var x = try batch(1)
    try x.setElement(at: [2, 1], to: poison)
    let y = try model.forward(x, training: true)
    // It shows in its own channel, and in no other. (3e38 squared has no Float32: skipped, though the output is finite.)
    let clean = try self.model(BatchNorm()).forward(try batch(1), training: true)
    for i in 0..<y.count where i % 4 != 1 { #expect(y.values[i] == clean.values[i]) }
    if !poison.isFinite { #expect((0..<6).allSatisfy { y.values[$0 * 4 + 1].isNaN }) }
    #expect(try model.values("0.running_mean") == mean && model.values("0.running_var") == variance)
    #expect(try model.variable(named: "0.num_batches_tracked").integer == 1)
    #expect(try model.variable(named: "0.num_batches_skipped").integer == 1)
    // With the plain rule it spoils the moving statistics of its channel.
    let plain = try self.model(BatchNorm(countsNonfiniteBatches: true))
    _ = try plain.forward(x, training: true)
    #expect(try plain.values("0.running_var").map(\.isFinite) == [true, false, true, true])
    #expect(try plain.variable(named: "0.num_batches_tracked").integer == 1)
    #expect(try plain.variable(named: "0.num_batches_skipped").integer == 0)
  }

  @Test func emptyBatches() throws {
    for norm in [BatchNorm(), BatchNorm(momentum: nil), BatchNorm(normalizer: .moving)] {
      let model = try model(norm)
      let before = model.allBytes
      let empty = try Tensor(shape: [0, 4])
      for training in [true, false] {
        let y = try model.forward(empty, training: training)
        #expect(y.shape == [0, 4])
        if training { #expect(try model.backward(Tensor(shape: [0, 4])).shape == [0, 4]) }
      }
      #expect(try model.predict(empty).shape == [0, 4])
      #expect(model.allBytes == before)
    }
  }

  /// A batch without rows, or of rows without values: the state stays, the gradients are those of a sum over nothing.
  @Test func gradientsOfEmptyBatches() throws {
    for (shape, empty) in [([4], [0, 4]), ([2, 4], [0, 2, 4]), ([0, 4], [3, 0, 4])] {
      let model = try Model.sequential([BatchNorm()], inputShape: shape)
      for name in ["0.weight", "0.bias"] { try model.variable(named: name).gradient?.update(repeating: 9, count: 4) }
      let before = model.allBytes
      #expect(try model.forward(Tensor(shape: empty), training: true).shape == empty)
      #expect(try model.backward(Tensor(shape: empty), accumulate: true).shape == empty)
      #expect(try model.variable(named: "0.weight").gradientValues == [9, 9, 9, 9])
      _ = try model.forward(Tensor(shape: empty), training: true)
      _ = try model.backward(Tensor(shape: empty))
      #expect(try model.variable(named: "0.weight").gradientValues == [0, 0, 0, 0])
      #expect(try model.variable(named: "0.bias").gradientValues == [0, 0, 0, 0])
      #expect(model.allBytes == before)
    }
  }

  @Test func oneValuePerChannel() throws {
    let model = try Model.sequential([Dense(64), BatchNorm(), Sigmoid()], inputShape: [3])
    let before = model.allBytes
    let one = try randomTensor([1, 3], seed: 1)
    expectError(
      .invalidArgument, "BatchNorm needs 2 or more values per channel while training",
      "x has shape [1, 64] (1 value per channel)",
      "variance is undefined", "Use a larger batch, or turn training off.", "\"1\""
    ) { _ = try model.forward(one, training: true) }
    #expect(model.allBytes == before)
    #expect(model.handBatches == 0)
    #expect(try model.predict(one).shape == [1, 64])
    // One row of two values a channel is enough; frozen, one value is.
    let image = try Model.sequential([BatchNorm()], inputShape: [2, 3])
    #expect(try image.forward(randomTensor([1, 2, 3], seed: 2), training: true).shape == [1, 2, 3])
    let frozen = try Model.sequential([BatchNorm(normalizer: .moving, updatesMoving: false)], inputShape: [3])
    #expect(try frozen.forward(one, training: true).shape == [1, 3])
    let following = try Model.sequential([BatchNorm(normalizer: .moving)], inputShape: [3])
    expectError(.invalidArgument, "2 or more values") { _ = try following.forward(one, training: true) }
  }

  @Test func optionErrors() {
    func build(_ norm: BatchNorm, _ shape: [Int] = [3]) throws { _ = try Model.sequential([norm], inputShape: shape) }
    for epsilon in [0, -1e-5, .nan, .infinity, 1e-60] {
      expectError(.invalidArgument, "Layer \"0\"", "epsilon", "above 0") { try build(BatchNorm(epsilon: epsilon)) }
    }
    for momentum in [-0.1, 1.1, .nan] {
      expectError(.invalidArgument, "momentum", "0...1", "previous", "PyTorch") { try build(BatchNorm(momentum: momentum)) }
    }
    expectError(.shapeMismatch, "at least one axis", "[1]") { try build(BatchNorm(), []) }
    expectError(.shapeMismatch, "1 or more channels", "[2, 0]") { try build(BatchNorm(), [2, 0]) }
  }
}
