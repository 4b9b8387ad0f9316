import MartletTestSupport
import ReferenceKernels
import Testing

@testable import Martlet

@Suite struct PopulationStatisticsTests {
  private let rows = 103
  private func data(_ seed: UInt64 = 1) throws -> Tensor {
    // Rows drift, so that batches have different means.
    let noise = try randomTensor([rows, 4], seed: seed)
    return try Tensor(noise.values.enumerated().map { $1 + Float($0 / 4) / 20 }, shape: [rows, 4])
  }

  /// However the data is cut, the answer is that of the whole; weights and between-batch variance are what makes it so.
  @Test(arguments: [1, 2, 7, 60, 102, 103, 500]) func pooling(_ batch: Int) throws {
    let x = try data()
    var statistics = try PopulationStatistics(channels: 4)
    for first in stride(from: 0, to: rows, by: batch) {
      let part = try x.rows(first..<min(first + batch, rows))
      try statistics.add(part.view())
      withExtendedLifetime(part) {}
    }
    let (mean, variance) = Reference.channelMoments(x.doubles, channels: 4)
    #expect(statistics.count == rows)
    for c in 0..<4 {
      #expect(abs(statistics.mean[c] - mean[c]) <= Tolerance.float64Sum(terms: rows, magnitude: 6))
      let tolerance = Tolerance.float64Sum(terms: rows, magnitude: 2 * 6 * 6)
      #expect(try abs(statistics.variance()[c] - variance[c]) <= tolerance)
      let factor = Double(rows) / Double(rows - 1)
      #expect(try abs(statistics.variance(unbiased: true)[c] - variance[c] * factor) <= tolerance * factor)
    }
  }

  @Test func channelsFirst() throws {
    let x = try randomTensor([3, 2, 5], seed: 4)
    var (last, first) = (try PopulationStatistics(channels: 2), try PopulationStatistics(channels: 2))
    try first.add(x.view(), channelAxis: .first)
    let transposed = try ArrayView(x.storage.base, .float32, shape: [3, 5, 2], strides: [10, 1, 5])
    try last.add(transposed)
    for c in 0..<2 {
      #expect(abs(first.mean[c] - last.mean[c]) <= Tolerance.mean(deviation: 1, largest: 1, values: 15))
      #expect(try abs(first.variance()[c] - last.variance()[c]) <= Tolerance.variance(1, largest: 1, values: 15))
    }
    withExtendedLifetime(x) {}
  }

  @Test func errors() throws {
    expectError(.invalidArgument, "channels must be 1 or more; 0 came") { _ = try PopulationStatistics(channels: 0) }
    var statistics = try PopulationStatistics(channels: 3)
    expectError(.invalidState, "1 or more values", "0 were added") { _ = try statistics.variance() }
    let (wrong, one) = (try Tensor(shape: [2, 4]), try Tensor([1, 2, 3], shape: [1, 3]))
    expectError(.shapeMismatch, "3 channels are needed", "[2, 4] has 4") { try statistics.add(wrong.view()) }
    try statistics.add(one.view())
    #expect(try statistics.variance() == [0, 0, 0])
    expectError(.invalidState, "2 or more values", "1 were added") { _ = try statistics.variance(unbiased: true) }
    expectError(.invalidArgument, "channel_axis", "0 came") { _ = try ChannelAxis(number: 0) }
    #expect(try ChannelAxis(number: -1) == .last && ChannelAxis(number: 1) == .first)
    withExtendedLifetime((wrong, one)) {}
  }

  private func network(biased: Bool = false) throws -> Model {
    let model = try Model.sequential(
      [
        Dense(6), BatchNorm(biasedMovingVariance: biased), Sigmoid(), Dense(5), BatchNorm(biasedMovingVariance: biased), Tanh(),
      ],
      inputShape: [4], seed: 5)
    randomiseAffine(model, seed: 6)
    return model
  }

