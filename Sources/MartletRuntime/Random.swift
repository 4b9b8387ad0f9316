// Random numbers that depend on (seed, stream, index) alone, so that threads and order do not matter.

/// Counter-based generator (Philox4x32-10, Salmon et al. 2011).
public struct CounterRandom: Sendable {
  public init(seed: UInt64, stream: UInt64) { fatalError("stub") }
  /// 64 random bits for index i.
  public func bits(_ index: UInt64) -> UInt64 { fatalError("stub") }
  /// Uniform in [0, 1), 53 bits.
  public func uniform(_ index: UInt64) -> Double { fatalError("stub") }
  /// Standard normal.
  public func normal(_ index: UInt64) -> Double { fatalError("stub") }
  /// A permutation of 0..<count (Fisher–Yates) written to `indices`, allocating nothing.
  public func shuffle(_ indices: UnsafeMutableBufferPointer<Int>) { fatalError("stub") }
}
