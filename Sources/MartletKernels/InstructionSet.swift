// What a kernel may ask of the machine it is compiled for.

/// One instruction set: a vector of Float32, its companions with as many lanes, and the operations whose best machine code
/// only a concrete vector type gets.
///
/// Every kernel is generic over the tag, never over the vector type alone: two targets that specialise one generic for the
/// same vector type emit the same weak symbol, and the linker keeps either of them. For the same reason a kernel takes
/// comparisons, extremes and clamping from here and not from `SIMD`: there they are generic, stay calls into weak symbols
/// (`pointwiseMax`, `clamped`) or expand lane by lane (`replacing(with:where:)`). The plain operators (`+ - * / &+ &<< ^`),
/// `init(repeating:)`, subscripts and `sum()` do become single instructions in generic code.
public protocol InstructionSet: SendableMetatype {
  /// As many Float32 as one register holds.
  associatedtype Vector: SIMD where Vector.Scalar == Float
  /// The same number of lanes in Float64 (two registers).
  associatedtype Double64: SIMD where Double64.Scalar == Double
  /// The same number of lanes as bit patterns, for work on exponents and signs.
  associatedtype Integer: SIMD where Integer.Scalar == Int32
  /// Half as many lanes in UInt64 (one register), for products of 32-bit integers.
  associatedtype Words: SIMD where Words.Scalar == UInt64

  /// Width of the widest matrix tile in vectors, 4 or 2: with six rows, 4 fill 32 registers and 2 fill 16.
  static var tileVectors: Int { get }

  /// a·b + c, in one rounding only where the hardware does it so.
  static func multiplyAdd(_ a: Vector, _ b: Vector, _ c: Vector) -> Vector
  /// a·b + c, in one rounding only where the hardware does it so.
  static func multiplyAdd(_ a: Double64, _ b: Double64, _ c: Double64) -> Double64

  /// Each lane as Float64, exactly.
  static func widened(_ v: Vector) -> Double64
  /// Each lane rounded to the nearest Float32.
  static func narrowed(_ v: Double64) -> Vector

  /// The lane's bit pattern.
  static func bits(_ v: Vector) -> Integer
  /// The lane with this bit pattern.
  static func vector(bits: Integer) -> Vector
  /// Each lane as Float32, rounded to nearest.
  static func converted(_ v: Integer) -> Vector

  /// `a > b ? a : b` a lane, so `b` where either is NaN.
  static func maximum(_ a: Vector, _ b: Vector) -> Vector
  /// `a < b ? a : b` a lane, so `b` where either is NaN.
  static func minimum(_ a: Vector, _ b: Vector) -> Vector
  /// `a < b ? chosen : otherwise` a lane; a comparison with NaN is false.
  static func whereLess(_ a: Vector, _ b: Vector, _ chosen: Vector, _ otherwise: Vector) -> Vector
  /// `a == b ? chosen : otherwise` a lane; with `a` as both operands it tells numbers from NaN.
  static func whereEqual(_ a: Vector, _ b: Vector, _ chosen: Vector, _ otherwise: Vector) -> Vector

  /// The low 32 bits of each lane times `b` < 2³², all 64 bits of it.
  static func product(_ a: Words, _ b: UInt64) -> Words

  /// Writes the vector past the caches, to an address aligned to it; ``streamFence()`` must follow before another thread is told.
  static func stream(_ v: Vector, _ p: UnsafeMutablePointer<Float>)
  static func streamFence()

  /// Asks for the line at `p`, which need not be readable.
  static func prefetch(_ p: UnsafeRawPointer)
  /// The same, but not as far as the first-level cache: for what is wanted later than what is there now.
  static func prefetchFar(_ p: UnsafeRawPointer)

  /// The first `count` (less than `lanes`) values at `p`, zeros after them; memory past them is not touched.
  static func load(first count: Int, _ p: UnsafePointer<Float>) -> Vector
  /// Writes the first `count` (less than `lanes`) lanes; memory past them is not touched.
  static func store(first count: Int, _ v: Vector, _ p: UnsafeMutablePointer<Float>)

  /// Four rows of `lanes` values from columns each of which lies side by side: row k, column j is `columns[j·columnStride + k]`.
  /// Of `count` columns, if these are fewer; the last stands for those that are missing.
  static func transpose(
    _ columns: UnsafePointer<Float>, count: Int, columnStride: Int, into rows: UnsafeMutablePointer<Float>, rowStride: Int)

  /// `lanes` half-precision numbers, exactly.
  static func widened(halves: UnsafePointer<Half>) -> Vector

  static func squareRoot(_ v: Vector) -> Vector
  static func squareRoot(_ v: Double64) -> Double64
}

extension InstructionSet {
  /// Rows of the tallest matrix tile.
  @inlinable @inline(__always)
  public static var tileRows: Int { 6 }

  /// Width in vectors of the widest tile of a single row: enough independent sums to hide the latency of the additions, and
  /// at most 64 columns, so that a panel stays in the first-level cache.
  @inlinable @inline(__always)
  public static var rowVectors: Int { lanes < 16 ? 8 : 4 }

  /// Float32 lanes of one vector.
  @inlinable @inline(__always)
  public static var lanes: Int { Vector.scalarCount }

  /// The `lanes` values at `p`, of any alignment.
  @inlinable @inline(__always)
  public static func load(_ p: UnsafePointer<Float>) -> Vector { UnsafeRawPointer(p).loadUnaligned(as: Vector.self) }

  /// The `lanes` values at `p`, of any alignment.
  @inlinable @inline(__always)
  public static func load(_ p: UnsafePointer<Double>) -> Double64 { UnsafeRawPointer(p).loadUnaligned(as: Double64.self) }

  @inlinable @inline(__always)
  public static func store(_ v: Vector, _ p: UnsafeMutablePointer<Float>) {
    UnsafeMutableRawPointer(p).storeBytes(of: v, as: Vector.self)
  }

  @inlinable @inline(__always)
  public static func store(_ v: Double64, _ p: UnsafeMutablePointer<Double>) {
    UnsafeMutableRawPointer(p).storeBytes(of: v, as: Double64.self)
  }

  @inlinable @inline(__always)
  public static func load(first count: Int, _ p: UnsafePointer<Float>) -> Vector {
    var v = Vector(repeating: 0)
    for lane in 0..<count { v[lane] = p[lane] }
    return v
  }

  @inlinable @inline(__always)
  public static func store(first count: Int, _ v: Vector, _ p: UnsafeMutablePointer<Float>) {
    for lane in 0..<count { p[lane] = v[lane] }
  }
}
