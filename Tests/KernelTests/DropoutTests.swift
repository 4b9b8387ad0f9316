import MartletRuntime
import MartletTestSupport
import ReferenceKernels
import Testing

@Suite struct DropoutTests {
  private func run(
    _ compute: Compute, _ x: [Float], rate: Float, key: UInt64, into old: [Float]? = nil
  ) -> [Float] {
    let input = GuardedBuffer(x)
    let y = GuardedBuffer(old ?? x)
    compute.dropout(
      input.input, count: x.count, rate: rate, key: key, into: y.pointer, accumulate: old != nil)
    return y.values
  }

  /// The authors' published answers for counters and keys of zeros and of ones.
  @Test func philoxKnownAnswers() {
    #expect(Reference.philox([0, 0, 0, 0], [0, 0]) == [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8])
    let ones = UInt32.max
    #expect(
      Reference.philox([ones, ones, ones, ones], [ones, ones]) == [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd])
  }

  @Test func everyElementFollowsTheRule() {
    var random = TestRandom(seed: 7)
    let key: UInt64 = 0x0123_4567_89AB_CDEF
    for (set, compute) in EveryCompute.ofOneThread {
      for rate: Float in [0, 0.1, 0.5, 0.999] {
        for count in Array(0...70) + [1000] {
          let x = random.array(count, 1...2)
          let scale = Float(1 / (1 - Double(rate)))
          let want = x.indices.map { Reference.isKept($0, rate: rate, key: key) ? x[$0] * scale : 0 }
          #expect(run(compute, x, rate: rate, key: key) == want, "rate \(rate), \(count) elements on \(set)")
          let sum = zip(x, want).map { $0 + $1 }
          #expect(run(compute, x, rate: rate, key: key, into: x) == sum, "rate \(rate), \(count) elements on \(set)")
        }
      }
    }
  }

  @Test func shareOfKeptElements() {
    let count = 1_000_000
    let x = [Float](repeating: 1, count: count)
    for (set, compute) in EveryCompute.ofOneThread {
      for (rate, key): (Float, UInt64) in [(0.1, 1), (0.5, 2), (0.9, 3)] {
        let kept = run(compute, x, rate: rate, key: key).lazy.filter { $0 != 0 }.count
        let p = 1 - Double(rate)
        let deviation = (Double(count) * p * (1 - p)).squareRoot()
        #expect(abs(Double(kept) - Double(count) * p) <= 5 * deviation, "rate \(rate), key \(key) on \(set): \(kept)")
      }
    }
  }

  /// Neighbours, and the same element under neighbouring keys, agree as often as chance has it.
  @Test func independence() {
    let count = 1_000_000
    let x = [Float](repeating: 1, count: count)
    let compute = EveryCompute.ofOneThread[0].compute
    let first = run(compute, x, rate: 0.5, key: 10)
    let second = run(compute, x, rate: 0.5, key: 11)
    let deviation = (Double(count) / 4).squareRoot()
    for distance in [1, 2, 16, 32] {
      let equal = (0..<count - distance).lazy.filter { first[$0] == first[$0 + distance] }.count
      #expect(abs(Double(equal) - Double(count - distance) / 2) <= 5 * deviation, "distance \(distance): \(equal)")
    }
    let equal = (0..<count).lazy.filter { first[$0] == second[$0] }.count
    #expect(abs(Double(equal) - Double(count) / 2) <= 5 * deviation)
  }

  @Test func backwardMeetsTheSameMaskOnAnyThreads() {
    var random = TestRandom(seed: 8)
    let count = 100_003
    let x = random.array(count, 1...2)
    let g = random.array(count, 1...2)
    var masks: [[Bool]] = []
    for (_, computes) in EveryCompute.ofAllThreads {
      for compute in computes {
        let forward = run(compute, x, rate: 0.3, key: 99).map { $0 != 0 }
        let backward = run(compute, g, rate: 0.3, key: 99).map { $0 != 0 }
        #expect(forward == backward)
        masks.append(forward)
      }
    }
    // One rule for all instruction sets, too.
    #expect(masks.allSatisfy { $0 == masks[0] })
  }

  @Test func droppedValuesAreZeroWhateverTheyWere() {
    for (_, compute) in EveryCompute.ofOneThread {
      let y = run(compute, [Float](repeating: .nan, count: 200), rate: 0.5, key: 5)
      #expect(y.contains(0) && y.contains { $0.isNaN })
    }
  }
}
