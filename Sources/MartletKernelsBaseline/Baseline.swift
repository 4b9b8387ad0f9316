// The kernels of MartletKernels, compiled for Baseline. The tag is internal: no other target may specialise for it.
import MartletKernels

enum Baseline: InstructionSet {
  typealias Vector = SIMD4<Float>
  typealias Double64 = SIMD4<Double>

  @inline(__always)
  static func multiplyAdd(_ a: Vector, _ b: Vector, _ c: Vector) -> Vector { a * b + c }

  @inline(__always)
  static func widened(_ v: Vector) -> Double64 { Double64(v) }
}

@inline(never)
public func makeBaselineTable() -> KernelTable { KernelTable("baseline", Baseline.self) }
