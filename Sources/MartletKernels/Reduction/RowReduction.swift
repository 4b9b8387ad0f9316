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
  @inlinable @inline(__always)
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
  @inlinable @inline(__always)
  public static func maximum<I: InstructionSet>(_ set: I.Type, _ x: UnsafePointer<Float>, count: Int) -> Float {
    extreme(set, x, count: count, { Extremes.maximum(set, $0, $1) }, { $0 > $1 || $0 != $0 ? $0 : $1 })
  }

  /// The smallest of at least one value; NaN if any is.
  @inlinable @inline(__always)
  public static func minimum<I: InstructionSet>(_ set: I.Type, _ x: UnsafePointer<Float>, count: Int) -> Float {
    extreme(set, x, count: count, { Extremes.minimum(set, $0, $1) }, { $0 < $1 || $0 != $0 ? $0 : $1 })
  }

  @inlinable @inline(__always)
  static func extreme<I: InstructionSet>(
    _ set: I.Type, _ x: UnsafePointer<Float>, count: Int, _ f: (I.Vector, I.Vector) -> I.Vector,
    _ g: (Float, Float) -> Float
  ) -> Float {
    var best = x[0]
    var i = 1
    if count >= I.lanes {
      var a = I.load(x)
      var b = a
      i = I.lanes
      while i + 2 * I.lanes <= count {
        a = f(a, I.load(x + i))
        b = f(b, I.load(x + i + I.lanes))
        i += 2 * I.lanes
      }
      if i + I.lanes <= count {
        a = f(a, I.load(x + i))
        i += I.lanes
      }
      a = f(a, b)
      best = a[0]
      for lane in 1..<I.lanes { best = g(best, a[lane]) }
    }
    while i < count {
      best = g(best, x[i])
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
@inlinable @inline(__always)
func firstIndex<I: InstructionSet>(_ set: I.Type, of value: Float, _ x: UnsafePointer<Float>, count: Int) -> Int {
  var i = 0
  if value == value {
    while i + 1 < count, x[i] != value { i += 1 }
  } else {
    while i + 1 < count, x[i] == x[i] { i += 1 }
  }
  return i
}
