// Columns of a matrix to one row: Float64 sums that stay in registers while the rows go by.

/// Results[c] = the sum, maximum or minimum of column c of `x[rows, columns]`, rows `stride` apart; an empty sum is 0, the
/// extremes need a row.
@inlinable
func columnReduction<I: InstructionSet>(
  _ set: I.Type, _ function: ReductionKernel, _ x: UnsafePointer<Float>, rows: Int, columns: Int, stride: Int,
  into results: UnsafeMutablePointer<Double>
) {
  switch function {
  case .sum: columnSums(set, x, rows: rows, columns: columns, stride: stride, into: results)
  case .maximum: columnExtremes(set, true, x, rows, columns, stride, results)
  case .minimum: columnExtremes(set, false, x, rows, columns, stride, results)
  }
}

@inlinable @inline(always)
func columnSums<I: InstructionSet>(
  _ set: I.Type, _ x: UnsafePointer<Float>, rows: Int, columns: Int, stride: Int, into results: UnsafeMutablePointer<Double>
) {
  var c = 0
  // Two vectors at a time take four Float64 registers, and leave a row's cache line to be read at once.
  while c + 2 * I.lanes <= columns {
    var a = I.Double64(repeating: 0)
    var b = a
    var p = x + c
    for _ in 0..<rows {
      a += I.widened(I.load(p))
      b += I.widened(I.load(p + I.lanes))
      p += stride
    }
    I.store(a, results + c)
    I.store(b, results + c + I.lanes)
    c += 2 * I.lanes
  }
  while c + I.lanes <= columns {
    var a = I.Double64(repeating: 0)
    var p = x + c
    for _ in 0..<rows {
      a += I.widened(I.load(p))
      p += stride
    }
    I.store(a, results + c)
    c += I.lanes
  }
  while c < columns {
    results[c] = stridedSum(set, x + c, rows: rows, stride: stride)
    c += 1
  }
}

/// One column by itself: four running sums.
@inlinable @inline(always)
func stridedSum<I: InstructionSet>(_ set: I.Type, _ x: UnsafePointer<Float>, rows: Int, stride: Int) -> Double {
  var sums = SIMD4<Double>(repeating: 0)
  var r = 0
  var p = x
  while r + 4 <= rows {
    sums += SIMD4(Double(p[0]), Double(p[stride]), Double(p[2 * stride]), Double(p[3 * stride]))
    p += 4 * stride
    r += 4
  }
  var total = (sums[0] + sums[1]) + (sums[2] + sums[3])
  while r < rows {
    total += Double(p[0])
    p += stride
    r += 1
  }
  return total
}

@inlinable @inline(always)
func columnExtremes<I: InstructionSet>(
  _ set: I.Type, _ isLargest: Bool, _ x: UnsafePointer<Float>, _ rows: Int, _ columns: Int, _ stride: Int,
  _ results: UnsafeMutablePointer<Double>
) {
  var c = 0
  while c + I.lanes <= columns {
    var best = I.load(x + c)
    var p = x + c
    for _ in 1..<max(rows, 1) {
      p += stride
      best = Extremes.extreme(set, isLargest, best, I.load(p))
    }
    I.store(I.widened(best), results + c)
    c += I.lanes
  }
  while c < columns {
    var best = x[c]
    var p = x + c
    for _ in 1..<max(rows, 1) {
      p += stride
      best = Extremes.extreme(set, isLargest, best, p[0])
    }
    results[c] = Double(best)
    c += 1
  }
}

/// `y[i] (+)= (Σ or extreme over k of partial[k·stride + i]) / divisor`, k ascending, rounded to Float32 once at the end.
@inlinable
func combineChunks<I: InstructionSet>(
  _ set: I.Type, _ function: ReductionKernel, _ partial: UnsafePointer<Double>, stride: Int, chunks: Int, count: Int,
  divisor: Double, into y: UnsafeMutablePointer<Float>, accumulate: Bool
) {
  for i in 0..<count {
    var value = partial[i]
    for k in 1..<max(chunks, 1) {
      let next = partial[k * stride + i]
      switch function {
      case .sum: value += next
      case .maximum: value = value > next || value != value ? value : next
      case .minimum: value = value < next || value != value ? value : next
      }
    }
    value /= divisor
    y[i] = Float(accumulate ? Double(y[i]) + value : value)
  }
}
