// Losses that treat each column on its own: squared error, binary cross entropy.

/// Adds to `sum` the rows' Σ_c (x − t)² / columns, differences in Float32, squares and sums in Float64;
/// gradient = gradientScale·2·(x − t)/columns. `gradient` may be x or the targets.
@inlinable
func squaredErrorKernel<I: InstructionSet>(
  _ set: I.Type, _ x: UnsafePointer<Float>, _ targets: UnsafePointer<Float>, rows: Int, columns: Int,
  gradient: UnsafeMutablePointer<Float>?, gradientScale: Float, sum: UnsafeMutablePointer<Double>
) {
  let factor = I.Vector(repeating: Float(2 * Double(gradientScale) / Double(columns)))
  for r in 0..<rows {
    let row = x + r * columns
    let t = targets + r * columns
    var squares = I.Double64(repeating: 0)
    var c = 0
    while c < columns {
      let rest = columns - c
      let d = I.load(upTo: rest, row + c) - I.load(upTo: rest, t + c)
      let wide = I.widened(d)
      squares = I.multiplyAdd(wide, wide, squares)
      if let gradient { I.store(upTo: rest, d * factor, gradient + r * columns + c) }
      c += I.lanes
    }
    sum.pointee += squares.sum() / Double(columns)
  }
}

/// Adds to `sum` the rows' Σ_c (max(x, 0) − x·t + log(1 + e^−|x|)) / columns, and to `correct` the rows in which every column has
/// (x > 0) == (t > ½) and none is NaN; gradient = gradientScale·(sigmoid(x) − t)/columns. `gradient` may be the logits or the targets.
///
/// The first two terms are taken as |x|·(x > 0 ? 1 − t : t), which does not cancel. Terms in Float32, sums in Float64.
/// Edge cases: an infinite logit costs nothing where the target is 1 on its side and 0 on the other, and is infinitely wrong elsewhere; NaN
/// stays NaN.
@inlinable
func binaryCrossEntropyKernel<I: InstructionSet>(
  _ set: I.Type, _ x: UnsafePointer<Float>, _ targets: UnsafePointer<Float>, rows: Int, columns: Int,
  gradient: UnsafeMutablePointer<Float>?, gradientScale: Float, sum: UnsafeMutablePointer<Double>,
  correct: UnsafeMutablePointer<Int>
) {
  let factor = I.Vector(repeating: Float(Double(gradientScale) / Double(columns)))
  let zero = I.Vector(repeating: 0)
  let one = I.Vector(repeating: 1)
  let half = I.Vector(repeating: 0.5)
  for r in 0..<rows {
    let row = x + r * columns
    let t = targets + r * columns
    var losses = I.Double64(repeating: 0)
    var wrong = zero
    // A missing column looks like x = −200, t = 0: right, and without loss.
    var c = 0
    while c < columns {
      let rest = columns - c
      let v = I.load(upTo: rest, row + c, padding: -200)
      let target = I.load(upTo: rest, t + c)
      let magnitude = ActivationMath.magnitude(set, v)
      let distance = I.whereLess(zero, v, 1 - target, target)
      let tail = ActivationMath.logarithmOfOnePlus(set, ActivationMath.exponential(set, zero - magnitude))
      // Without distance there is no cost, however far out the logit is.
      let counted = I.whereEqual(distance, zero, zero, magnitude)
      losses += I.widened(I.multiplyAdd(counted, distance, tail))
      let difference = I.whereLess(zero, v, one, zero) - I.whereLess(half, target, one, zero)
      wrong += difference * difference + I.whereEqual(v, v, zero, one)
      if let gradient {
        let d = (ActivationMath.sigmoid(set, v) - target) * factor
        I.store(upTo: rest, d, gradient + r * columns + c)
      }
      c += I.lanes
    }
    sum.pointee += losses.sum() / Double(columns)
    if wrong.sum() == 0 { correct.pointee += 1 }
  }
}
