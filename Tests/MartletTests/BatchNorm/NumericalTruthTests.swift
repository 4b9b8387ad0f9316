import MartletTestSupport
import ReferenceKernels
import Testing

@testable import Martlet

/// Training output of the layer against Float64, on the data that breaks implementations: large means, large spreads, many rows.
@Suite struct NumericalTruthTests {
  struct Source: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let mean: Double
    let deviation: Double
    /// Uniform in mean ± deviation rather than normal.
    var isUniform = false

    func values(_ count: Int, seed: UInt64) -> [Float] {
      guard isUniform else { return Reference.normal(count, seed: seed, mean: mean, deviation: deviation) }
      var random = TestRandom(seed: seed)
      return random.array(count).map { Float(mean + deviation * Double($0)) }
    }
  }

  static let sources = [
    Source(testDescription: "N(0, 1)", mean: 0, deviation: 1),
    Source(testDescription: "N(10, 1)", mean: 10, deviation: 1),
    Source(testDescription: "year 2000 ± 5", mean: 2000, deviation: 5, isUniform: true),
    Source(testDescription: "pressure 101325 ± 500", mean: 101_325, deviation: 500),
    Source(testDescription: "kelvin 300 ± 0.5", mean: 300, deviation: 0.5),
    Source(testDescription: "latitude 48.85 ± 0.01", mean: 48.85, deviation: 0.01),
    Source(testDescription: "Unix time 1.7e9 ± 1e5", mean: 1.7e9, deviation: 1e5),
  ]

  @Test(arguments: sources, [1024, 16_384, 262_144]) func output(_ source: Source, _ rows: Int) throws {
    let channels = 8
    let values = source.values(rows * channels, seed: UInt64(rows))
    let x = try Tensor(values, shape: [rows, channels])
    let model = try Model.sequential([BatchNorm(momentum: nil)], inputShape: [channels])
    try model.forward([x.view()], training: true)
    let y = try model.output(0)
    let reference = ChannelReference(outer: rows, channels: channels, inner: 1)
    let (mean, variance) = reference.moments(values)
    let want = reference.normalised(values, mean: mean, variance: variance, epsilon: 1e-5, scale: nil, shift: nil)
    let floats = try #require(y.contiguousFloats)
    let got = Array(UnsafeBufferPointer(start: floats, count: y.count))
    #expect(Reference.largestDifference(got, want) <= Tolerance.normalised)
    // The moving statistics are the first batch's: exact but for one rounding and the kernel's own sums.
    let (size, spread) = (largest(values), largest(variance))
    expectClose(
      try model.values("0.running_mean"), mean,
      within: Tolerance.steps(1) * size + Tolerance.mean(deviation: spread.squareRoot(), largest: size, values: rows))
    expectClose(
      try model.values("0.running_var"), variance.map { $0 * Double(rows) / Double(rows - 1) },
      within: Tolerance.steps(1) * spread + Tolerance.variance(spread, largest: size, values: rows))

    // Gradients as close: relative to scale·inv·max|g|·(1 + max|y|), what the terms can reach.
    var random = TestRandom(seed: 7)
    let g = random.array(rows * channels)
    let gradOutput = try Tensor(g, shape: [rows, channels])
    try model.backward([gradOutput.view()])
    let gradient = try #require(model.inputGradient(0).contiguousFloats)
    let wantGradient = reference.gradientInput(g.map(Double.init), values, epsilon: 1e-5, scale: nil)
    let inverse = variance.map { 1 / ($0 + 1e-5).squareRoot() }.max() ?? 0
    #expect(
      Reference.largestDifference(Array(UnsafeBufferPointer(start: gradient, count: g.count)), wantGradient)
        <= 1e-6 * inverse * (1 + largest(want)))
    withExtendedLifetime((x, gradOutput)) {}
  }

  /// The layers beside batch norm, as close: on images, and on rows as long as what batch norm takes a channel over.
  @Test(arguments: sources) func relatives(_ source: Source) throws {
    let cases: [(layer: any Normalization, sample: [Int])] = [
      (LayerNorm(), [1024]), (LayerNorm(over: .all), [32, 32, 16]), (RMSNorm(epsilon: 1e-5), [1024]),
      (GroupNorm(4), [32, 32, 16]),
      (GroupNorm(4), [2048]), (InstanceNorm(), [64, 64, 8]), (FilterResponseNorm(threshold: false), [32, 32, 8]),
    ]
    for (layer, sample) in cases {
      let length = sample.reduce(1, *)
      let values = source.values(2 * length, seed: UInt64(length))
      let reference = try #require(Reference.reference(layer, samples: 2, sample: sample))
      let x = values.map(Double.init)
      let want = reference.forward(x, NormalizationReference.Parameters())
      let model = try Model.sequential([layer], inputShape: sample)
      for training in [false, true] {
        let y = try model.forward(Tensor(values, shape: [2] + sample), training: training)
        #expect(Reference.largestDifference(y.values, want) <= Tolerance.normalised, "\(layer)")
      }
      var random = TestRandom(seed: 7)
      let g = random.array(values.count)
      let gradient = try model.backward(Tensor(g, shape: [2] + sample)).values
      let (input, _) = reference.gradients(x, g.map(Double.init), NormalizationReference.Parameters())
      let inverse = largest(reference.normalised(x).inverse)
      #expect(Reference.largestDifference(gradient, input) <= 1e-6 * inverse * (1 + largest(want)), "\(layer)")
    }
  }

  @Test(arguments: [2, 60, 1024, 16_384, 262_144]) func constantChannelsYieldShift(_ rows: Int) throws {
    let constants: [Float] = [100.1, 0, -1e-30, 1.7e9, 3e38, -0.1]
    let model = try Model.sequential([BatchNorm()], inputShape: [6])
    let shift: [Float] = [0.3, -7, 1e-9, 0.1, 5, -1e6]
    try model.variable(named: "0.bias").set(shift)
    var x = try Tensor(shape: [rows, 6])
    try x.withMutableFloats { for i in $0.indices { $0[i] = constants[i % 6] } }
    let y = try model.forward(x, training: true)
    #expect(y.withUnsafeFloats { values in values.indices.allSatisfy { values[$0] == shift[$0 % 6] } })
    let gradient = try model.backward(randomTensor([rows, 6], seed: 1))
    #expect(gradient.withUnsafeFloats { $0.allSatisfy(\.isFinite) })
  }

  /// ±1e30: the squares have no Float32, the answer has.
  @Test func hugeValues() throws {
    for rows in [2, 7, 1024] {
      let values = Reference.normal(rows * 3, seed: 5, mean: 0, deviation: 1).map { $0 * 1e30 }
      let model = try Model.sequential([BatchNorm()], inputShape: [3])
      let y = try model.forward(Tensor(values, shape: [rows, 3]), training: true)
      let reference = ChannelReference(outer: rows, channels: 3, inner: 1)
      let (mean, variance) = reference.moments(values)
      let want = reference.normalised(values, mean: mean, variance: variance, epsilon: 1e-5, scale: nil, shift: nil)
      #expect(Reference.largestDifference(y.values, want) <= Tolerance.normalised)
    }
    let model = try Model.sequential([BatchNorm()], inputShape: [1])
    #expect(try model.forward(Tensor([1e30, -1e30], shape: [2, 1]), training: true).values == [1, -1])
    // A variance beyond Float32 cannot be kept: skipped and counted, as a batch with an infinity.
    #expect(try model.variable(named: "0.num_batches_skipped").integer == 1)
  }

  /// Values in symmetric pairs about a representable mean: the answer is exact.
  @Test func exactAnswers() throws {
    for mean in [0, 3, -1024, 4_194_304] as [Float] {
      let model = try Model.sequential([BatchNorm(epsilon: 4)], inputShape: [2])
      // Variance (2·4 + 4·16)/6 = 12, plus epsilon 4: divided by 4.
      let pairs: [Float] = [2, -2, 4, -4, 4, -4]
      let x = try Tensor(pairs.flatMap { [mean + $0, mean - $0] }, shape: [6, 2])
      let want = pairs.flatMap { [$0 / 4, -$0 / 4] }
      #expect(try model.forward(x, training: true).values == want)
    }
  }
}
