// Softmax of each row and its gradient.

/// `y[r, c] = e^(x[r, c] − max_r) / Σ_c …`; y may be x.
///
/// The sum is gathered in Float64. Edge cases: a row with a NaN, a +∞, or nothing above −∞ is NaN throughout.
@inlinable
func softmaxKernel<I: InstructionSet>(
  _ set: I.Type, _ x: UnsafePointer<Float>, rows: Int, columns: Int, into y: UnsafeMutablePointer<Float>
) {
  guard columns > 0 else { return }
  for r in 0..<rows {
    let row = x + r * columns
    let out = y + r * columns
    let largest = RowReduction.maximum(set, row, count: columns)
    let sum = shiftedExponentials(set, row, columns: columns, largest: largest, into: out)
    let factor = I.Vector(repeating: Float(1 / sum))
    VectorLoops.map(set, UnsafePointer(out), count: columns, into: out) { $0 * factor }
  }
}

/// y[c] = e^(x[c] − largest); returns their sum.
@inlinable @inline(__always)
func shiftedExponentials<I: InstructionSet>(
  _ set: I.Type, _ x: UnsafePointer<Float>, columns: Int, largest: Float, into y: UnsafeMutablePointer<Float>
) -> Double {
  let shift = I.Vector(repeating: largest)
  var sum = I.Double64(repeating: 0)
  var c = 0
  while c + I.lanes <= columns {
    let e = ActivationMath.exponential(set, I.load(x + c) - shift)
    I.store(e, y + c)
    sum += I.widened(e)
    c += I.lanes
  }
  let rest = columns - c
  if rest > 0 {
    // e^−∞ adds nothing to the sum. (largest = ±∞ makes NaN of it, as of the rest of the row.)
    let e = ActivationMath.exponential(set, VectorLoops.load(set, first: rest, x + c, padding: -.infinity) - shift)
    I.store(first: rest, e, y + c)
    sum += I.widened(e)
  }
  return sum.sum()
}

/// `gradInput (+)= y·(gradOutput − Σ_c gradOutput·y)`; gradInput may be gradOutput.
///
/// The sum of products is gathered in Float64 from exact products.
@inlinable
func softmaxGradientKernel<I: InstructionSet>(
  _ set: I.Type, gradOutput: UnsafePointer<Float>, output: UnsafePointer<Float>, rows: Int, columns: Int,
  into gradInput: UnsafeMutablePointer<Float>, accumulate: Bool
) {
  for r in 0..<rows {
    let g = gradOutput + r * columns
    let y = output + r * columns
    let out = gradInput + r * columns
    var sum = I.Double64(repeating: 0)
    var c = 0
    while c + I.lanes <= columns {
      sum = I.multiplyAdd(I.widened(I.load(g + c)), I.widened(I.load(y + c)), sum)
      c += I.lanes
    }
    var total = columns >= I.lanes ? sum.sum() : 0
    while c < columns {
      total += Double(g[c]) * Double(y[c])
      c += 1
    }
    let dot = I.Vector(repeating: Float(total))
    if accumulate {
      VectorLoops.update(set, out, g, y, count: columns) { g, y, old in I.multiplyAdd(y, g - dot, old) }
    } else {
      VectorLoops.map(set, g, y, count: columns, into: out) { g, y in y * (g - dot) }
    }
  }
}
