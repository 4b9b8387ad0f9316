// The loops over contiguous values that elementwise kernels share; each call is inlined with its body.

/// Loops over `count` values: whole vectors, then one partial vector whose missing lanes are zero.
///
/// A value takes the same arithmetic wherever it lies, so results do not depend on how a caller cuts its range. The output
/// may be an input: each place is read before it is written. Any alignment, any count including 0; nothing outside the range is touched.
public enum VectorLoops {
  /// y[i] = f(x[i])
  @inlinable @inline(__always)
  public static func map<I: InstructionSet>(
    _ set: I.Type, _ x: UnsafePointer<Float>, count: Int, into y: UnsafeMutablePointer<Float>, _ f: (I.Vector) -> I.Vector
  ) {
    var i = 0
    while i + I.lanes <= count {
      I.store(f(I.load(x + i)), y + i)
      i += I.lanes
    }
    let rest = count - i
    if rest > 0 { I.store(first: rest, f(I.load(first: rest, x + i)), y + i) }
  }

  /// y[i] = f(a[i], b[i])
  @inlinable @inline(__always)
  public static func map<I: InstructionSet>(
    _ set: I.Type, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int, into y: UnsafeMutablePointer<Float>,
    _ f: (I.Vector, I.Vector) -> I.Vector
  ) {
    var i = 0
    while i + I.lanes <= count {
      I.store(f(I.load(a + i), I.load(b + i)), y + i)
      i += I.lanes
    }
    let rest = count - i
    if rest > 0 { I.store(first: rest, f(I.load(first: rest, a + i), I.load(first: rest, b + i)), y + i) }
  }

  /// y[i] = f(a[i], b[i], y[i])
  @inlinable @inline(__always)
  public static func update<I: InstructionSet>(
    _ set: I.Type, _ y: UnsafeMutablePointer<Float>, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int,
    _ f: (I.Vector, I.Vector, I.Vector) -> I.Vector
  ) {
    var i = 0
    while i + I.lanes <= count {
      I.store(f(I.load(a + i), I.load(b + i), I.load(y + i)), y + i)
      i += I.lanes
    }
    let rest = count - i
    if rest > 0 {
      let v = f(I.load(first: rest, a + i), I.load(first: rest, b + i), I.load(first: rest, y + i))
      I.store(first: rest, v, y + i)
    }
  }

  /// Calls f with the vectors of x and their first index; the lanes that the last one lacks hold `padding`.
  @inlinable @inline(__always)
  public static func forEach<I: InstructionSet>(
    _ set: I.Type, _ x: UnsafePointer<Float>, count: Int, padding: Float, _ f: (I.Vector, Int) -> Void
  ) {
    var i = 0
    while i + I.lanes <= count {
      f(I.load(x + i), i)
      i += I.lanes
    }
    let rest = count - i
    if rest > 0 { f(load(set, first: rest, x + i, padding: padding), i) }
  }

  /// The first `count` (less than a vector) values at x, `padding` after them.
  @inlinable @inline(__always)
  public static func load<I: InstructionSet>(
    _ set: I.Type, first count: Int, _ x: UnsafePointer<Float>, padding: Float
  ) -> I.Vector {
    var v = I.Vector(repeating: padding)
    for lane in 0..<count { v[lane] = x[lane] }
    return v
  }
}
