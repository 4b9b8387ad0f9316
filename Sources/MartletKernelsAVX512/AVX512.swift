// The kernels of MartletKernels, compiled for AVX-512 (F, VL, DQ, BW). The tag is internal: no other target may specialise for it.
import CMartletShims
import MartletKernels

enum AVX512: InstructionSet {
  typealias Vector = SIMD16<Float>
  typealias Double64 = SIMD16<Double>
  typealias Integer = SIMD16<Int32>
  typealias Words = SIMD8<UInt64>

  static var tileVectors: Int { 4 }

  @inline(__always)
  static func multiplyAdd(_ a: Vector, _ b: Vector, _ c: Vector) -> Vector { martlet_f32x16_multiply_add(a, b, c) }
  @inline(__always)
  static func multiplyAdd(_ a: Double64, _ b: Double64, _ c: Double64) -> Double64 {
    martlet_f64x16_multiply_add(a, b, c)
  }

  @inline(__always)
  static func widened(_ v: Vector) -> Double64 { martlet_f32x16_widened(v) }
  @inline(__always)
  static func narrowed(_ v: Double64) -> Vector { martlet_f64x16_narrowed(v) }

  @inline(__always)
  static func bits(_ v: Vector) -> Integer { unsafeBitCast(v, to: Integer.self) }
  @inline(__always)
  static func vector(bits: Integer) -> Vector { unsafeBitCast(bits, to: Vector.self) }
  @inline(__always)
  static func converted(_ v: Integer) -> Vector { martlet_i32x16_converted(v) }

  @inline(__always)
  static func maximum(_ a: Vector, _ b: Vector) -> Vector { martlet_f32x16_maximum(a, b) }
  @inline(__always)
  static func minimum(_ a: Vector, _ b: Vector) -> Vector { martlet_f32x16_minimum(a, b) }
  @inline(__always)
  static func whereLess(_ a: Vector, _ b: Vector, _ chosen: Vector, _ otherwise: Vector) -> Vector {
    martlet_f32x16_where_less(a, b, chosen, otherwise)
  }
  @inline(__always)
  static func whereEqual(_ a: Vector, _ b: Vector, _ chosen: Vector, _ otherwise: Vector) -> Vector {
    martlet_f32x16_where_equal(a, b, chosen, otherwise)
  }

  @inline(__always)
  static func product(_ a: Words, _ b: UInt64) -> Words { (a & 0xffff_ffff) &* b }

  @inline(__always)
  static func stream(_ v: Vector, _ p: UnsafeMutablePointer<Float>) { martlet_f32x16_stream(v, p) }
  @inline(__always)
  static func streamFence() { martlet_stream_fence() }
  @inline(__always)
  static func prefetch(_ p: UnsafeRawPointer) { martlet_prefetch(p) }
  @inline(__always)
  static func prefetchFar(_ p: UnsafeRawPointer) { martlet_prefetch_far(p) }

  @inline(__always)
  static func load(first count: Int, _ p: UnsafePointer<Float>) -> Vector { martlet_f32x16_load_first(count, p) }
  @inline(__always)
  static func store(first count: Int, _ v: Vector, _ p: UnsafeMutablePointer<Float>) { martlet_f32x16_store_first(count, v, p) }

  @inline(__always)
  static func transpose(
    _ columns: UnsafePointer<Float>, count: Int, columnStride: Int, into rows: UnsafeMutablePointer<Float>, rowStride: Int
  ) {
    martlet_f32x16_transpose(columns, count, columnStride, rows, rowStride)
  }

  @inline(__always)
  static func widened(halves: UnsafePointer<Half>) -> Vector { martlet_f32x16_from_halves(UnsafeRawPointer(halves)) }

  @inline(__always)
  static func squareRoot(_ v: Vector) -> Vector { martlet_f32x16_square_root(v) }
  @inline(__always)
  static func squareRoot(_ v: Double64) -> Double64 { martlet_f64x16_square_root(v) }
}

@inline(never)
public func makeAVX512Table() -> KernelTable { KernelTable("avx512", AVX512.self) }
