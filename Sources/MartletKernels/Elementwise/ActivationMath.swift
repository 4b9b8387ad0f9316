// Transcendental functions of one vector, written once for every instruction set and inlined into whatever needs them.

/// Sigmoid, tanh, relu, exponential and logarithm of each lane in Float32.
///
/// Range reduction, then a polynomial; no tables, no branches, no calls. The coefficients were fitted here with the Remez
/// exchange at 50 digits, minimising the *relative* error of the function, and rounded to Float32; the error left by the
/// rounded polynomial is named beside each. Rounding to an integer adds and subtracts 1.5·2²³, which leaves the integer in
/// the low bits of the sum: no instruction set needs a conversion for it.
///
/// Largest errors measured, in units in the last place of the result, with fused multiply-add or without: exponential 1.0,
/// logarithm 0.9, log(1 + x) 1.2, sigmoid 2.4, tanh 2.4. (Inlining is demanded, not asked for: `@inline(__always)` gives way in a
/// large caller.)
/// Edge cases: a NaN stays NaN; results below the smallest normal number are exact to the last denormal place.
public enum ActivationMath {
  /// max(x, 0); NaN stays NaN, −0 stays −0.
  @inlinable @inline(always)
  public static func relu<I: InstructionSet>(_ set: I.Type, _ x: I.Vector) -> I.Vector {
    I.maximum(I.Vector(repeating: 0), x)
  }

  /// eˣ; 0 below −103.98, ∞ above 88.73.
  @inlinable @inline(always)
  public static func exponential<I: InstructionSet>(_ set: I.Type, _ x: I.Vector) -> I.Vector {
    let (shifted, p) = reducedExponential(set, clamped(set, x, from: -104, to: 89))
    // In two factors: 2ⁿ itself leaves the normal numbers at both ends of the range. The smaller factor first, which is exact.
    let n = shifted - 0x1.8p23
    let main = clamped(set, n, from: -126, to: 127)
    return (1 + p) * powerOfTwo(set, n - main) * powerOfTwo(set, main)
  }

  /// 1 / (1 + e⁻ˣ), as eˣ / (1 + eˣ): one division, and a small result keeps its relative accuracy.
  ///
  /// sigmoid(0) is exactly ½; above 18 the result is exactly 1, below −103.98 exactly 0.
  @inlinable @inline(always)
  public static func sigmoid<I: InstructionSet>(_ set: I.Type, _ x: I.Vector) -> I.Vector {
    // From 18 on, 1 + eˣ rounds so close to eˣ that the quotient is 1; a cap keeps ∞/∞ away.
    let e = exponential(set, I.minimum(I.Vector(repeating: 18), x))
    return e / (1 + e)
  }

  /// tanh x = m / (m + 2) with m = e^(2|x|) − 1, the sign put back: odd to the last bit.
  ///
  /// m is formed as 2ⁿ·(eʳ − 1) + (2ⁿ − 1), so that a small x keeps its relative accuracy (tanh of a denormal is that
  /// denormal); beyond ±9.02 the result is exactly ±1.
  @inlinable @inline(always)
  public static func tanh<I: InstructionSet>(_ set: I.Type, _ x: I.Vector) -> I.Vector {
    let bits = I.bits(x)
    let sign = bits & I.Integer(repeating: Int32.min)
    let magnitude = I.vector(bits: bits ^ sign)
    // Ten is past saturation, and far from overflow.
    let capped = I.minimum(I.Vector(repeating: 10), magnitude)
    let (shifted, p) = reducedExponential(set, capped + capped)
    let scale = powerOfTwo(set, shifted - 0x1.8p23)
    let m = I.multiplyAdd(scale, p, scale - 1)
    let y = m / (m + 2)
    return I.vector(bits: I.bits(y) | sign)
  }

  /// Natural logarithm; −∞ at ±0, NaN below, ∞ at ∞; denormals are exact arguments too.
  @inlinable @inline(always)
  public static func logarithm<I: InstructionSet>(_ set: I.Type, _ x: I.Vector) -> I.Vector {
    let zero = I.Vector(repeating: 0)
    // A denormal has no exponent of its own: 2²³ times it has.
    let smallest = I.Vector(repeating: 0x1p-126)
    let normal = I.whereLess(x, smallest, x * 0x1p23, x)
    // normal = m·2ᵏ with √½ ≤ m < √2: 0x3f3504f3 are the bits of √½.
    let bits = I.bits(normal)
    let k = (bits &- I.Integer(repeating: 0x3f35_04f3)) & I.Integer(repeating: -0x80_0000)
    let f = I.vector(bits: bits &- k) - 1
    // k is still in its place, 2²³ times what it says.
    let exponent = I.multiplyAdd(
      I.converted(k), I.Vector(repeating: 0x1p-23), I.whereLess(x, smallest, I.Vector(repeating: -23), zero))
    // log(1 + f) = f − f²/2 + f³·c(f); relative error of the fit 2⁻²⁷.
    var c = I.Vector(repeating: -0x1.38b488p-4)
    c = I.multiplyAdd(c, f, I.Vector(repeating: 0x1.0559b6p-3))
    c = I.multiplyAdd(c, f, I.Vector(repeating: -0x1.0d84a4p-3))
    c = I.multiplyAdd(c, f, I.Vector(repeating: 0x1.22da4cp-3))
    c = I.multiplyAdd(c, f, I.Vector(repeating: -0x1.547258p-3))
    c = I.multiplyAdd(c, f, I.Vector(repeating: 0x1.99a006p-3))
    c = I.multiplyAdd(c, f, I.Vector(repeating: -0x1.000226p-2))
    c = I.multiplyAdd(c, f, I.Vector(repeating: 0x1.555554p-2))
    let square = f * f
    var tail = I.multiplyAdd(exponent, I.Vector(repeating: 0x1.7f7d1cp-20), square * (f * c))
    tail = I.multiplyAdd(square, I.Vector(repeating: -0.5), tail)
    var y = I.multiplyAdd(exponent, I.Vector(repeating: 0x1.62e4p-1), f + tail)
    // What has no logarithm went through the above as some finite number.
    y = I.whereLess(x, zero, I.Vector(repeating: .nan), y)
    y = I.whereEqual(x, zero, I.Vector(repeating: -.infinity), y)
    return I.whereLess(x, I.Vector(repeating: .infinity), y, x)
  }

