// The gradient of a row normalisation.

/// Rows of one group: `length` values side by side, `rowStride` from one to the next.
public struct RowGradientOperands {
  public var gradOutput: UnsafePointer<Float>
  public var input: UnsafePointer<Float>
  /// Nil: not wanted. May be `gradOutput`.
  public var gradInput: UnsafeMutablePointer<Float>?
  /// Add to `gradInput` instead of replacing it.
  public var accumulates: Bool
  public var rows: Int
  public var length: Int
  public var rowStride: Int
  /// `length` values; nil: 1.
  public var scale: UnsafePointer<Float>?
  /// One of each a row, `statisticsStride` from one to the next.
  public var mean: UnsafePointer<Double>
  public var inverseDeviation: UnsafePointer<Double>
  public var statisticsStride: Int
  public var centers: Bool
  /// `length` sums over the rows, which are added to: Σ g·x̂ and Σ g. Nil: neither is wanted.
  public var gradScale: UnsafeMutablePointer<Double>?
  public var gradShift: UnsafeMutablePointer<Double>?

  @inlinable
  public init(
    gradOutput: UnsafePointer<Float>, input: UnsafePointer<Float>, gradInput: UnsafeMutablePointer<Float>?, accumulates: Bool,
    rows: Int, length: Int, rowStride: Int, scale: UnsafePointer<Float>?, mean: UnsafePointer<Double>,
    inverseDeviation: UnsafePointer<Double>, statisticsStride: Int, centers: Bool, gradScale: UnsafeMutablePointer<Double>?,
    gradShift: UnsafeMutablePointer<Double>?
  ) {
    self.gradOutput = gradOutput
    self.input = input
    self.gradInput = gradInput
    self.accumulates = accumulates
    self.rows = rows
    self.length = length
    self.rowStride = rowStride
    self.scale = scale
    self.mean = mean
    self.inverseDeviation = inverseDeviation
    self.statisticsStride = statisticsStride
    self.centers = centers
    self.gradScale = gradScale
    self.gradShift = gradShift
  }
}

/// With u = g·scale, d = x − center and n values a row:
///
///     gradInput (+)= inv·(u − meanTerm − d·slope)      slope = inv·Σ(u·x̂)/n,   meanTerm = Σu/n − (mean − center)·slope
///     gradScale += Σ g·x̂,   gradShift += Σ g           over the rows
///
/// Rows go in fours while they are in the cache: their sums first, then what is summed over them (four rows gathered in Float32, so
/// that the Float64 sums are read and written a quarter as often), then the input's gradient, which may take the place of g.
@inlinable
func rowGradientsKernel<I: InstructionSet>(_ set: I.Type, _ at: RowGradientOperands) {
  var row = 0
  while row < at.rows {
    let count = min(4, at.rows - row)
    if let gradScale = at.gradScale, let gradShift = at.gradShift {
      if count == 4 {
        addParameterGradients(set, at, row, gradScale, gradShift)
      } else {
        for one in row..<row + count { addParameterGradientsOfRow(set, at, one, gradScale, gradShift) }
      }
    }
    if let gradInput = at.gradInput {
      for one in row..<row + count { rowGradientInput(set, at, one, into: gradInput) }
    }
    row += count
  }
}

@inlinable @inline(__always)
func rowMap<I: InstructionSet>(_ set: I.Type, _ at: RowGradientOperands, _ row: Int) -> RowMap<I> {
  RowMap(mean: at.mean[row * at.statisticsStride], inverse: at.inverseDeviation[row * at.statisticsStride])
}

@inlinable @inline(__always)
func addParameterGradients<I: InstructionSet>(
  _ set: I.Type, _ at: RowGradientOperands, _ row: Int, _ gradScale: UnsafeMutablePointer<Double>,
  _ gradShift: UnsafeMutablePointer<Double>
) {
  let lanes = I.lanes
  let stride = at.rowStride
  let (x, g) = (at.input + row * stride, at.gradOutput + row * stride)
  let a = rowMap(set, at, row)
  let b = rowMap(set, at, row + 1)
  let c = rowMap(set, at, row + 2)
  let d = rowMap(set, at, row + 3)
  var column = 0
  while column + lanes <= at.length {
    let (xa, ga) = (x + column, g + column)
    let g0 = I.load(ga)
    let g1 = I.load(ga + stride)
    let g2 = I.load(ga + 2 * stride)
    let g3 = I.load(ga + 3 * stride)
    let first = I.multiplyAdd(g1, b.value(I.load(xa + stride)), g0 * a.value(I.load(xa)))
    let second = I.multiplyAdd(g3, d.value(I.load(xa + 3 * stride)), g2 * c.value(I.load(xa + 2 * stride)))
    I.store(I.load(UnsafePointer(gradScale + column)) + I.widened(first + second), gradScale + column)
    I.store(I.load(UnsafePointer(gradShift + column)) + I.widened((g0 + g1) + (g2 + g3)), gradShift + column)
    column += lanes
  }
  if column < at.length {
    for one in row..<row + 4 { addParameterGradientsOfRow(set, at, one, gradScale, gradShift, from: column) }
  }
}

