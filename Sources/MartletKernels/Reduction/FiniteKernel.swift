// Looking for values that are not finite.

/// Whether no value is NaN or infinite.
///
/// x·0 is 0 for a finite x and NaN for every other, and a NaN stays in a sum. Four sums hide the latency of the additions.
@inlinable
func finiteKernel<I: InstructionSet>(_ set: I.Type, _ x: UnsafePointer<Float>, count: Int) -> Bool {
  let zero = I.Vector(repeating: 0)
  var (a, b, c, d) = (zero, zero, zero, zero)
  var i = 0
  while i &+ 4 &* I.lanes <= count {
    a = I.multiplyAdd(I.load(x + i), zero, a)
    b = I.multiplyAdd(I.load(x + i + I.lanes), zero, b)
    c = I.multiplyAdd(I.load(x + i + 2 * I.lanes), zero, c)
    d = I.multiplyAdd(I.load(x + i + 3 * I.lanes), zero, d)
    i += 4 * I.lanes
  }
  while i < count {
    a = I.multiplyAdd(I.load(upTo: count - i, x + i), zero, a)
    i += I.lanes
  }
  return ((a + b) + (c + d)).sum() == 0
}
