// The kernels of MartletKernels, compiled for what every CPU of the architecture has. The tag is internal: no other target may specialise for it.
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

  #if arch(arm64)
    @inline(__always)
    static func multiplyAdd(_ a: Vector, _ b: Vector, _ c: Vector) -> Vector { c.addingProduct(a, b) }
    @inline(__always)
    static func multiplyAdd(_ a: Double64, _ b: Double64, _ c: Double64) -> Double64 { c.addingProduct(a, b) }
  #else
    // Without the instruction, `addingProduct` would call libm's fmaf once a lane. The sum comes first, so that it stays in its register.
    @inline(__always)
    static func multiplyAdd(_ a: Vector, _ b: Vector, _ c: Vector) -> Vector { c + a * b }
    @inline(__always)
    static func multiplyAdd(_ a: Double64, _ b: Double64, _ c: Double64) -> Double64 { c + a * b }
  #endif

  @inline(__always)
  static func widened(_ v: Vector) -> Double64 {
    // One lane after the other becomes one instruction; `Double64(v)` stays a call.
    var result = Double64()
    for lane in 0..<4 { result[lane] = Double(v[lane]) }
    return result
  }
  @inline(__always)
  static func narrowed(_ v: Double64) -> Vector {
    var result = Vector()
    for lane in 0..<4 { result[lane] = Float(v[lane]) }
    return result
  }

  @inline(__always)
  static func bits(_ v: Vector) -> Integer { unsafeBitCast(v, to: Integer.self) }
  @inline(__always)
  static func vector(bits: Integer) -> Vector { unsafeBitCast(bits, to: Vector.self) }
  @inline(__always)
  static func converted(_ v: Integer) -> Vector {
    var result = Vector()
    for lane in 0..<4 { result[lane] = Float(v[lane]) }
    return result
  }

  @inline(__always)
  static func maximum(_ a: Vector, _ b: Vector) -> Vector { b.replacing(with: a, where: a .> b) }
  @inline(__always)
  static func minimum(_ a: Vector, _ b: Vector) -> Vector { b.replacing(with: a, where: a .< b) }
  @inline(__always)
  static func whereLess(_ a: Vector, _ b: Vector, _ chosen: Vector, _ otherwise: Vector) -> Vector {
    otherwise.replacing(with: chosen, where: a .< b)
  }
  @inline(__always)
  static func whereEqual(_ a: Vector, _ b: Vector, _ chosen: Vector, _ otherwise: Vector) -> Vector {
    otherwise.replacing(with: chosen, where: a .== b)
  }

  @inline(__always)
  static func product(_ a: Words, _ b: UInt64) -> Words { (a & 0xffff_ffff) &* b }

  @inline(__always)
  static func squareRoot(_ v: Vector) -> Vector { v.squareRoot() }
  @inline(__always)
  static func squareRoot(_ v: Double64) -> Double64 { v.squareRoot() }
}

@inline(never)
public func makeBaselineTable() -> KernelTable { KernelTable("baseline", Baseline.self) }