@inlinable @inline(__always)
func addParameterGradientsOfRow<I: InstructionSet>(
  _ set: I.Type, _ at: RowGradientOperands, _ row: Int, _ gradScale: UnsafeMutablePointer<Double>,
  _ gradShift: UnsafeMutablePointer<Double>, from first: Int = 0
) {
  let map = rowMap(set, at, row)
  let (x, g) = (at.input + row * at.rowStride, at.gradOutput + row * at.rowStride)
  var column = first
  while column + I.lanes <= at.length {
    let gradient = I.load(g + column)
    I.store(
      I.load(UnsafePointer(gradScale + column)) + I.widened(gradient * map.value(I.load(x + column))), gradScale + column)
    I.store(I.load(UnsafePointer(gradShift + column)) + I.widened(gradient), gradShift + column)
    column += I.lanes
  }
  if column < at.length {
    let rest = at.length - column
    let gradient = I.load(first: rest, g + column)
    let product = gradient * map.value(I.load(first: rest, x + column))
    for lane in 0..<rest {
      gradScale[column + lane] += Double(product[lane])
      gradShift[column + lane] += Double(gradient[lane])
    }
  }
}

@inlinable @inline(__always)
func rowGradientInput<I: InstructionSet>(
  _ set: I.Type, _ at: RowGradientOperands, _ row: Int, into target: UnsafeMutablePointer<Float>
) {
  if let scale = at.scale {
    rowGradientInput(RowScale<I>(scale), at, row, into: target)
  } else {
    rowGradientInput(RowIdentity<I>(), at, row, into: target)
  }
}

/// Terms of Σu and Σu·(x − center), u = g·scale.
public struct RowGradientTerms<Affine: RowAffine>: RowTerms {
  public typealias Tag = Affine.Tag
  @usableFromInline let affine: Affine
  @usableFromInline let g: UnsafePointer<Float>
  @usableFromInline let x: UnsafePointer<Float>
  @usableFromInline let center: Tag.Vector

  @inlinable @inline(__always)
  init(_ affine: Affine, _ g: UnsafePointer<Float>, _ x: UnsafePointer<Float>, center: Tag.Vector) {
    self.affine = affine
    self.g = g
    self.x = x
    self.center = center
  }

  @inlinable @inline(__always)
  public func term(_ column: Int, _ count: Int) -> (Tag.Vector, Tag.Vector) {
    (
      affine.value(loadPart(Tag.self, g + column, count), column, count),
      loadPart(Tag.self, x + column, count) - center
    )
  }

  @inlinable @inline(__always)
  public func exactTerm(_ column: Int, _ count: Int, center: Tag.Double64) -> (Tag.Double64, Tag.Double64) {
    // Both factors are Float32, and a product of them that leaves its range is no gradient that Float32 could hold.
    (
      Tag.widened(affine.value(loadPart(Tag.self, g + column, count), column, count)),
      Tag.widened(loadPart(Tag.self, x + column, count)) - center
    )
  }
}

@inlinable @inline(__always)
func rowGradientInput<Affine: RowAffine>(
  _ affine: Affine, _ at: RowGradientOperands, _ row: Int, into target: UnsafeMutablePointer<Float>
) {
  typealias I = Affine.Tag
  let lanes = I.lanes
  let length = at.length
  let (x, g, out) = (at.input + row * at.rowStride, at.gradOutput + row * at.rowStride, target + row * at.rowStride)
  let mean = at.mean[row * at.statisticsStride]
  let inverse = at.inverseDeviation[row * at.statisticsStride]
  let nearest = Float(mean)
  let center = I.Vector(repeating: nearest)
  let low = mean - Double(nearest)
  let terms = RowGradientTerms(affine, g, x, center: center)
  var (sum, products) = RowSummation.sums(terms, length: length)
  if !(sum.isFinite && products.isFinite) { (sum, products) = exactRowSums(terms, length: length, center: Double(nearest)) }
  let weight = 1 / Double(length)
  let slopeValue = inverse * inverse * (products - low * sum) * weight
  let slope = I.Vector(repeating: Float(slopeValue))
  let meanTerm = I.Vector(repeating: at.centers ? Float(sum * weight - low * slopeValue) : 0)
  let multiplier = I.Vector(repeating: Float(inverse))
  var column = 0
  while column + lanes <= length {
    let u = affine.value(I.load(g + column), column, lanes)
    let t = I.multiplyAdd(center - I.load(x + column), slope, u - meanTerm)
    // With nothing to add to, the product must keep the sign of a zero; 0 + (−0) would not.
    I.store(at.accumulates ? I.multiplyAdd(t, multiplier, I.load(out + column)) : t * multiplier, out + column)
    column += lanes
  }
  if column < length {
    let rest = length - column
    let u = affine.value(I.load(first: rest, g + column), column, rest)
    let t = I.multiplyAdd(center - I.load(first: rest, x + column), slope, u - meanTerm)
    let result = at.accumulates ? I.multiplyAdd(t, multiplier, I.load(first: rest, out + column)) : t * multiplier
    I.store(first: rest, result, out + column)
  }
}

@inlinable @inline(never)
func exactRowSums<Terms: RowTerms>(_ terms: Terms, length: Int, center: Double) -> (sum: Double, products: Double) {
  RowSummation.exactSums(terms, length: length, center: center)
}