  /// Layer by layer with the exact statistics before it; independent of the batch size.
  @Test(arguments: [false, true]) func ofAModel(_ biased: Bool) throws {
    let x = try data()
    let model = try network(biased: biased)
    let parameters = ReferenceModel(model: model, isTraining: false).parameters
    try model.updatePopulationStatistics([x.view()], batchSize: 10)
    #expect(try model.variable(named: "1.num_batches_tracked").integer == 11)
    // Inference with them on the data set is normalised: mean shift, deviation |scale| of each norm's output.
    for name in ["1", "4"] {
      let part = try model.submodel(outputs: [name])
      let y = try part.predict(x)
      let (mean, variance) = Reference.channelMoments(y.doubles, channels: y.shape[1])
      let factor = biased ? 1 : Double(rows - 1) / Double(rows)
      for c in 0..<y.shape[1] {
        let (scale, shift) = (parameters["\(name).weight"]?[c] ?? 0, parameters["\(name).bias"]?[c] ?? 0)
        // Two layers of Float32, deviations down to about 0.05; epsilon takes 1e-5 of variances above 2e-3.
        #expect(abs(mean[c] - shift) <= 1e-5)
        #expect(abs(variance[c].squareRoot() - scale * factor.squareRoot()) <= 4e-3 * scale)
      }
    }
    let other = try network(biased: biased)
    try other.updatePopulationStatistics([x.view()], batchSize: 103)
    for name in ["1.running_mean", "1.running_var", "4.running_mean", "4.running_var"] {
      let (a, b) = (try model.values(name), try other.values(name))
      expectClose(a, b.map(Double.init), within: Tolerance.network(depth: 4, terms: 6, magnitude: largest(b)), name)
    }
    // Scale, shift and weights are untouched.
    #expect(ReferenceModel(model: model, isTraining: false).parameters == parameters)
    withExtendedLifetime(x) {}
  }

  /// A failure in a later layer puts back what an earlier one had been given.
  @Test func aFailureChangesNothing() throws {
    let model = try network()
    let before = model.allBytes
    let (one, none) = (try Tensor(shape: [1, 4]), try Tensor(shape: [0, 4]))
    expectError(.invalidState, "Layer \"1\"", "2 or more values") { try model.updatePopulationStatistics([one.view()]) }
    expectError(.invalidArgument, "0 rows came") { try model.updatePopulationStatistics([none.view()]) }
    expectError(.invalidArgument, "batch_size") { try model.updatePopulationStatistics([one.view()], batchSize: -2) }
    // The first norm takes biased statistics of one row, the second does not.
    let mixed = try Model.sequential([BatchNorm(biasedMovingVariance: true), BatchNorm()], inputShape: [4])
    let mixedBefore = mixed.allBytes
    expectError(.invalidState, "Layer \"1\"") { try mixed.updatePopulationStatistics([one.view()]) }
    #expect(model.allBytes == before && mixed.allBytes == mixedBefore)
    withExtendedLifetime((one, none)) {}
  }

  @Test func inputNormalization() throws {
    let far = try Tensor(data().values.enumerated().map { $0 % 4 == 3 ? 100.1 : $1 + 101_325 }, shape: [rows, 4])
    let model = try Model.sequential([InputNormalization()], inputShape: [4])
    expectError(.invalidState, "fit_input_normalization") { _ = try model.predict(far) }
    try model.fitInputNormalization([far.view()], batchSize: 9)
    let y = try model.predict(far)
    let (mean, variance) = Reference.channelMoments(far.doubles, channels: 4)
    let want = Reference.normalise(
      far.doubles, mean: mean, variance: variance.map { $0 > 0 ? $0 : 1 }, epsilon: 0, scale: nil, shift: nil)
    expectClose(y.values, want, within: Tolerance.normalised)
    // A feature that never varies is 0.
    #expect(stride(from: 3, to: y.count, by: 4).allSatisfy { y.values[$0] == 0 })
    #expect(try model.variable(named: "0.count").integer == Int64(rows))
    // Training does not change it.
    let before = model.allBytes
    _ = try model.forward(far, training: true)
    #expect(model.allBytes == before)
    withExtendedLifetime(far) {}
  }
}
