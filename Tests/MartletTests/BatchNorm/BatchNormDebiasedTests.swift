import MartletTestSupport
import ReferenceKernels
import Testing

@testable import Martlet

/// The moving average of the batches alone.
@Suite struct BatchNormDebiasedTests {
  /// Against the definition: batch j of n weighs mⁿ⁻ʲ, and the weights add up to 1.
  @Test(arguments: [0.9, 0.5, 0, 1, 1 - 1e-12, 0.999] as [Double], [false, true])
  func weighsTheBatchesAlone(_ momentum: Double, _ biased: Bool) throws {
    let model = try Model.sequential(
      [BatchNorm(momentum: momentum, biasedMovingVariance: biased, debiased: true)], inputShape: [3])
    // What stands there at first must not show, whatever it is.
    try model.variable(named: "0.running_mean").set([.nan, 1e30, -7])
    try model.variable(named: "0.running_var").set([.nan, .infinity, 1e6])
    var moments: [(mean: [Double], variance: [Double])] = []
    for (number, rows) in [6, 2, 11, 5, 9].enumerated() {
      let x = try randomTensor([rows, 3], seed: UInt64(70 + number), Float(number - 2)...Float(number + 1))
      _ = try model.forward(x, training: true)
      var found = Reference.channelMoments(x.doubles, channels: 3)
      if !biased { found.variance = found.variance.map { $0 * Double(rows) / Double(rows - 1) } }
      moments.append(found)
      let weights = moments.indices.map { j in (0..<number - j).reduce(1.0) { weight, _ in weight * momentum } }
      let total = weights.reduce(0, +)
      func average(_ values: [[Double]]) -> [Double] {
        (0..<3).map { c in zip(weights, values).reduce(0) { $0 + $1.0 * $1.1[c] } / total }
      }
      let tolerance = Tolerance.steps(6) * 8
      expectClose(try model.values("0.running_mean"), average(moments.map(\.mean)), within: tolerance, "mean \(number)")
      expectClose(try model.values("0.running_var"), average(moments.map(\.variance)), within: tolerance, "variance \(number)")
      #expect(try model.variable(named: "0.num_batches_tracked").integer == Int64(number + 1))
    }
  }

  /// The plain average knows no bias: the option changes no bit of it.
  @Test func thePlainAverageStaysWhatItIs() throws {
    let models = try [false, true].map {
      try Model.sequential([BatchNorm(momentum: nil, debiased: $0)], inputShape: [3])
    }
    for number in 0..<4 {
      let x = try randomTensor([6, 3], seed: UInt64(number))
      for model in models { _ = try model.forward(x, training: true) }
      #expect(models[0].allBytes == models[1].allBytes)
    }
  }

  /// The same layer as moving average: from the first batch on what the plain one becomes after many.
  @Test func thePlainMovingAverageComesCloser() throws {
    let models = try [false, true].map { try Model.sequential([BatchNorm(debiased: $0)], inputShape: [2]) }
    let x = try randomTensor([8, 2], seed: 3, 4...6)
    for model in models { _ = try model.forward(x, training: true) }
    let mean = Reference.channelMoments(x.doubles, channels: 2).mean
    expectClose(try models[1].values("0.running_mean"), mean, within: Tolerance.steps(2) * 6)
    #expect(try abs(Double(models[0].values("0.running_mean")[0]) - mean[0]) > 3)
    for _ in 0..<300 { for model in models { _ = try model.forward(x, training: true) } }
    expectClose(try models[0].values("0.running_mean"), mean, within: 300 * Tolerance.steps(2) * 6)
  }

  @Test func skippedBatchesDoNotCount() throws {
    let model = try Model.sequential([BatchNorm(debiased: true)], inputShape: [2])
    var poisoned = try randomTensor([4, 2], seed: 1)
    try poisoned.setElement(at: [0, 0], to: .nan)
    _ = try model.forward(poisoned, training: true)
    let x = try randomTensor([4, 2], seed: 2)
    _ = try model.forward(x, training: true)
    expectClose(
      try model.values("0.running_mean"), Reference.channelMoments(x.doubles, channels: 2).mean, within: Tolerance.steps(2))
  }

  @Test func weights() {
    func weight(_ momentum: Double?, _ count: Int64, debiased: Bool = true) -> Double {
      BatchNorm(momentum: momentum, debiased: debiased).weightOfMoving(after: count)
    }
    #expect(weight(0.9, 0) == 0 && weight(0.9, -5) == 0 && weight(0, 7) == 0 && weight(nil, 3) == 0.75 && weight(1, 3) == 0.75)
    #expect(weight(0.9, 0, debiased: false) == 0.9 && weight(1, 9, debiased: false) == 1)
    #expect(abs(weight(0.9, 1) - 0.09 / 0.19) < 1e-15)
    #expect(weight(0.9, .max) == 0.9)
    #expect(abs(weight(1 - 1e-15, 3) - 0.75) < 1e-12)
  }
}
