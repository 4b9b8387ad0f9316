// Softmax and cross entropy together: the loss needs only the logarithm of the sum, the gradient only the softmax.

/// Adds to `sum` the rows' losses `log Σ_c e^(x_c − m)·Σt − Σ_c t_c·(x_c − m)`, m the row's maximum, in Float64, and to `correct` the
/// rows whose first largest logit is the label (or the first largest t). A row with a NaN is not right.
///
/// A row whose label has nearly all the weight keeps the relative accuracy of its small loss: the maximum's own term
/// is exactly 1 in the Float64 sum. `gradient` may be the logits.
/// Edge cases: a class of probability 0 contributes nothing, even where its logit is −∞; a NaN or +∞ makes its row NaN.
@inlinable
func crossEntropyKernel<I: InstructionSet>(
  _ set: I.Type, _ logits: UnsafePointer<Float>, rows: Int, classes: Int, labels: UnsafePointer<Int32>?,
  probabilities: UnsafePointer<Float>?, gradient: UnsafeMutablePointer<Float>?, gradientScale: Float,
  sum: UnsafeMutablePointer<Double>, correct: UnsafeMutablePointer<Int>
) {
  guard classes > 0 else { return }
  for r in 0..<rows {
    let x = logits + r * classes
    let g = gradient.map { $0 + r * classes }
    let largest = RowReduction.maximum(set, x, count: classes)
    let predicted = firstIndex(set, of: largest, x, count: classes)
    if let labels {
      let label = Int(labels[r])
      let target = Double(x[label]) - Double(largest)
      let total = shiftedExponentials(set, x, columns: classes, largest: largest, into: g)
      sum.pointee += ActivationMath.logarithm(set, total) - target
      if predicted == label, largest == largest { correct.pointee += 1 }
      if let g {
        scaleRow(set, g, classes, by: Float(Double(gradientScale) / total))
        g[label] -= gradientScale
      }
    } else if let probabilities {
      let t = probabilities + r * classes
      let (weight, target) = weightedLogits(set, x, t, classes, largest)
      let total = shiftedExponentials(set, x, columns: classes, largest: largest, into: g)
      sum.pointee += ActivationMath.logarithm(set, total) * weight - target
      let expected = firstIndex(set, of: RowReduction.maximum(set, t, count: classes), t, count: classes)
      if predicted == expected, largest == largest { correct.pointee += 1 }
      if let g {
        let factor = I.Vector(repeating: Float(Double(gradientScale) * weight / total))
        let scale = I.Vector(repeating: gradientScale)
        var c = 0
        while c < classes {
          let rest = classes - c
          let weighted = I.load(upTo: rest, t + c) * scale
          I.store(upTo: rest, I.load(upTo: rest, g + c) * factor - weighted, g + c)
          c += I.lanes
        }
      }
    }
  }
}

/// Σ_c t_c and Σ_c t_c·(x_c − largest), the second over the classes whose t is not 0.
@inlinable @inline(always)
func weightedLogits<I: InstructionSet>(
  _ set: I.Type, _ x: UnsafePointer<Float>, _ t: UnsafePointer<Float>, _ columns: Int, _ largest: Float
) -> (Double, Double) {
  let zero = I.Vector(repeating: 0)
  let shift = I.Vector(repeating: largest)
  var weight = I.Double64(repeating: 0)
  var sum = I.Double64(repeating: 0)
  var c = 0
  while c < columns {
    let rest = columns - c
    let p = I.load(upTo: rest, t + c)
    let v = I.load(upTo: rest, x + c) - shift
    weight += I.widened(p)
    sum = I.multiplyAdd(I.widened(p), I.widened(I.whereEqual(p, zero, zero, v)), sum)
    c += I.lanes
  }
  return (weight.sum(), sum.sum())
}
