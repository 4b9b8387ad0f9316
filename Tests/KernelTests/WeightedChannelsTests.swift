import MartletRuntime
import MartletTestSupport
import ReferenceKernels
import Testing

/// Statistics and gradients where rows count as often as their weights say.
@Suite struct WeightedChannelsTests {
  private static let small = ChannelShapes.small.filter { $0.inner == 1 }
  private static let large = ChannelShapes.large.filter { $0.inner == 1 }

  private struct Data {
    var x: [Float]
    var weights: [Float]
    var gradOutput: [Float]
    var scale: [Float]
    var shift: [Float]
    var before: [Float]

    /// A third of the rows do not count; `garbage` lies in them, or values as in the others.
    init(_ shape: ChannelShape, seed: UInt64, garbage: [Float] = []) {
      var random = TestRandom(seed: seed)
      let middles = random.array(shape.channels, -20...20)
      x = (0..<shape.outer * shape.channels).map { middles[$0 % shape.channels] + random.uniform() }
      weights = (0..<shape.outer).map { _ in max(random.uniform(-1...2), 0) }
      weights[shape.outer / 2] = 1.5
      for row in weights.indices where weights[row] == 0 {
        // What is not above 0 counts as 0.
        weights[row] = [0, -3, -0.0, .nan, -.infinity][row % 5]
        for c in 0..<shape.channels where !garbage.isEmpty { x[row * shape.channels + c] = garbage[(row + c) % garbage.count] }
      }
      gradOutput = random.array(x.count)
      scale = random.array(shape.channels, 0.5...2)
      shift = random.array(shape.channels)
      before = random.array(x.count)
    }
  }

  private func reference(_ shape: ChannelShape) -> ChannelReference {
    ChannelReference(outer: shape.outer, channels: shape.channels, inner: 1)
  }

