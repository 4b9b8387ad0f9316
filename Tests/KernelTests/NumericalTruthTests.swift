import MartletRuntime
import MartletTestSupport
import ReferenceKernels
import Testing

/// The library's promise: on data whose mean dwarfs its spread, the normalised output is right to 1e-6.
@Suite struct NumericalTruthTests {
  struct Distribution: Sendable, CustomTestStringConvertible {
    var name: String
    var mean: Double
    var deviation: Double
    var testDescription: String { name }
  }

  static let distributions = [
    Distribution(name: "standard normal", mean: 0, deviation: 1),
    Distribution(name: "mean of ten", mean: 10, deviation: 1),
    Distribution(name: "year", mean: 2000, deviation: 5),
    Distribution(name: "pressure in pascal", mean: 101_325, deviation: 500),
    Distribution(name: "temperature in kelvin", mean: 300, deviation: 0.5),
    Distribution(name: "latitude in degrees", mean: 48.85, deviation: 0.01),
    Distribution(name: "Unix time", mean: 1.7e9, deviation: 1e5),
  ]

  /// Eight channels, channels-last and channels-first.
  static let shapes = [1024, 16_384, 262_144].flatMap {
    [ChannelShape(outer: $0, channels: 8), ChannelShape(outer: $0 / 256, channels: 8, inner: 256)]
  }

  @Test(arguments: distributions) func forwardAndBackward(_ distribution: Distribution) {
    for shape in Self.shapes {
      let reference = ChannelReference(outer: shape.outer, channels: shape.channels, inner: shape.inner)
      let x = Reference.normal(reference.count, seed: 1, mean: distribution.mean, deviation: distribution.deviation)
      let gradOutput = Reference.normal(reference.count, seed: 2, mean: 0.1, deviation: 1)
      let (mean, variance) = reference.moments(x)
      let wanted = reference.normalised(x, mean: mean, variance: variance, epsilon: 1e-5, scale: nil, shift: nil)
      let g = gradOutput.map(Double.init)
      let wantedGradient = reference.gradientInput(g, x, epsilon: 1e-5, scale: nil)
      let largest = g.reduce(0) { max($0, abs($1)) }
      for (set, compute) in EveryCompute.ofOneThread {
        let error = Reference.largestDifference(compute.normalised(x, shape), wanted)
        #expect(error <= Tolerance.normalised, "\(distribution.name), \(shape) on \(set)")
        let gradient = Self.gradient(compute, gradOutput, x, shape, epsilon: 1e-5)
        let bound = Tolerance.normalised * largest / (variance.min()! + 1e-5).squareRoot()
        let gradientError = Reference.largestDifference(gradient, wantedGradient)
        #expect(gradientError <= bound, "\(distribution.name), \(shape) on \(set)")
      }
    }
  }

  /// The same promise for batch norm's relatives: rows, groups and channels of single samples. (RMS norm and filter response norm do
  /// not subtract the mean; that it is large does not harm them.)
  @Test(arguments: distributions) func relatives(_ distribution: Distribution) {
    let operations: [NormalizationOperation] = [
      .rows(RowShape(samples: 8, length: 1024), centers: true), .rows(RowShape(samples: 2, length: 65_536), centers: true),
      .rows(RowShape(samples: 8, length: 1024), centers: false),
      .rows(RowShape(samples: 4, groups: 4, length: 300), centers: true),
      .groups(SampleShape(samples: 2, positions: 1024, channels: 16), 4),
      .groups(SampleShape(samples: 2, positions: 16_384, channels: 8), 8),
      .filterResponse(SampleShape(samples: 2, positions: 1024, channels: 8)),
    ]
    for (i, operation) in operations.enumerated() {
      let item = NormalizationCase(
        operation, seed: UInt64(i), parameters: 0, mean: distribution.mean, deviation: distribution.deviation, epsilon: 1e-5)
      let answer = item.answer
      // Without a mean subtracted y is as large as x/√mean(x²), about 1.
      for (set, compute) in EveryCompute.ofOneThread {
        let found = compute.passes(operation, item.x, gradOutput: item.gradOutput, item.values, epsilon: item.epsilon)
        let error = Reference.largestDifference(found.y, answer.y)
        #expect(error <= Tolerance.normalised, "\(distribution.name), \(operation) on \(set)")
        let gradientError = Reference.largestDifference(found.gradInput, answer.input)
        #expect(gradientError <= answer.inputTolerance, "\(distribution.name), \(operation) on \(set)")
      }
    }
  }

  /// As a layer computes it: statistics, two sums, one pass.
  static func gradient(
    _ compute: Compute, _ gradOutput: [Float], _ x: [Float], _ shape: ChannelShape, epsilon: Double
  ) -> [Float] {
    let (mean, variance) = compute.moments(x, shape)
    let map = compute.map(mean: mean, variance: variance, epsilon: epsilon)
    let center = map.center.values
    let sums = compute.gradientSums(gradOutput, output: nil, input: x, shape, center: center, activation: .identity)
    let n = Double(shape.valuesPerChannel)
    var meanTerm: [Float] = []
    var slope: [Float] = []
    for c in 0..<shape.channels {
      // x − mean = (x − center) − rest: the rest goes into the term that does not depend on x.
      let rest = mean[c] - Double(center[c])
      let projection = (sums.sumCentered[c] - rest * sums.sum[c]) / (n * (variance[c] + epsilon))
      meanTerm.append(Float(sums.sum[c] / n - rest * projection))
      slope.append(Float(projection))
    }
    return compute.gradientInput(
      gradOutput, output: nil, input: x, shape, center: center, multiplier: map.multiplier.values, meanTerm: meanTerm,
      slope: slope, activation: .identity)
  }

  @Test(arguments: [Float(100.1), 0, -1.7e9, 1e30]) func constantChannelYieldsShift(_ constant: Float) {
    for shape in Self.shapes.prefix(4) + [ChannelShape(outer: 77, channels: 8)] {
      let x = [Float](repeating: constant, count: shape.outer * shape.channels * shape.inner)
      let shift = (0..<8).map { Float($0) / 7 - 0.4 }
      for (set, compute) in EveryCompute.ofOneThread {
        let y = compute.normalised(x, shape, shift: shift)
        let isShift = y.indices.allSatisfy { y[$0] == shift[$0 / shape.inner % 8] }
        #expect(isShift, "\(constant) in \(shape) on \(set)")
      }
    }
  }

  /// ±1 normalised is ±1/√(1 + ε) for any mean: pairs are exact.
  @Test func hugeValues() {
    for shape in Self.shapes.prefix(2) {
      let reference = ChannelReference(outer: shape.outer, channels: shape.channels, inner: shape.inner)
      let count = shape.outer * shape.channels * shape.inner
      var seen = [Int](repeating: 0, count: 8)
      let x = (0..<count).map { i -> Float in
        seen[reference.channel(i)] += 1
        return seen[reference.channel(i)] % 2 == 0 ? 1e30 : -1e30
      }
      for (set, compute) in EveryCompute.ofOneThread {
        let y = compute.normalised(x, shape)
        #expect(y.indices.allSatisfy { abs(abs(y[$0]) - 1) <= 1e-6 && (y[$0] > 0) == (x[$0] > 0) }, "\(shape) on \(set)")
      }
    }
  }
}
