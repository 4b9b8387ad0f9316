// The kernels of MartletKernels, compiled for AVX2 with FMA. The tag is internal: no other target may specialise for it.
import CMartletShims
import MartletKernels

enum AVX2: InstructionSet {
  typealias Vector = SIMD8<Float>
  typealias Double64 = SIMD8<Double>
  typealias Integer = SIMD8<Int32>
  typealias Words = SIMD4<UInt64>

  static var tileVectors: Int { 2 }

  @inline(__always)
  static func multiplyAdd(_ a: Vector, _ b: Vector, _ c: Vector) -> Vector { martlet_f32x8_multiply_add(a, b, c) }
  @inline(__always)
  static func multiplyAdd(_ a: Double64, _ b: Double64, _ c: Double64) -> Double64 {
    martlet_f64x8_multiply_add(a, b, c)
  }

  @inline(__always)
  static func widened(_ v: Vector) -> Double64 { martlet_f32x8_widened(v) }
  @inline(__always)
  static func narrowed(_ v: Double64) -> Vector { martlet_f64x8_narrowed(v) }

  @inline(__always)
  static func bits(_ v: Vector) -> Integer { unsafeBitCast(v, to: Integer.self) }
  @inline(__always)
  static func vector(bits: Integer) -> Vector { unsafeBitCast(bits, to: Vector.self) }
  @inline(__always)
  static func converted(_ v: Integer) -> Vector { martlet_i32x8_converted(v) }

  @inline(__always)
  static func maximum(_ a: Vector, _ b: Vector) -> Vector { martlet_f32x8_maximum(a, b) }
  @inline(__always)
  static func minimum(_ a: Vector, _ b: Vector) -> Vector { martlet_f32x8_minimum(a, b) }
  @inline(__always)
  static func whereLess(_ a: Vector, _ b: Vector, _ chosen: Vector, _ otherwise: Vector) -> Vector {
    martlet_f32x8_where_less(a, b, chosen, otherwise)
  }
  @inline(__always)
  static func whereEqual(_ a: Vector, _ b: Vector, _ chosen: Vector, _ otherwise: Vector) -> Vector {
    martlet_f32x8_where_equal(a, b, chosen, otherwise)
  }

  @inline(__always)
  static func product(_ a: Words, _ b: UInt64) -> Words { (a & 0xffff_ffff) &* b }

  @inline(__always)
  static func stream(_ v: Vector, _ p: UnsafeMutablePointer<Float>) { martlet_f32x8_stream(v, p) }
  @inline(__always)
  static func streamFence() { martlet_stream_fence() }
  @inline(__always)
  static func prefetch(_ p: UnsafeRawPointer) { martlet_prefetch(p) }
  @inline(__always)
  static func prefetchFar(_ p: UnsafeRawPointer) { martlet_prefetch_far(p) }

  @inline(__always)
  static func load(first count: Int, _ p: UnsafePointer<Float>) -> Vector { martlet_f32x8_load_first(count, p) }
  @inline(__always)
  static func store(first count: Int, _ v: Vector, _ p: UnsafeMutablePointer<Float>) { martlet_f32x8_store_first(count, v, p) }

  @inline(__always)
  static func transpose(
    _ columns: UnsafePointer<Float>, count: Int, columnStride: Int, into rows: UnsafeMutablePointer<Float>, rowStride: Int
  ) {
    martlet_f32x8_transpose(columns, count, columnStride, rows, rowStride)
  }

  @inline(__always)
  static func widened(halves: UnsafePointer<Half>) -> Vector { martlet_f32x8_from_halves(UnsafeRawPointer(halves)) }

  @inline(__always)
  static func squareRoot(_ v: Vector) -> Vector { martlet_f32x8_square_root(v) }
  @inline(__always)
  static func squareRoot(_ v: Double64) -> Double64 { martlet_f64x8_square_root(v) }
}

@inline(never)
public func makeAVX2Table() -> KernelTable { KernelTable("avx2", AVX2.self) }
