// Shapes: lists of dimensions, counted without overflow.

enum Shape {
  /// The product of the dimensions, none negative.
  ///
  /// - Throws: ``MartletError/Kind/shapeMismatch`` for more than ``Limits/rank`` dimensions, if one is negative, or if the array would
  ///   not fit in memory.
  static func elementCount(_ shape: [Int], argument: String) throws -> Int {
    guard shape.count <= Limits.rank else { throw tooManyAxes(shape, Limits.rank, argument) }
    var count = 1
    var isEmpty = false
    for dimension in shape {
      guard dimension >= 0 else {
        throw MartletError.shapeMismatch("\(argument): every dimension must be 0 or more; the shape is \(text(shape)).")
      }
      if dimension == 0 { isEmpty = true }
      let (product, overflows) = count.multipliedReportingOverflow(by: max(dimension, 1))
      guard !overflows, product <= Limits.elementCount else {
        throw MartletError.shapeMismatch("\(argument): the shape \(text(shape)) has more elements than memory can hold.")
      }
      count = product
    }
    return isEmpty ? 0 : count
  }

  /// ``elementCount(_:argument:)`` of one row of a network, which leaves an axis for the batch.
  static func rowElementCount(_ shape: [Int], argument: String) throws -> Int {
    guard shape.count <= Limits.rowRank else { throw tooManyRowAxes(shape, argument) }
    return try elementCount(shape, argument: argument)
  }

  static func tooManyRowAxes(_ shape: [Int], _ argument: String) -> MartletError {
    tooManyAxes(shape, Limits.rowRank, argument, " (the batch is one more)")
  }

  private static func tooManyAxes(_ shape: [Int], _ limit: Int, _ argument: String, _ note: String = "") -> MartletError {
    MartletError.shapeMismatch("\(argument): expected at most \(limit) axes\(note); got \(shape.count).")
  }

  static var maximumElementCount: Int { Limits.elementCount }

  /// "[60, 784]"
  static func text(_ shape: [Int]) -> String {
    "[" + shape.map(String.init).joined(separator: ", ") + "]"
  }

  /// Steps between neighbours of each axis when the last axis lies side by side.
  static func contiguousStrides(_ shape: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.count)
    for axis in stride(from: shape.count - 2, through: 0, by: -1) {
      strides[axis] = strides[axis + 1] &* max(shape[axis + 1], 1)
    }
    return strides
  }
}
