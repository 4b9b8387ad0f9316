// The kernels of MartletKernels, compiled for AVX-512 (F, VL, DQ, BW). The tag is internal: no other target may specialise for it.
import MartletKernels

enum AVX512: InstructionSet {
  typealias Vector = SIMD16<Float>
  typealias Double64 = SIMD16<Double>
  typealias Integer = SIMD16<Int32>
  typealias Words = SIMD8<UInt64>

  static var tileVectors: Int { 4 }

  @inline(__always)
  static func multiplyAdd(_ a: Vector, _ b: Vector, _ c: Vector) -> Vector { c.addingProduct(a, b) }
  @inline(__always)
  static func multiplyAdd(_ a: Double64, _ b: Double64, _ c: Double64) -> Double64 { c.addingProduct(a, b) }

  @inline(__always)
  static func widened(_ v: Vector) -> Double64 {
    // One lane after the other becomes one instruction; `Double64(v)` stays a call.
    var result = Double64()
    for lane in 0..<16 { result[lane] = Double(v[lane]) }
    return result
  }
  @inline(__always)
  static func narrowed(_ v: Double64) -> Vector {
    var result = Vector()
    for lane in 0..<16 { result[lane] = Float(v[lane]) }
    return result
  }

  @inline(__always)
  static func bits(_ v: Vector) -> Integer { unsafeBitCast(v, to: Integer.self) }
  @inline(__always)
  static func vector(bits: Integer) -> Vector { unsafeBitCast(bits, to: Vector.self) }
  @inline(__always)
  static func converted(_ v: Integer) -> Vector {
    var result = Vector()
    for lane in 0..<16 { result[lane] = Float(v[lane]) }
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

  @inline(__always)
  static func quads(_ p: UnsafePointer<Float>, stride: Int) -> Vector {
    func quad(_ group: Int) -> SIMD4<Float> { UnsafeRawPointer(p + 4 * group * stride).loadUnaligned(as: SIMD4<Float>.self) }
    return Vector(
      lowHalf: SIMD8(lowHalf: quad(0), highHalf: quad(1)), highHalf: SIMD8(lowHalf: quad(2), highHalf: quad(3)))
  }
  @inline(__always)
  static func transposedQuads(_ a: Vector, _ b: Vector, _ c: Vector, _ d: Vector) -> (Vector, Vector, Vector, Vector) {
    let (ab01, cd01) = (interleavedLow(a, b), interleavedLow(c, d))
    let (ab23, cd23) = (interleavedHigh(a, b), interleavedHigh(c, d))
    return (lowPairs(ab01, cd01), highPairs(ab01, cd01), lowPairs(ab23, cd23), highPairs(ab23, cd23))
  }
  /// a₀ b₀ a₁ b₁ of each four lanes.
  @inline(__always)
  private static func interleavedLow(_ a: Vector, _ b: Vector) -> Vector {
    Vector(
      a[0], b[0], a[1], b[1], a[4], b[4], a[5], b[5],
      a[8], b[8], a[9], b[9], a[12], b[12], a[13], b[13])
  }
  /// a₂ b₂ a₃ b₃ of each four lanes.
  @inline(__always)
  private static func interleavedHigh(_ a: Vector, _ b: Vector) -> Vector {
    Vector(
      a[2], b[2], a[3], b[3], a[6], b[6], a[7], b[7],
      a[10], b[10], a[11], b[11], a[14], b[14], a[15], b[15])
  }
  /// a₀ a₁ b₀ b₁ of each four lanes.
  @inline(__always)
  private static func lowPairs(_ a: Vector, _ b: Vector) -> Vector {
    Vector(
      a[0], a[1], b[0], b[1], a[4], a[5], b[4], b[5],
      a[8], a[9], b[8], b[9], a[12], a[13], b[12], b[13])
  }
  /// a₂ a₃ b₂ b₃ of each four lanes.
  @inline(__always)
  private static func highPairs(_ a: Vector, _ b: Vector) -> Vector {
    Vector(
      a[2], a[3], b[2], b[3], a[6], a[7], b[6], b[7],
      a[10], a[11], b[10], b[11], a[14], a[15], b[14], b[15])
  }
}

@inline(never)
public func makeAVX512Table() -> KernelTable { KernelTable("avx512", AVX512.self) }
