// Mean and variance of one row whose values lie side by side.

/// Two sums over a row, Σu and Σu·v; a type and not a closure, which the optimiser would leave out of line.
public protocol RowTerms {
  associatedtype Tag: InstructionSet
  /// u and v of `count` values from `column` on; u is 0 behind them.
  func term(_ column: Int, _ count: Int) -> (Tag.Vector, Tag.Vector)
  /// The same in Float64 about a center in Float64; anything behind them.
  func exactTerm(_ column: Int, _ count: Int, center: Tag.Double64) -> (Tag.Double64, Tag.Double64)
}

/// Terms of Σ(x − center) and Σ(x − center)².
public struct RowMomentTerms<Tag: InstructionSet>: RowTerms {
  @usableFromInline let x: UnsafePointer<Float>
  @usableFromInline let center: Tag.Vector

  @inlinable @inline(__always)
  init(_ x: UnsafePointer<Float>, center: Float) {
    self.x = x
    self.center = Tag.Vector(repeating: center)
  }

  @inlinable @inline(__always)
  public func term(_ column: Int, _ count: Int) -> (Tag.Vector, Tag.Vector) {
    let d = firstLanes(Tag.self, loadPart(Tag.self, x + column, count) - center, count)
    return (d, d)
  }

  @inlinable @inline(__always)
  public func exactTerm(_ column: Int, _ count: Int, center: Tag.Double64) -> (Tag.Double64, Tag.Double64) {
    let d = Tag.widened(loadPart(Tag.self, x + column, count)) - center
    return (d, d)
  }
}

/// How a row is summed: short runs in Float32, everything above in Float64, as batch norm's channels are.
public enum RowSummation {
  /// Vectors that one Float32 accumulator gathers before it goes to Float64.
  @inlinable @inline(__always)
  static var runLength: Int { 32 }

  @inlinable @inline(__always)
  static func sums<Terms: RowTerms>(_ terms: Terms, length: Int) -> (sum: Double, products: Double) {
    typealias I = Terms.Tag
    let lanes = I.lanes
    var sum = I.Double64(repeating: 0)
    var products = I.Double64(repeating: 0)
    var column = 0
    while column + lanes <= length {
      let end = min(length, column + 4 * runLength * lanes)
      var a = RunningSums<I>()
      var b = RunningSums<I>()
      var c = RunningSums<I>()
      var d = RunningSums<I>()
      while column + 4 * lanes <= end {
        a.add(terms.term(column, lanes))
        b.add(terms.term(column + lanes, lanes))
        c.add(terms.term(column + 2 * lanes, lanes))
        d.add(terms.term(column + 3 * lanes, lanes))
        column += 4 * lanes
      }
      while column + lanes <= end {
        a.add(terms.term(column, lanes))
        column += lanes
      }
      a.add(b)
      c.add(d)
      a.add(c)
      sum = sum + I.widened(a.sum)
      products = products + I.widened(a.products)
    }
    if column < length {
      var tail = RunningSums<I>()
      tail.add(terms.term(column, length - column))
      sum = sum + I.widened(tail.sum)
      products = products + I.widened(tail.products)
    }
    return (ChannelSummation.laneSum(I.self, sum), ChannelSummation.laneSum(I.self, products))
  }

  /// The same in Float64 throughout, for the rare row that Float32 is not enough for.
  @inlinable @inline(__always)
  static func exactSums<Terms: RowTerms>(_ terms: Terms, length: Int, center: Double) -> (sum: Double, products: Double) {
    typealias I = Terms.Tag
    let c = I.Double64(repeating: center)
    let lanes = I.lanes
    var sum = I.Double64(repeating: 0)
    var products = I.Double64(repeating: 0)
    var column = 0
    while column + lanes <= length {
      let (u, v) = terms.exactTerm(column, lanes, center: c)
      sum = sum + u
      products = I.multiplyAdd(u, v, products)
      column += lanes
    }
    if column < length {
      // Lane by lane: zeros behind the end would turn into 0 · ∞ where a term is infinite.
      let (u, v) = terms.exactTerm(column, length - column, center: c)
      var last = (ChannelSummation.laneSum(I.self, sum), ChannelSummation.laneSum(I.self, products))
      for lane in 0..<length - column {
        last.0 += u[lane]
        last.1 += u[lane] * v[lane]
      }
      return last
    }
    return (ChannelSummation.laneSum(I.self, sum), ChannelSummation.laneSum(I.self, products))
  }
}