  /// log(1 + x) for 0 ≤ x ≤ 1, with the relative accuracy that log(1 + x) itself loses where x is small.
  ///
  /// With u = 1 + x as rounded, log(1 + x) = log u + (x − (u − 1))/u up to the square of the rounding error.
  @inlinable @inline(always)
  public static func logarithmOfOnePlus<I: InstructionSet>(_ set: I.Type, _ x: I.Vector) -> I.Vector {
    let u = 1 + x
    return logarithm(set, u) + (x - (u - 1)) / u
  }

  /// |x|: all bits but the sign.
  @inlinable @inline(always)
  public static func magnitude<I: InstructionSet>(_ set: I.Type, _ x: I.Vector) -> I.Vector {
    I.vector(bits: I.bits(x) & I.Integer(repeating: Int32.max))
  }

  /// Natural logarithm of one Float64, a normal number above 0, to a few units in the last place; NaN and ∞ stay.
  ///
  /// x = m·2ᵏ with √½ ≤ m < √2, and log m = 2·artanh s = 2(s + s³/3 + s⁵/5 + …) with s = (m − 1)/(m + 1), |s| < 0.172: eleven
  /// terms leave 2⁻⁶¹. A generic function, though it needs no vector, so that no other target's code can stand in for it.
  @inlinable @inline(always)
  public static func logarithm<I: InstructionSet>(_ set: I.Type, _ x: Double) -> Double {
    guard x < .infinity else { return x }
    let bits = Int64(bitPattern: x.bitPattern)
    // The bits of √½.
    let k = (bits &- 0x3fe6_a09e_667f_3bcd) &>> 52
    let m = Double(bitPattern: UInt64(bitPattern: bits &- (k &<< 52)))
    let s = (m - 1) / (m + 1)
    let square = s * s
    var series = 1.0 / 21
    var odd = 19.0
    while odd >= 1 {
      series = series * square + 1 / odd
      odd -= 2
    }
    return Double(k) * 0.693147180559945309417 + 2 * s * series
  }

  // MARK: - Parts

  /// n = round(x / ln 2) as a sum with 1.5·2²³, and e^(x − n·ln 2) − 1.
  ///
  /// ln 2 comes in two parts, the first of 15 bits: n times it is exact, and with or without fused multiply-add the
  /// remainder is right to 2⁻³⁵. eʳ − 1 = r + r²·q(r) on |r| ≤ ½·ln 2, relative error of the fit 2⁻²⁸.
  @inlinable @inline(always)
  static func reducedExponential<I: InstructionSet>(
    _ set: I.Type, _ x: I.Vector
  ) -> (shifted: I.Vector, exponentialMinusOne: I.Vector) {
    let shifted = I.multiplyAdd(x, I.Vector(repeating: 0x1.715476p0), I.Vector(repeating: 0x1.8p23))
    let n = shifted - 0x1.8p23
    var r = I.multiplyAdd(n, I.Vector(repeating: -0x1.62e4p-1), x)
    r = I.multiplyAdd(n, I.Vector(repeating: -0x1.7f7d1cp-20), r)
    var q = I.Vector(repeating: 0x1.a03236p-13)
    q = I.multiplyAdd(q, r, I.Vector(repeating: 0x1.6d71e4p-10))
    q = I.multiplyAdd(q, r, I.Vector(repeating: 0x1.11118ap-7))
    q = I.multiplyAdd(q, r, I.Vector(repeating: 0x1.5554b2p-5))
    q = I.multiplyAdd(q, r, I.Vector(repeating: 0x1.555554p-3))
    q = I.multiplyAdd(q, r, I.Vector(repeating: 0x1p-1))
    return (shifted, I.multiplyAdd(r * r, q, r))
  }

  /// 2ⁿ for an integer −126 ≤ n ≤ 127: a sum with 1.5·2²³ has n in its low bits, ready to be moved to the exponent's.
  @inlinable @inline(always)
  static func powerOfTwo<I: InstructionSet>(_ set: I.Type, _ n: I.Vector) -> I.Vector {
    let bits = I.bits(n + (0x1.8p23 + 127))
    return I.vector(bits: bits &<< I.Integer(repeating: 23))
  }

  /// x held within the bounds; NaN stays NaN.
  @inlinable @inline(always)
  static func clamped<I: InstructionSet>(_ set: I.Type, _ x: I.Vector, from low: Float, to high: Float) -> I.Vector {
    I.minimum(I.Vector(repeating: high), I.maximum(I.Vector(repeating: low), x))
  }
}
