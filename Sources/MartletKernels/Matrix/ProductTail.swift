// What follows a product element by element, while it is still in the cache.

/// `C = activation((C + bias)·multiplier + offset + residual)` in place; the vectors are indexed by column, nil means 0, 1 and 0, and no
/// sum where `residual` is nil.
@frozen
public struct ProductTail {
  public var bias: UnsafePointer<Float>?
  public var multiplier: UnsafePointer<Float>?
  public var offset: UnsafePointer<Float>?
  /// The raw value of the runtime's `Activation`: 0 none, 1 sigmoid, 2 tanh, 3 relu.
  public var activation: Int32
  /// What is added to each element before the activation: rows as far apart as C's, from the same row and column on.
  public var residual: UnsafePointer<Float>?

  @inlinable
  public init(
    bias: UnsafePointer<Float>?, multiplier: UnsafePointer<Float>?, offset: UnsafePointer<Float>?, activation: Int32,
    residual: UnsafePointer<Float>? = nil
  ) {
    self.bias = bias
    self.multiplier = multiplier
    self.offset = offset
    self.activation = activation
    self.residual = residual
  }
}

/// Applies the tail to `rows` rows of C, `columns` wide; the pointers of `tail` belong to the first of these columns.
///
/// Column by column of vectors, so that the factors are read once; each element's result depends on nothing but itself and
/// its column.
@inlinable
public func applyTail<I: InstructionSet>(
  _: I.Type, _ c: UnsafeMutablePointer<Float>, rowStride: Int, rows: Int, columns: Int, _ tail: ProductTail
) {
  switch tail.activation {
  case 1: applyLinearTail(I.self, c, rowStride, rows, columns, tail) { ActivationMath.sigmoid(I.self, $0) }
  case 2: applyLinearTail(I.self, c, rowStride, rows, columns, tail) { ActivationMath.tanh(I.self, $0) }
  case 3: applyLinearTail(I.self, c, rowStride, rows, columns, tail) { ActivationMath.relu(I.self, $0) }
  default: applyLinearTail(I.self, c, rowStride, rows, columns, tail) { $0 }
  }
}

@inlinable @inline(__always)
func applyLinearTail<I: InstructionSet>(
  _: I.Type, _ c: UnsafeMutablePointer<Float>, _ rowStride: Int, _ rows: Int, _ columns: Int, _ tail: ProductTail,
  _ activation: (I.Vector) -> I.Vector
) {
  if let residual = tail.residual {
    applyLinearTail(I.self, c, rowStride, rows, columns, tail, activation) { x, element, count in
      x + (count == I.lanes ? I.load(residual + element) : I.load(first: count, residual + element))
    }
  } else {
    applyLinearTail(I.self, c, rowStride, rows, columns, tail, activation) { x, _, _ in x }
  }
}

/// - Parameter sum: adds to the `count` elements from an element of C on what is at the same place elsewhere.
@inlinable @inline(__always)
func applyLinearTail<I: InstructionSet>(
  _: I.Type, _ c: UnsafeMutablePointer<Float>, _ rowStride: Int, _ rows: Int, _ columns: Int, _ tail: ProductTail,
  _ activation: (I.Vector) -> I.Vector, _ sum: (I.Vector, Int, Int) -> I.Vector
) {
  let scales = tail.multiplier != nil || tail.offset != nil
  var column = 0
  while column < columns {
    let count = min(I.lanes, columns - column)
    let bias = columnVector(I.self, tail.bias, column, count, missing: 0)
    let multiplier = columnVector(I.self, tail.multiplier, column, count, missing: 1)
    let offset = columnVector(I.self, tail.offset, column, count, missing: 0)
    for row in 0..<rows {
      let element = row * rowStride + column
      let p = c + element
      var x = (count == I.lanes ? I.load(p) : I.load(first: count, p)) + bias
      if scales { x = I.multiplyAdd(x, multiplier, offset) }
      x = activation(sum(x, element, count))
      if count == I.lanes { I.store(x, p) } else { I.store(first: count, x, p) }
    }
    column += I.lanes
  }
}

/// `count` values of a per-column vector, or the value that changes nothing.
@inlinable @inline(__always)
func columnVector<I: InstructionSet>(
  _: I.Type, _ values: UnsafePointer<Float>?, _ column: Int, _ count: Int, missing: Float
) -> I.Vector {
  guard let values else { return I.Vector(repeating: missing) }
  return count == I.lanes ? I.load(values + column) : I.load(first: count, values + column)
}