  /// Every tail, several pieces; what lies where nothing counts changes nothing, whatever it is.
  @Test func moments() {
    for (i, shape) in (Self.small + Self.large).enumerated() {
      let data = Data(shape, seed: UInt64(i), garbage: [.nan, .infinity, -1e38, 0, 7])
      let (mean, variance, n) = reference(shape).moments(data.x, weights: data.weights)
      for (set, computes) in EveryCompute.ofAllThreads {
        let results = computes.map { $0.weightedMoments(data.x, data.weights, shape, Placement.all[i % 4]) }
        for other in results.dropFirst() { #expect(other == results[0], "\(shape) on \(set)") }
        #expect(abs(results[0].total - n) <= 1e-12 * n)
        for c in 0..<shape.channels {
          let meanBound = Tolerance.mean(deviation: variance[c].squareRoot(), largest: 21, values: shape.outer)
          let varianceBound = Tolerance.variance(variance[c], largest: 21, values: shape.outer)
          #expect(abs(results[0].mean[c] - mean[c]) <= meanBound, "channel \(c) of \(shape) on \(set)")
          #expect(abs(results[0].variance[c] - variance[c]) <= varianceBound, "channel \(c) of \(shape) on \(set)")
        }
      }
    }
  }

  @Test func weightsOfOneChangeNoBit() {
    for (i, shape) in (Self.small.filter { $0.outer >= 8 } + Self.large).enumerated() {
      let data = Data(shape, seed: UInt64(i))
      let ones = [Float](repeating: 1, count: shape.outer)
      for (set, compute) in EveryCompute.ofOneThread {
        let (plain, weighted) = (compute.moments(data.x, shape), compute.weightedMoments(data.x, ones, shape))
        #expect(plain.mean == weighted.mean && plain.variance == weighted.variance, "\(shape) on \(set)")
      }
    }
  }

  /// A row of weight 3 is a row that comes three times: exactly, where every sum is.
  @Test func wholeWeightsAreRepetitions() {
    for channels in [1, 3, 8, 17, 100] {
      let rows = 40
      let weights = (0..<rows).map { Float($0 % 4) }
      let x = (0..<rows * channels).map { Float(100 * ($0 % channels) + $0 / channels % 7) }
      let repeated = (0..<rows).flatMap { row in
        (0..<Int(weights[row])).flatMap { _ in x[row * channels..<(row + 1) * channels] }
      }
      for (set, compute) in EveryCompute.ofOneThread {
        let weighted = compute.weightedMoments(x, weights, ChannelShape(outer: rows, channels: channels), exactly: true)
        let plain = compute.moments(repeated, ChannelShape(outer: repeated.count / channels, channels: channels))
        #expect(weighted.total == 60)
        for c in 0..<channels {
          #expect(abs(weighted.mean[c] - plain.mean[c]) <= 1e-12 * plain.mean[c], "\(channels) channels on \(set)")
          #expect(abs(weighted.variance[c] - plain.variance[c]) <= 1e-6 * plain.variance[c], "\(channels) channels on \(set)")
        }
      }
    }
  }

  @Test func constantChannelsAndSingleRows() {
    let shape = ChannelShape(outer: 50, channels: 4)
    let values: [Float] = [0.1, -3e30, 1e-30, 48.85]
    let x = (0..<200).map { $0 / 4 % 5 == 0 ? values[$0 % 4] : 1e38 }
    let weights = (0..<50).map { Float($0 % 5 == 0 ? 0.3 : 0) }
    for (set, compute) in EveryCompute.ofOneThread {
      for rows in [weights, weights.enumerated().map { $0.offset == 35 ? 2 : 0 }] {
        let found = compute.weightedMoments(x, rows, shape)
        #expect(found.mean == values.map(Double.init) && found.variance == [0, 0, 0, 0], "on \(set)")
      }
    }
  }

  @Test func nothingCounts() {
    for (_, compute) in EveryCompute.ofOneThread {
      let found = compute.weightedMoments([1, 2, 3, 4], [0, -1], ChannelShape(outer: 2, channels: 2))
      #expect(found.mean.allSatisfy(\.isNaN) && found.variance.allSatisfy(\.isNaN) && found.total == 0)
    }
  }

  /// A value that is no number counts where its weight says so, and stays in its channel.
  @Test func isolation() {
    let shape = ChannelShape(outer: 300, channels: 5)
    var data = Data(shape, seed: 4)
    let clean = data
    let row = data.weights.firstIndex { $0 > 0 } ?? 0
    data.x[row * 5 + 2] = .nan
    for (set, compute) in EveryCompute.ofOneThread {
      let (found, wanted) = (
        compute.weightedMoments(data.x, data.weights, shape), compute.weightedMoments(clean.x, clean.weights, shape)
      )
      for c in 0..<5 { #expect(c == 2 ? found.variance[c].isNaN : found.variance[c] == wanted.variance[c], "on \(set)") }
    }
  }

  /// Padding far from the data does not spoil it: the library's promise holds.
  @Test func numericalTruth() {
    for mean in [0.0, 1000, -50_000] {
      let shape = ChannelShape(outer: 4096, channels: 3)
      let values = Reference.normal(shape.outer * 3, seed: 8, mean: mean, deviation: 1)
      let weights = (0..<shape.outer).map { Float($0 % 3 == 0 ? 0 : 1) }
      let x = values.indices.map { weights[$0 / 3] == 0 ? 0 : values[$0] }
      let reference = reference(shape)
      let (truth, variance, _) = reference.moments(x, weights: weights)
      let want = reference.normalised(x, mean: truth, variance: variance, epsilon: 1e-5, scale: nil, shift: nil)
      for (set, compute) in EveryCompute.ofOneThread {
        let y = compute.weightedTrainingPasses(x, weights, gradOutput: x.map { _ in 0 }, scale: nil, shift: nil, shape).y
        for i in y.indices where weights[i / 3] > 0 && abs(Double(y[i]) - want[i]) > Tolerance.normalised {
          Issue.record("element \(i) about \(mean) on \(set): \(y[i]), not \(want[i])")
          return
        }
      }
    }
  }

  @Test func trainingPasses() {
    for (i, shape) in (Self.small.filter { $0.outer > 1 } + Self.large).enumerated() {
      let data = Data(shape, seed: UInt64(i))
      let reference = reference(shape)
      let (mean, variance, _) = reference.moments(data.x, weights: data.weights)
      let epsilon = 0.1
      let want = reference.normalised(
        data.x, mean: mean, variance: variance, epsilon: epsilon, scale: data.scale, shift: data.shift)
      let g = data.gradOutput.map(Double.init)
      let gradient = reference.gradientInput(g, data.x, weights: data.weights, epsilon: epsilon, scale: data.scale)
      let normal = reference.normalised(data.x, mean: mean, variance: variance, epsilon: epsilon, scale: nil, shift: nil)
      let (gradScale, gradShift) = (reference.sums { g[$0] * normal[$0] }, reference.sums { g[$0] })
      let (size, magnitude) = (normal.reduce(1) { max($0, abs($1)) }, reference.sums { abs(g[$0] * normal[$0]) + abs(g[$0]) })
      // Σg and Σg·x̂ are divided by Σw, which may be far below the number of rows.
      let sums = Double(shape.outer) / max(reference.moments(data.x, weights: data.weights).n, 1e-9)
      for ((set, computes), (_, tinyCache)) in zip(EveryCompute.ofAllThreads, EveryCompute.ofTinyCache) {
        var first: BatchNormResults?
        for compute in computes + tinyCache {
          func passes(before: [Float]? = nil, inPlace: Bool = false) -> BatchNormResults {
            compute.weightedTrainingPasses(
              data.x, data.weights, gradOutput: data.gradOutput, scale: data.scale, shift: data.shift, shape,
              epsilon: epsilon, before: before, inPlace: inPlace, Placement.all[i % 4])
          }
          let found = passes()
          if let first {
            #expect(found.bits == first.bits, "\(shape) on \(set), \(compute.pool.threadCount) threads")
            continue
          }
          first = found
          let what = "\(shape) on \(set)"
          #expect(Reference.largestDifference(found.y, want) <= 16 * unitRoundoff * 2 * size, "y of \(what)")
          let scale = 2 / epsilon.squareRoot()
          #expect(
            Reference.largestDifference(found.gradInput, gradient)
              <= Tolerance.gradientInput * scale * (1 + 2 * 2 * sums * size * size), "gradient of \(what)")
          for c in 0..<shape.channels {
            let bound = Tolerance.channelSum(magnitude: magnitude[c] * size)
            #expect(abs(Double(found.gradScale[c]) - gradScale[c]) <= bound, "\(c) of \(what)")
            #expect(abs(Double(found.gradShift[c]) - gradShift[c]) <= bound, "\(c) of \(what)")
          }
          #expect(passes(inPlace: true).bits == found.bits, "\(what), in place")
          let added = passes(before: data.before).gradInput
          let whole = zip(gradient, data.before).map { $0 + Double($1) }
          #expect(
            Reference.largestDifference(added, whole)
              <= Tolerance.gradientInput * scale * (2 + 2 * 2 * sums * size * size), "\(what), added to")
        }
      }
    }
  }
}
