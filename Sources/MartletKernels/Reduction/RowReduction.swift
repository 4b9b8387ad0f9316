// Contiguous values to one: sums in Float64, extremes that keep a NaN.

/// Results[r] = the sum, maximum or minimum of row r of `x[rows, columns]`; an empty sum is 0.
@inlinable
func rowReduction<I: InstructionSet>(
  _ set: I.Type, _ function: ReductionKernel, _ x: UnsafePointer<Float>, rows: Int, columns: Int,
  into results: UnsafeMutablePointer<Double>
) {
  switch function {
  case .sum:
    for r in 0..<rows { results[r] = RowReduction.sum(set, x + r * columns, count: columns) }
  case .maximum:
    for r in 0..<rows { results[r] = Double(RowReduction.maximum(set, x + r * columns, count: columns)) }
  case .minimum:
    for r in 0..<rows { results[r] = Double(RowReduction.minimum(set, x + r * columns, count: columns)) }
  }
}

public enum RowReduction {
  /// Σ x[i] in Float64: four running sums, so that additions need not wait for one another.
  @inlinable @inline(always)
  public static func sum<I: InstructionSet>(_ set: I.Type, _ x: UnsafePointer<Float>, count: Int) -> Double {
    var a = I.Double64(repeating: 0)
    var b = a
    var c = a
    var d = a
    var i = 0
    while i + 4 * I.lanes <= count {
      a += I.widened(I.load(x + i))
      b += I.widened(I.load(x + i + I.lanes))
      c += I.widened(I.load(x + i + 2 * I.lanes))
      d += I.widened(I.load(x + i + 3 * I.lanes))
      i += 4 * I.lanes
    }
    while i + I.lanes <= count {
      a += I.widened(I.load(x + i))
      i += I.lanes
    }
    var total = count >= I.lanes ? ((a + b) + (c + d)).sum() : 0
    while i < count {
      total += Double(x[i])
      i += 1
    }
    return total
  }

  /// The largest of at least one value; NaN if any is.
  @inlinable @inline(always)
  public static func maximum<I: InstructionSet>(_ set: I.Type, _ x: UnsafePointer<Float>, count: Int) -> Float {
    extreme(set, true, x, count: count)
  }

  /// The smallest of at least one value; NaN if any is.
  @inlinable @inline(always)
  public static func minimum<I: InstructionSet>(_ set: I.Type, _ x: UnsafePointer<Float>, count: Int) -> Float {
    extreme(set, false, x, count: count)
  }

  @inlinable @inline(always)
  static func extreme<I: InstructionSet>(
    _ set: I.Type, _ isLargest: Bool, _ x: UnsafePointer<Float>, count: Int
  ) -> Float {
    var best = x[0]
    var i = 1
    if count >= I.lanes {
      var a = I.load(x)
      var b = a
      i = I.lanes
      while i + 2 * I.lanes <= count {
        a = Extremes.extreme(set, isLargest, a, I.load(x + i))
        b = Extremes.extreme(set, isLargest, b, I.load(x + i + I.lanes))
        i += 2 * I.lanes
      }
      if i + I.lanes <= count {
        a = Extremes.extreme(set, isLargest, a, I.load(x + i))
        i += I.lanes
      }
      a = Extremes.extreme(set, isLargest, a, b)
      best = a[0]
      for lane in 1..<I.lanes { best = Extremes.extreme(set, isLargest, best, a[lane]) }
    }
    while i < count {
      best = Extremes.extreme(set, isLargest, best, x[i])
      i += 1
    }
    return best
  }
}

/// y[r] = the index of the first largest value of row r; a NaN counts as largest, the first NaN of several wins.
@inlinable
func argmaxKernel<I: InstructionSet>(
  _ set: I.Type, _ x: UnsafePointer<Float>, rows: Int, columns: Int, into y: UnsafeMutablePointer<Int32>
) {
  for r in 0..<rows {
    let row = x + r * columns
    let largest = RowReduction.maximum(set, row, count: columns)
    y[r] = Int32(truncatingIfNeeded: firstIndex(set, of: largest, row, count: columns))
  }
}

/// The first index of a value that is there; NaN is the same as NaN.
@inlinable @inline(always)
func firstIndex<I: InstructionSet>(_ set: I.Type, of value: Float, _ x: UnsafePointer<Float>, count: Int) -> Int {
  var i = 0
  if value == value {
    while i + 1 < count, x[i] != value { i += 1 }
  } else {
    while i + 1 < count, x[i] == x[i] { i += 1 }
  }
  return i
}
