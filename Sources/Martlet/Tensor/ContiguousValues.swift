// Arrays as the kernels read and write them.

/// The values of an array with elements: where they lie, or a contiguous copy.
struct ContiguousValues {
  let floats: UnsafePointer<Float>
  private let copy: Storage?

  /// - Throws: ``MartletError/Kind/invalidArgument`` for a finite value that Float32 cannot hold; ``MartletError/Kind/outOfMemory``.
  init(_ array: ArrayView, _ argument: @autoclosure () -> String) throws {
    if let inPlace = array.contiguousFloats {
      floats = UnsafePointer(inPlace)
      copy = nil
    } else {
      let storage = try Storage(byteCount: array.count * 4, isZeroed: false)
      try array.copy(into: storage.floats, argument())
      floats = UnsafePointer(storage.floats)
      copy = storage
    }
  }
}

extension ArrayView {
  /// Where results go.
  ///
  /// - Throws: ``MartletError/Kind/shapeMismatch`` if it has another shape; ``MartletError/Kind/invalidArgument`` if it is not contiguous
  ///   Float32.
  /// - Returns: nil if it has no elements.
  func target(_ shape: [Int], _ argument: String) throws -> UnsafeMutablePointer<Float>? {
    try checkShape(shape, argument)
    guard count > 0 else { return nil }
    guard let floats = contiguousFloats else {
      throw MartletError.invalidArgument("\(argument): contiguous float32 memory is needed; \(dataType.name) came.")
    }
    return floats
  }

  func checkShape(_ shape: [Int], _ argument: String) throws {
    guard self.shape == shape else {
      throw MartletError.shapeMismatch(
        "\(argument): the shape \(Shape.text(shape)) is needed; \(Shape.text(self.shape)) came.")
    }
  }
}
