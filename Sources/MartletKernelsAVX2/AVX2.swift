// The kernels of MartletKernels, compiled for AVX2. The tag is internal: no other target may specialise for it.
import MartletKernels

enum AVX2: InstructionSet {
  typealias Vector = SIMD8<Float>
  typealias Double64 = SIMD8<Double>
  typealias Bits = SIMD8<Int32>
  typealias Words = SIMD4<UInt64>

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
public func makeAVX2Table() -> KernelTable { KernelTable("avx2", AVX2.self) }
