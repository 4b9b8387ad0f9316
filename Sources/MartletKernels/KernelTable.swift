// Every kernel of one instruction set, as plain functions; the layers above call nothing else.

public struct KernelTable: Sendable {
  /// "baseline", "avx2" or "avx512".
  public let name: String
  /// Float32 lanes of one vector.
  public let lanes: Int
  public let batchNorm: BatchNormKernels

  @inlinable
  public init<I: InstructionSet>(_ name: String, _ set: I.Type) {
    self.name = name
    lanes = I.Vector.scalarCount
    batchNorm = BatchNormKernels(set)
  }
}

public struct BatchNormKernels: Sendable {
  public let moments: @Sendable (UnsafePointer<Float>, Int, UnsafePointer<Float>, UnsafeMutablePointer<Double>) -> Void
  @inlinable public init<I: InstructionSet>(_ set: I.Type) {
    moments = { x, n, p, s in testMoments(I.self, x, n, p, s) }
  }
}
@inlinable
public func testMoments<I: InstructionSet>(_: I.Type, _ x: UnsafePointer<Float>, _ n: Int, _ p: UnsafePointer<Float>, _ s: UnsafeMutablePointer<Double>) {
  let w = I.Vector.scalarCount
  var acc = I.Double64.zero
  let k = I.Vector(repeating: p[0])
  for i in stride(from: 0, to: n - w + 1, by: w) {
    let v = UnsafeRawPointer(x + i).loadUnaligned(as: I.Vector.self) - k
    let q = I.multiplyAdd(v, v, v)
    acc += I.widened(q)
  }
  s[0] = acc.sum()
}
