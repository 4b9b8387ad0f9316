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
    scaleRow(set, out, columns, by: Float(1 / sum))
  }
}

/// y[c] = e^(x[c] − largest), unless y is nil; returns their sum.
@inlinable @inline(always)
func shiftedExponentials<I: InstructionSet>(
  _ set: I.Type, _ x: UnsafePointer<Float>, columns: Int, largest: Float, into y: UnsafeMutablePointer<Float>?
) -> Double {
  let shift = I.Vector(repeating: largest)
  var sum = I.Double64(repeating: 0)
  var c = 0
  while c < columns {
    let rest = columns - c
    // e^−∞ adds nothing to the sum. (largest = ±∞ makes NaN of it, as of the rest of the row.)
    let e = ActivationMath.exponential(set, I.load(upTo: rest, x + c, padding: -.infinity) - shift)
    if let y { I.store(upTo: rest, e, y + c) }
    sum += I.widened(e)
    c += I.lanes
  }
  return sum.sum()
}

/// y[c] *= factor
@inlinable @inline(always)
func scaleRow<I: InstructionSet>(_ set: I.Type, _ y: UnsafeMutablePointer<Float>, _ columns: Int, by factor: Float) {
  let factor = I.Vector(repeating: factor)
  var c = 0
  while c < columns {
    let rest = columns - c
    I.store(upTo: rest, I.load(upTo: rest, y + c) * factor, y + c)
    c += I.lanes
  }
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
    while c < columns {
      let rest = columns - c
      sum = I.multiplyAdd(I.widened(I.load(upTo: rest, g + c)), I.widened(I.load(upTo: rest, y + c)), sum)
      c += I.lanes
    }
    let dot = I.Vector(repeating: Float(sum.sum()))
    c = 0
    while c < columns {
      let rest = columns - c
      var value = I.load(upTo: rest, y + c) * (I.load(upTo: rest, g + c) - dot)
      if accumulate { value += I.load(upTo: rest, out + c) }
      I.store(upTo: rest, value, out + c)
      c += I.lanes
    }
  }
}
