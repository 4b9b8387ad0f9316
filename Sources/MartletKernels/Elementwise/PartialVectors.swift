// Whole and partial vectors by one name, so that a loop has one body for both.

// A kernel's loop reads `while i < count { let rest = count - i; … load(upTo: rest, x + i) … i += I.lanes }`. One body, written
// out: a closure handed to a shared loop is called once a vector, because the optimiser leaves it out of line when it is used
// twice. A value meets the same arithmetic wherever it lies, so results do not depend on how a caller cuts its range.
extension InstructionSet {
  /// The next values at `p`, a whole vector if `count` reaches, else `count` of them and then `padding`; memory past them is not touched.
  @inlinable @inline(always)
  public static func load(upTo count: Int, _ p: UnsafePointer<Float>, padding: Float = 0) -> Vector {
    if count >= lanes { return load(p) }
    var v = Vector(repeating: padding)
    for lane in 0..<count { v[lane] = p[lane] }
    return v
  }

  /// Writes a whole vector if `count` reaches, else its first `count` lanes.
  @inlinable @inline(always)
  public static func store(upTo count: Int, _ v: Vector, _ p: UnsafeMutablePointer<Float>) {
    if count >= lanes { return store(v, p) }
    for lane in 0..<count { p[lane] = v[lane] }
  }
}
