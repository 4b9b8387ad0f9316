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

  /// a·b + c, in one rounding only where the hardware does it so.
  static func multiplyAdd(_ a: Vector, _ b: Vector, _ c: Vector) -> Vector
  /// Each lane as Float64, exactly.
  static func widened(_ v: Vector) -> Double64
}
