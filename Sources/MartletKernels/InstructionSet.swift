// What a kernel may ask of the machine it is compiled for.

/// One instruction set: a vector of Float32, its Float64 companion for exact sums, and multiply-add.
///
/// Every kernel is generic over the tag, never over the vector type alone: two targets that specialise one generic for
/// the same vector type emit the same weak symbol, and the linker keeps either of them.
public protocol InstructionSet {
  /// As many Float32 as one register holds.
  associatedtype Vector: SIMD where Vector.Scalar == Float, Vector.MaskStorage: SIMD
  /// The same number of lanes in Float64 (two registers).
  associatedtype Double64: SIMD where Double64.Scalar == Double
  /// The same number of lanes in Int32: the bit patterns of a vector.
  associatedtype Bits: SIMD where Bits.Scalar == Int32
  /// Half as many lanes in UInt64 (one register), for products of 32-bit integers.
  associatedtype Words: SIMD where Words.Scalar == UInt64

  /// a·b + c, in one rounding only where the hardware does it so.
  static func multiplyAdd(_ a: Vector, _ b: Vector, _ c: Vector) -> Vector
  /// Each lane as Float64, exactly.
  static func widened(_ v: Vector) -> Double64
  // Comparisons and integer products are the tag's because the operators that SIMD offers to generic code compile to a loop
  // over lanes; those of a concrete vector type are one instruction.
  /// a < b in each lane; false where either is NaN.
  static func isLess(_ a: Vector, _ b: Vector) -> SIMDMask<Vector.MaskStorage>
  /// a = b in each lane; false where either is NaN.
  static func isEqual(_ a: Vector, _ b: Vector) -> SIMDMask<Vector.MaskStorage>
  /// The low 32 bits of each lane times `b` < 2³², all 64 bits of it.
  static func product(_ a: Words, _ b: UInt64) -> Words
}
