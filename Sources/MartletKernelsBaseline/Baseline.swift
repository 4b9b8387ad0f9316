// The kernels of MartletKernels, compiled for Baseline. The tag is internal: no other target may specialise for it.
import MartletKernels

enum Baseline: InstructionSet {
  typealias Vector = SIMD4<Float>
  typealias Double64 = SIMD4<Double>
  typealias Bits = SIMD4<Int32>
  typealias Words = SIMD2<UInt64>

  @inline(__always)
  static func multiplyAdd(_ a: Vector, _ b: Vector, _ c: Vector) -> Vector { a * b + c }

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
public func makeBaselineTable() -> KernelTable { KernelTable("baseline", Baseline.self) }
