// Random numbers that depend on (seed, stream, index) alone, so that threads and order do not matter.
#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// Philox4x32 with ten rounds: a keyed bijection of 128 bits that passes the usual statistical batteries.
///
/// Source: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
public enum Philox {
  /// The block of four words for one counter value.
  public static func block(counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
    var c = counter
    var k = key
    for _ in 0..<10 {
      let p = UInt64(c[0]) &* 0xD251_1F53
      let q = UInt64(c[2]) &* 0xCD9E_8D57
      c = SIMD4(
        UInt32(truncatingIfNeeded: q >> 32) ^ c[1] ^ k[0], UInt32(truncatingIfNeeded: q),
        UInt32(truncatingIfNeeded: p >> 32) ^ c[3] ^ k[1], UInt32(truncatingIfNeeded: p))
      // The key schedule is a Weyl sequence: the golden ratio and √3 − 1.
      k = k &+ SIMD2(0x9E37_79B9, 0xBB67_AE85)
    }
    return c
  }
}

/// Counter-based generator (Philox4x32-10): the value at an index is a function of (seed, stream, index), and two streams of
/// one seed share no block.
public struct CounterRandom: Sendable {
  private let key: SIMD2<UInt32>
  private let stream: SIMD2<UInt32>

  public init(seed: UInt64, stream: UInt64) {
    key = Self.words(seed)
    self.stream = Self.words(stream)
  }

  private static func words(_ x: UInt64) -> SIMD2<UInt32> {
    SIMD2(UInt32(truncatingIfNeeded: x), UInt32(truncatingIfNeeded: x >> 32))
  }

  private func block(_ index: UInt64) -> SIMD2<UInt64> {
    let i = Self.words(index)
    let b = Philox.block(counter: SIMD4(i[0], i[1], stream[0], stream[1]), key: key)
    return SIMD2(UInt64(b[1]) << 32 | UInt64(b[0]), UInt64(b[3]) << 32 | UInt64(b[2]))
  }

  /// 64 random bits for index i.
  public func bits(_ index: UInt64) -> UInt64 { block(index)[0] }

  /// Uniform in [0, 1), 53 bits.
  public func uniform(_ index: UInt64) -> Double { Double(block(index)[0] >> 11) * 0x1p-53 }

  /// Standard normal.
  ///
  /// Box–Muller, the cosine half: √(−2·ln u)·cos(2πv) from the two halves of one block, u in (0, 1], so at most 8.6 in size.
  public func normal(_ index: UInt64) -> Double {
    let b = block(index)
    let u = Double((b[0] >> 11) + 1) * 0x1p-53
    let v = Double(b[1] >> 11) * 0x1p-53
    return (-2 * log(u)).squareRoot() * cos(2 * Double.pi * v)
  }

  /// A permutation of 0..<count (Fisher–Yates) written to `indices`, allocating nothing.
  ///
  /// Step i draws from index i. A draw below n is the high half of bits·n: its bias is at most n/2⁶⁴.
  public func shuffle(_ indices: UnsafeMutableBufferPointer<Int>) {
    for i in 0..<indices.count { indices[i] = i }
    guard indices.count > 1 else { return }
    for i in stride(from: indices.count - 1, to: 0, by: -1) {
      let j = Int(truncatingIfNeeded: bits(UInt64(i)).multipliedFullWidth(by: UInt64(i) + 1).high)
      indices.swapAt(i, j)
    }
  }
}
