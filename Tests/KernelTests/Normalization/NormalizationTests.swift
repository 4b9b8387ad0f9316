import MartletRuntime
import MartletTestSupport
import ReferenceKernels
import Testing

/// Row, group and filter response normalisation, forwards and backwards, against naive Float64 on every instruction set.
@Suite struct NormalizationTests {
  @Test func everyTail() {
    for (i, operation) in NormalizationCases.small.enumerated() {
      let item = NormalizationCase(operation, seed: UInt64(i), parameters: i % 5 == 0 ? i / 5 % 4 : 3)
      let answer = item.answer
      for (set, compute) in EveryCompute.ofOneThread {
        let found = compute.passes(
          operation, item.x, gradOutput: item.gradOutput, item.values, epsilon: item.epsilon, Placement.all[i % 4])
        let mismatch = item.mismatch(found, answer)
        #expect(mismatch == nil, "\(item) on \(set): \(mismatch ?? "")")
      }
    }
  }

  /// Right, and the same bits for any number of threads and any size of cache.
  @Test(arguments: NormalizationCases.large.indices) func severalPieces(_ number: Int) {
    let item = NormalizationCase(NormalizationCases.large[number], seed: UInt64(number))
    let answer = item.answer
    for ((set, computes), (_, tinyCache)) in zip(EveryCompute.ofAllThreads, EveryCompute.ofTinyCache) {
      var bits: [[UInt32]]?
      for compute in computes + tinyCache {
        let found = compute.passes(
          item.operation, item.x, gradOutput: item.gradOutput, item.values, epsilon: item.epsilon)
        if bits == nil {
          let mismatch = item.mismatch(found, answer)
          #expect(mismatch == nil, "\(item) on \(set): \(mismatch ?? "")")
          bits = found.bits
        }
        #expect(found.bits == bits, "\(item) on \(set), \(compute.pool.threadCount) threads, cache \(compute.sharedCacheBytes)")
      }
    }
  }

  /// Output over input, gradient over gradient, and gradients that are added to.
  @Test func inPlaceAndAccumulating() {
    for (i, operation) in (NormalizationCases.small + NormalizationCases.large.prefix(3)).enumerated()
    where i % 3 == 0 {
      let item = NormalizationCase(operation, seed: UInt64(i))
      var random = TestRandom(seed: UInt64(i))
      let before = random.array(item.x.count)
      for (set, compute) in EveryCompute.ofOneThread {
        func passes(before: [Float]? = nil, inPlace: Bool = false) -> NormalizationResults {
          compute.passes(
            operation, item.x, gradOutput: item.gradOutput, item.values, epsilon: item.epsilon, before: before,
            inPlace: inPlace,
            Placement.all[(i + 1) % 4])
        }
        let plain = passes()
        #expect(passes(inPlace: true).bits == plain.bits, "\(item) on \(set)")
        let added = passes(before: before)
        // One more rounding each.
        let tolerance = 4 * Float(unitRoundoff)
        let pairs = zip(added.gradInput, zip(plain.gradInput, before))
        let isSum = pairs.allSatisfy { abs($0 - ($1.0 + $1.1)) <= tolerance * (abs($1.0) + abs($1.1) + 1) }
        #expect(isSum, "\(item) on \(set)")
        for (sum, one) in zip(added.gradients, plain.gradients) {
          let isOneMore = zip(sum, one).allSatisfy { abs($0 - ($1 + 1)) <= tolerance * (abs($1) + 1) }
          #expect(isOneMore, "\(item) on \(set)")
        }
      }
    }
  }

  /// A set of equal values yields exactly the shift; gradients are finite.
  @Test(arguments: [Float(100.1), 0, -1.7e9, 3e38]) func constantsYieldShift(_ constant: Float) {
    let operations: [NormalizationOperation] = [
      .rows(RowShape(samples: 5, length: 100), centers: true), .rows(RowShape(samples: 5, groups: 4, length: 7), centers: true),
      .groups(SampleShape(samples: 3, positions: 33, channels: 12), 3),
      .groups(SampleShape(samples: 2, positions: 9, channels: 17), 17),
    ]
    for operation in operations {
      var item = NormalizationCase(operation, seed: 5)
      let x = item.x.map { _ in constant }
      item = NormalizationCase(operation, seed: 5, epsilon: 1e-5)
      for (set, compute) in EveryCompute.ofOneThread {
        let found = compute.passes(operation, x, gradOutput: item.gradOutput, item.values)
        let shift = item.values.shift ?? []
        let isShift = found.y.indices.allSatisfy { found.y[$0] == shift[item.reference.places[$0]] }
        #expect(isShift, "\(operation) on \(set)")
        let isFinite = found.gradInput.allSatisfy { $0.isFinite }
        #expect(isFinite, "\(operation) on \(set)")
      }
    }
  }

  /// ±1e30: the squares have no Float32, the answer has. And a NaN or infinity stays in its own set.
  @Test func hugeAndBadValues() {
    let operations: [NormalizationOperation] = [
      .rows(RowShape(samples: 6, length: 150), centers: true), .rows(RowShape(samples: 6, length: 150), centers: false),
      .groups(SampleShape(samples: 6, positions: 40, channels: 6), 3),
      .filterResponse(SampleShape(samples: 6, positions: 40, channels: 5)),
    ]
    for operation in operations {
      let item = NormalizationCase(operation, seed: 9, parameters: 0, mean: 0, deviation: 1)
      let reference = item.reference
      let perSample = item.x.count / 6
      var x = item.x
      for i in x.indices where i / perSample == 1 { x[i] *= 1e30 }
      x[2 * perSample + 3] = .nan
      x[4 * perSample + 1] = .infinity
      let bad = Set([reference.sets[2 * perSample + 3], reference.sets[4 * perSample + 1]])
      let good = x.indices.filter { !bad.contains(reference.sets[$0]) }
      let want = reference.forward(x.map(Double.init), NormalizationReference.Parameters())
      for (set, compute) in EveryCompute.ofOneThread {
        let found = compute.passes(operation, x, gradOutput: item.gradOutput, item.values, epsilon: item.epsilon)
        let worst = good.reduce(0.0) { max($0, abs(Double(found.y[$1]) - want[$1])) }
        #expect(worst <= Tolerance.normalised, "\(operation) on \(set)")
        let (isFinite, shows) = (good.allSatisfy { found.gradInput[$0].isFinite }, found.y.contains { !$0.isFinite })
        #expect(isFinite && shows, "\(operation) on \(set)")
        // The samples without a bad or huge value have the bits they have among good ones.
        let clean = compute.passes(operation, item.x, gradOutput: item.gradOutput, item.values, epsilon: item.epsilon)
        for sample in [0, 3, 5] {
          let range = sample * perSample..<(sample + 1) * perSample
          #expect(Array(found.y[range]).bits == Array(clean.y[range]).bits, "\(operation) on \(set)")
        }
      }
    }
  }
}
