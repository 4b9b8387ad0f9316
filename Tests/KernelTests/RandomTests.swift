import MartletRuntime
import Testing

@Suite struct RandomTests {
  /// The published known answers of philox4x32 with ten rounds (the Random123 distribution's kat_vectors).
  @Test func philoxKnownAnswers() {
    #expect(
      Philox.block(counter: SIMD4(0, 0, 0, 0), key: SIMD2(0, 0))
        == SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
    #expect(
      Philox.block(counter: SIMD4(repeating: .max), key: SIMD2(repeating: .max))
        == SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
    #expect(
      Philox.block(counter: SIMD4(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344), key: SIMD2(0xa409_3822, 0x299f_31d0))
        == SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
  }

  /// The seed is the key, the index the low half of the counter, the stream its high half.
  @Test func bitsAreTheFirstHalfOfTheBlock() {
    #expect(CounterRandom(seed: 0, stream: 0).bits(0) == 0xe169_c58d_6627_e8d5)
    #expect(CounterRandom(seed: .max, stream: .max).bits(.max) == 0x41c8_3b0e_408f_276d)
    let random = CounterRandom(seed: 0x299f_31d0_a409_3822, stream: 0x0370_7344_1319_8a2e)
    #expect(random.bits(0x85a3_08d3_243f_6a88) == 0x94fd_cceb_d16c_fe09)
  }

  @Test func seedStreamAndIndexAllMatter() {
    var seen = Set<UInt64>()
    for seed: UInt64 in [0, 1, 1 << 32] {
      for stream: UInt64 in [0, 1, 1 << 32] {
        for index: UInt64 in [0, 1, 1 << 32] { seen.insert(CounterRandom(seed: seed, stream: stream).bits(index)) }
      }
    }
    #expect(seen.count == 27)
  }

  /// Moments within five standard deviations of their sampling error: about one seed in a million would fail.
  @Test func uniformMoments() {
    let random = CounterRandom(seed: 20, stream: 1)
    let n = 100_000
    let values = (0..<n).map { random.uniform(UInt64($0)) }
    #expect(values.allSatisfy { $0 >= 0 && $0 < 1 })
    let mean = values.reduce(0, +) / Double(n)
    #expect(abs(mean - 0.5) < 5 * (1.0 / 12 / Double(n)).squareRoot())
  }

  @Test func normalMoments() {
    let random = CounterRandom(seed: 20, stream: 2)
    let n = 100_000
    let values = (0..<n).map { random.normal(UInt64($0)) }
    #expect(values.allSatisfy { $0.isFinite && abs($0) < 8.7 })
    let mean = values.reduce(0, +) / Double(n)
    let variance = values.reduce(0) { $0 + $1 * $1 } / Double(n)
    let fourth = values.reduce(0) { $0 + $1 * $1 * $1 * $1 } / Double(n)
    #expect(abs(mean) < 5 * (1 / Double(n)).squareRoot())
    #expect(abs(variance - 1) < 5 * (2 / Double(n)).squareRoot())
    #expect(abs(fourth - 3) < 5 * (96 / Double(n)).squareRoot())
  }

  @Test func shuffleIsAPermutationOfItsSeed() {
    func shuffled(_ count: Int, _ seed: UInt64) -> [Int] {
      var indices = [Int](repeating: -1, count: count)
      indices.withUnsafeMutableBufferPointer { CounterRandom(seed: seed, stream: 3).shuffle($0) }
      return indices
    }
    for count in [0, 1, 2, 3, 100] { #expect(shuffled(count, 1).sorted() == Array(0..<count)) }
    #expect(shuffled(100, 1) == shuffled(100, 1))
    #expect(shuffled(100, 1) != shuffled(100, 2))
    #expect(shuffled(100, 1) != Array(0..<100))
  }

  /// Each of the six orders of three comes a sixth of the time, within five standard deviations.
  @Test func shuffleIsFair() {
    var counts: [[Int]: Int] = [:]
    let n = 6000
    for seed in 0..<n {
      var indices = [0, 0, 0]
      indices.withUnsafeMutableBufferPointer { CounterRandom(seed: UInt64(seed), stream: 0).shuffle($0) }
      counts[indices, default: 0] += 1
    }
    #expect(counts.count == 6)
    for count in counts.values { #expect(abs(Double(count) - 1000) < 5 * (6000.0 * 5 / 36).squareRoot()) }
  }
}