/// `count` values (at most `lanes`); zeros behind them.
@inlinable @inline(__always)
func loadPart<I: InstructionSet>(_ set: I.Type, _ p: UnsafePointer<Float>, _ count: Int) -> I.Vector {
  count == I.lanes ? I.load(p) : I.load(first: count, p)
}

@inlinable @inline(__always)
func storePart<I: InstructionSet>(_ set: I.Type, _ v: I.Vector, _ p: UnsafeMutablePointer<Float>, _ count: Int) {
  if count == I.lanes { I.store(v, p) } else { I.store(first: count, v, p) }
}

/// The first `count` lanes of `v`, zeros behind them.
@inlinable @inline(__always)
func firstLanes<I: InstructionSet>(_ set: I.Type, _ v: I.Vector, _ count: Int) -> I.Vector {
  if count == I.lanes { return v }
  let zero = I.Vector(repeating: 0)
  var lane = zero
  for i in 0..<I.lanes { lane[i] = Float(i) }
  return I.whereLess(lane, I.Vector(repeating: Float(count)), v, zero)
}

/// Mean and biased variance of a row, in Float64; with `centers` false 0 and the mean of squares.
///
///     mean = k + S₁/n,   variance = S₂/n − (S₁/n)²,   S₁ = Σ(x − k),   S₂ = Σ(x − k)²
///
/// The pivot k is the mean of eight values spread over the row (a constant row's own value, so its variance is exactly 0), or 0
/// without centring. A row whose pivot was more than two deviations from its mean, whose sums are not finite or near the end of
/// Float32's range is done again in Float64 throughout. The result depends on the row's values and length alone.
@inlinable @inline(__always)
func rowMoments<I: InstructionSet>(
  _ set: I.Type, _ x: UnsafePointer<Float>, length: Int, centers: Bool
) -> (mean: Double, variance: Double) {
  let weight = 1 / Double(length)
  let pivot = centers ? rowPivot(x, length: length) : 0
  let (sum, products) = RowSummation.sums(RowMomentTerms<I>(x, center: pivot), length: length)
  let square = products * weight
  let isSafe = square < .infinity && (square >= 1e-36 || square == 0)
  if !centers {
    return (0, isSafe ? square : exactRowMoments(set, x, length: length, about: 0).square)
  }
  let difference = sum * weight
  let variance = max(square - difference * difference, 0)
  if isSafe && difference * difference <= 4 * variance { return (Double(pivot) + difference, variance) }
  let mean = exactRowMoments(set, x, length: length, about: 0).difference
  let refined = exactRowMoments(set, x, length: length, about: mean)
  // An infinite mean stays what it is: infinity minus itself would make it NaN.
  let rest = refined.square - refined.difference * refined.difference
  return (mean.isFinite ? mean + refined.difference : mean, rest < 0 ? 0 : rest)
}

/// Means of x − center and of its square.
@inlinable @inline(never)
func exactRowMoments<I: InstructionSet>(
  _ set: I.Type, _ x: UnsafePointer<Float>, length: Int, about center: Double
) -> (difference: Double, square: Double) {
  let (sum, products) = RowSummation.exactSums(RowMomentTerms<I>(x, center: 0), length: length, center: center)
  return (sum / Double(length), products / Double(length))
}

@inlinable @inline(__always)
func rowPivot(_ x: UnsafePointer<Float>, length: Int) -> Float {
  let first = x[0]
  if length < 8 {
    var sum: Float = 0
    for i in 0..<length { sum += x[i] - first }
    return first + sum / Float(length)
  }
  let step = length / 8
  let a = (x[step] - first) + (x[2 * step] - first)
  let b = (x[3 * step] - first) + (x[4 * step] - first)
  let c = (x[5 * step] - first) + (x[6 * step] - first)
  return first + ((a + b) + (c + (x[7 * step] - first))) * 0.125
}
