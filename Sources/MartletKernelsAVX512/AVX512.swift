// The kernels of MartletKernels, compiled for AVX512. The tag is internal: no other target may specialise for it.
import MartletKernels

enum AVX512: InstructionSet {
  typealias Vector = SIMD16<Float>
  typealias Double64 = SIMD16<Double>
  typealias Bits = SIMD16<Int32>
  typealias Words = SIMD8<UInt64>

  @inline(__always)
  static func multiplyAdd(_ a: Vector, _ b: Vector, _ c: Vector) -> Vector { c.addingProduct(a, b) }

  @inline(__always)
  static func widened(_ v: Vector) -> Double64 { Double64(v) }

  @inline(__always)
  static func isLess(_ a: Vector, _ b: Vector) -> SIMDMask<Vector.MaskStorage> { a .< b }

  @inline(__always)
  static func isEqual(_ a: Vector, _ b: Vector) -> SIMDMask<Vector.MaskStorage> { a .== b }

  @inline(__always)
  static func product(_ a: Words, _ b: UInt64) -> Words { (a & 0xffff_ffff) &* b }
}

@inline(never)
public func makeAVX512Table() -> KernelTable { KernelTable("avx512", AVX512.self) }
