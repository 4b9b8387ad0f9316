import MartletRuntime
import MartletTestSupport
import ReferenceKernels
import Testing

@Suite struct ChannelMomentsTests {
  private func check(_ shape: ChannelShape, seed: UInt64, placements: [Placement]) {
    let reference = ChannelReference(outer: shape.outer, channels: shape.channels, inner: shape.inner)
    var random = TestRandom(seed: seed)
    let middles = random.array(shape.channels, -20...20)
    let x = (0..<reference.count).map { middles[reference.channel($0)] + random.uniform() }
    let (mean, variance) = reference.moments(x)
    let values = shape.valuesPerChannel
    for (set, computes) in EveryCompute.ofAllThreads {
      for placement in placements {
        let results = computes.map { $0.moments(x, shape, placement) }
        for result in results.dropFirst() {
          #expect(result.mean == results[0].mean && result.variance == results[0].variance, "\(shape) on \(set)")
        }
        for c in 0..<shape.channels {
          let meanBound = Tolerance.mean(deviation: variance[c].squareRoot(), largest: 21, values: values)
          let varianceBound = Tolerance.variance(variance[c], largest: 21, values: values)
          #expect(abs(results[0].mean[c] - mean[c]) <= meanBound, "channel \(c) of \(shape) on \(set)")
          #expect(abs(results[0].variance[c] - variance[c]) <= varianceBound, "channel \(c) of \(shape) on \(set)")
        }
      }
    }
  }

  @Test func everyTail() {
    for (i, shape) in ChannelShapes.small.enumerated() { check(shape, seed: UInt64(i), placements: [Placement.all[i % 4]]) }
  }

  @Test func severalPieces() {
    for (i, shape) in ChannelShapes.large.enumerated() { check(shape, seed: UInt64(i), placements: [Placement.all[i % 4]]) }
  }

  /// A constant channel has its own value as the mean and no variance, whatever the value.
  @Test func constantChannels() {
    let constants: [Float] = [0, 100.1, -3.3e-9, 1.7e9, 1e30, -1e-30, 0.1, 3, 48.85, 7]
    for shape in [
      ChannelShape(outer: 1000, channels: 10), ChannelShape(outer: 30, channels: 10, inner: 49),
      ChannelShape(outer: 30, channels: 10, inner: 4),
    ] {
      let reference = ChannelReference(outer: shape.outer, channels: shape.channels, inner: shape.inner)
      let x = (0..<reference.count).map { constants[reference.channel($0)] }
      for (set, compute) in EveryCompute.ofOneThread {
        let (mean, variance) = compute.moments(x, shape)
        #expect(mean == constants.map(Double.init), "\(shape) on \(set)")
        #expect(variance == [Double](repeating: 0, count: 10), "\(shape) on \(set)")
      }
    }
  }

  /// Pairs m ± d with small integers: every sum is exact, so the answer is.
  @Test func symmetricPairs() {
    for shape in [
      ChannelShape(outer: 514, channels: 12), ChannelShape(outer: 64, channels: 7, inner: 64),
      ChannelShape(outer: 64, channels: 7, inner: 6),
    ] {
      let reference = ChannelReference(outer: shape.outer, channels: shape.channels, inner: shape.inner)
      var seen = [Int](repeating: 0, count: shape.channels)
      let x = (0..<reference.count).map { i -> Float in
        let c = reference.channel(i)
        seen[c] += 1
        let distance = Float(1 << c % 3)
        return Float(1000 * c) + (seen[c] % 2 == 0 ? distance : -distance)
      }
      for (set, compute) in EveryCompute.ofOneThread {
        let (mean, variance) = compute.moments(x, shape)
        for c in 0..<shape.channels {
          #expect(mean[c] == Double(1000 * c), "\(shape) on \(set)")
          #expect(variance[c] == Double(1 << c % 3 * (1 << c % 3)), "\(shape) on \(set)")
        }
      }
    }
  }

  /// An outlier among the values that make the pivot, sorted data, a channel far larger than Float32 can square.
  @Test func channelsDoneAgain() {
    for shape in [
      ChannelShape(outer: 20_000, channels: 5), ChannelShape(outer: 4, channels: 5, inner: 5000),
      ChannelShape(outer: 2500, channels: 5, inner: 8),
    ] {
      let reference = ChannelReference(outer: shape.outer, channels: shape.channels, inner: shape.inner)
      var random = TestRandom(seed: 5)
      var x = (0..<reference.count).map { i -> Float in
        switch reference.channel(i) {
        case 0: random.uniform()
        case 1: Float(i)
        case 2: random.uniform() < 0 ? 1e30 : -1e30
        case 3: random.uniform(1e-23...2e-23)
        default: random.uniform(99...101)
        }
      }
      x[0] = 1e6
      x[4 * shape.inner] = -1e9
      let (mean, variance) = reference.moments(x)
      for (set, computes) in EveryCompute.ofAllThreads {
        let results = computes.map { $0.moments(x, shape) }
        #expect(results[0] == results[1] && results[0] == results[2], "\(shape) on \(set)")
        for c in 0..<5 {
          let deviation = variance[c].squareRoot()
          #expect(abs(results[0].mean[c] - mean[c]) <= 1e-6 * deviation, "channel \(c) of \(shape) on \(set)")
          #expect(abs(results[0].variance[c] - variance[c]) <= 1e-6 * variance[c], "channel \(c) of \(shape) on \(set)")
        }
      }
    }
  }

  /// What is not a number stays in its channel, and the others keep their bits.
  @Test(arguments: [Float.nan, .infinity, -.infinity]) func isolation(_ poison: Float) {
    for shape in [
      ChannelShape(outer: 5, channels: 3), ChannelShape(outer: 300, channels: 3), ChannelShape(outer: 300, channels: 33),
      ChannelShape(outer: 40, channels: 10, inner: 3), ChannelShape(outer: 40, channels: 10, inner: 37),
    ] {
      let reference = ChannelReference(outer: shape.outer, channels: shape.channels, inner: shape.inner)
      var random = TestRandom(seed: 3)
      var x = random.array(reference.count)
      for (set, compute) in EveryCompute.ofOneThread {
        let clean = compute.moments(x, shape)
        for channel in [0, 1, shape.channels - 1] {
          for place in [0, shape.outer / 2, shape.outer - 1] {
            let i = (place * shape.channels + channel) * shape.inner + place % shape.inner
            let kept = x[i]
            x[i] = poison
            let (mean, variance) = compute.moments(x, shape)
            x[i] = kept
            for c in 0..<shape.channels {
              if c == channel {
                #expect(!mean[c].isFinite && !variance[c].isFinite, "\(shape) on \(set)")
              } else {
                #expect(mean[c] == clean.mean[c] && variance[c] == clean.variance[c], "\(shape) on \(set)")
              }
            }
          }
        }
      }
    }
  }

  @Test func noValues() {
    for (_, compute) in EveryCompute.ofOneThread {
      let (mean, variance) = compute.moments([], ChannelShape(outer: 0, channels: 3))
      #expect(mean.allSatisfy(\.isNaN) && variance.allSatisfy(\.isNaN))
      #expect(compute.moments([], ChannelShape(outer: 4, channels: 0)).mean.isEmpty)
    }
  }
}
