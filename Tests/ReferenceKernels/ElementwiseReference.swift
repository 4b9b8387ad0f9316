// Elementwise functions in Float64, from libm.
#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

public enum Reference {
  public static func sigmoid(_ x: Double) -> Double { x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)) }
  public static func tanh(_ x: Double) -> Double { libraryTanh(x) }
  public static func exponential(_ x: Double) -> Double { exp(x) }
  public static func logarithm(_ x: Double) -> Double { log(x) }
  public static func relu(_ x: Double) -> Double { x < 0 ? 0 : x }
  public static func power(_ x: Double, _ y: Double) -> Double { pow(x, y) }

  /// The distance of a Float32 from the true value, in units in the last place of the true value rounded; 0 for the same NaN or infinity.
  public static func ulps(_ got: Float, _ want: Double) -> Double {
    let rounded = Float(want)
    if got.isNaN || rounded.isNaN { return got.isNaN && rounded.isNaN ? 0 : .infinity }
    if got.isInfinite || rounded.isInfinite {
      if got == rounded { return 0 }
      // One of both sides of the overflow: the neighbour of ∞ is one unit from it.
      return abs(got) == .greatestFiniteMagnitude || abs(rounded) == .greatestFiniteMagnitude ? 1 : .infinity
    }
    return abs(Double(got) - want) / Double(rounded.ulp)
  }

  /// Philox4x32-10 in plain 64-bit arithmetic: four words for a counter and a key.
  public static func philox(_ counter: [UInt32], _ key: [UInt32]) -> [UInt32] {
    var c = counter
    var k = key
    for _ in 0..<10 {
      let p = UInt64(c[0]) * 0xD251_1F53
      let q = UInt64(c[2]) * 0xCD9E_8D57
      c = [UInt32(q >> 32) ^ c[1] ^ k[0], UInt32(q & 0xffff_ffff), UInt32(p >> 32) ^ c[3] ^ k[1], UInt32(p & 0xffff_ffff)]
      k = [k[0] &+ 0x9E37_79B9, k[1] &+ 0xBB67_AE85]
    }
    return c
  }

  /// Whether dropout keeps element i: the rule of the documentation, word for word.
  public static func isKept(_ i: Int, rate: Float, key: UInt64) -> Bool {
    let block = UInt64(8 * (i / 32) + (i % 16) / 2)
    let words = philox(
      [UInt32(truncatingIfNeeded: block), UInt32(block >> 32), 0, 0],
      [UInt32(truncatingIfNeeded: key), UInt32(truncatingIfNeeded: key >> 32)])
    let word = words[i % 2 + 2 * (i / 16 % 2)]
    return Double(word >> 1) >= (Double(rate) * 0x1p31).rounded()
  }
}

/// Outside the enum, whose own tanh hides it.
private func libraryTanh(_ x: Double) -> Double { tanh(x) }
