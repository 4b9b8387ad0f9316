// The kernels of MartletKernels, compiled for what every CPU of the architecture has. The tag is internal: no other target may specialise for it.
import CMartletShims
import MartletKernels

enum Baseline: InstructionSet {
  typealias Vector = SIMD4<Float>
  typealias Double64 = SIMD4<Double>
  typealias Integer = SIMD4<Int32>
  typealias Words = SIMD2<UInt64>

  #if arch(arm64)
    static var tileVectors: Int { 4 }
  #else
    static var tileVectors: Int { 2 }
  #endif

  @inline(__always)
  static func multiplyAdd(_ a: Vector, _ b: Vector, _ c: Vector) -> Vector { martlet_f32x4_multiply_add(a, b, c) }
  @inline(__always)
  static func multiplyAdd(_ a: Double64, _ b: Double64, _ c: Double64) -> Double64 {
    martlet_f64x4_multiply_add(a, b, c)
  }

  @inline(__always)
  static func widened(_ v: Vector) -> Double64 { martlet_f32x4_widened(v) }
  @inline(__always)
  static func narrowed(_ v: Double64) -> Vector { martlet_f64x4_narrowed(v) }

  @inline(__always)
  static func bits(_ v: Vector) -> Integer { unsafeBitCast(v, to: Integer.self) }
  @inline(__always)
  static func vector(bits: Integer) -> Vector { unsafeBitCast(bits, to: Vector.self) }
  @inline(__always)
  static func converted(_ v: Integer) -> Vector { martlet_i32x4_converted(v) }

  @inline(__always)
  static func maximum(_ a: Vector, _ b: Vector) -> Vector { martlet_f32x4_maximum(a, b) }
  @inline(__always)
  static func minimum(_ a: Vector, _ b: Vector) -> Vector { martlet_f32x4_minimum(a, b) }
  @inline(__always)
  static func whereLess(_ a: Vector, _ b: Vector, _ chosen: Vector, _ otherwise: Vector) -> Vector {
    martlet_f32x4_where_less(a, b, chosen, otherwise)
  }
  @inline(__always)
  static func whereEqual(_ a: Vector, _ b: Vector, _ chosen: Vector, _ otherwise: Vector) -> Vector {
    martlet_f32x4_where_equal(a, b, chosen, otherwise)
  }

  @inline(__always)
  static func product(_ a: Words, _ b: UInt64) -> Words { (a & 0xffff_ffff) &* b }

  @inline(__always)
  static func stream(_ v: Vector, _ p: UnsafeMutablePointer<Float>) { martlet_f32x4_stream(v, p) }
  @inline(__always)
  static func streamFence() { martlet_stream_fence() }
  @inline(__always)
  static func prefetch(_ p: UnsafeRawPointer) { martlet_prefetch(p) }
  @inline(__always)
  static func prefetchFar(_ p: UnsafeRawPointer) { martlet_prefetch_far(p) }

  @inline(__always)
  static func transpose(
    _ columns: UnsafePointer<Float>, count: Int, columnStride: Int, into rows: UnsafeMutablePointer<Float>, rowStride: Int
  ) {
    martlet_f32x4_transpose(columns, count, columnStride, rows, rowStride)
  }

  @inline(__always)
  static func widened(halves: UnsafePointer<Half>) -> Vector { martlet_f32x4_from_halves(UnsafeRawPointer(halves)) }

  @inline(__always)
  static func squareRoot(_ v: Vector) -> Vector { martlet_f32x4_square_root(v) }
  @inline(__always)
  static func squareRoot(_ v: Double64) -> Double64 { martlet_f64x4_square_root(v) }
}

@inline(never)
public func makeBaselineTable() -> KernelTable { KernelTable("baseline", Baseline.self) }
