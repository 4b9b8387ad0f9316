// Someone else's array: any strides, any element type, read in place or converted on the way in.

/// An array in the caller's memory, which must outlive the call it is passed to.
///
/// Strides count elements and may be zero or negative. Nothing is checked against the memory's real size: that is the caller's word.
public struct ArrayView {
  public let data: UnsafeMutableRawPointer?
  public let dataType: DataType
  public let shape: [Int]
  public let strides: [Int]
  /// Product of the shape.
  public let count: Int

  /// - Parameters:
  ///   - strides: steps between neighbours of each axis, in elements; nil: contiguous, last axis fastest.
  ///   - argument: what error messages call the array.
  /// - Throws: ``MartletError/Kind/shapeMismatch`` for negative dimensions, an overflowing product or strides of another rank;
  ///   ``MartletError/Kind/invalidArgument`` if there are elements but no memory.
  public init(
    _ data: UnsafeMutableRawPointer?, _ dataType: DataType, shape: [Int], strides: [Int]? = nil, argument: String = "array"
  ) throws {
    count = try Shape.elementCount(shape, argument: argument)
    guard data != nil || count == 0 else {
      throw MartletError.invalidArgument("\(argument): data is NULL, though the shape \(Shape.text(shape)) has elements.")
    }
    if let strides, strides.count != shape.count {
      throw MartletError.shapeMismatch(
        "\(argument): as many strides as dimensions are needed; \(strides.count) came for the shape \(Shape.text(shape)).")
    }
    self.data = data
    self.dataType = dataType
    self.shape = shape
    self.strides = strides ?? Shape.contiguousStrides(shape)
  }

  /// Elements side by side in row-major order. Axes of one element may have any stride.
  public var isContiguous: Bool { count == 0 || hasContiguousStrides }

  private var hasContiguousStrides: Bool {
    var expected = 1
    for axis in shape.indices.reversed() {
      if shape[axis] != 1 && strides[axis] != expected { return false }
      expected &*= shape[axis]
    }
    return true
  }

  /// The elements of each row (all axes but the first) side by side, rows any distance apart.
  var rowsAreContiguous: Bool {
    var expected = 1
    for axis in shape.indices.dropFirst().reversed() {
      if shape[axis] != 1 && strides[axis] != expected { return false }
      expected &*= shape[axis]
    }
    return true
  }

  /// The Float32 values where they lie, if they lie side by side.
  var contiguousFloats: UnsafeMutablePointer<Float>? {
    guard dataType == .float32, isContiguous, let data, Int(bitPattern: data) % 4 == 0 else { return nil }
    return data.assumingMemoryBound(to: Float.self)
  }
}

extension ArrayView {
  /// Contiguous memory of the library's own.
  init(unchecked data: UnsafeMutableRawPointer, _ dataType: DataType, shape: [Int], count: Int) {
    self.data = data
    self.dataType = dataType
    self.shape = shape
    self.strides = Shape.contiguousStrides(shape)
    self.count = count
  }
}
