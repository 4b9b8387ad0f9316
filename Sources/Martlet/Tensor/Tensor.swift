// The array type of the Swift API.

import MartletRuntime

/// A Float32 array of any rank, its elements side by side in row-major order.
///
/// A value: a copy is independent, and shares memory only until one of the two is written.
public struct Tensor: @unchecked Sendable {
  public let shape: [Int]
  /// Product of the shape.
  public let count: Int
  var storage: Storage

  /// Every element `value`.
  ///
  /// - Throws: ``MartletError/Kind/shapeMismatch`` for a negative dimension or an overflowing product,
  ///   ``MartletError/Kind/outOfMemory``.
  public init(shape: [Int], filledWith value: Float = 0) throws {
    try self.init(uninitialized: shape, argument: "shape", isZeroed: value == 0)
    if value != 0 { storage.floats.update(repeating: value, count: count) }
  }

  /// For results that are written as a whole: the elements may be anything.
  init(uninitialized shape: [Int], argument: String = "shape", isZeroed: Bool = false) throws {
    count = try Shape.elementCount(shape, argument: argument)
    storage = try Storage(byteCount: count * 4, isZeroed: isZeroed)
    self.shape = shape
  }

  /// The values in row-major order; `shape` nil: a vector.
  ///
  /// - Throws: ``MartletError/Kind/shapeMismatch`` if the shape has another number of elements.
  public init(_ values: [Float], shape: [Int]? = nil) throws {
    try self.init(uninitialized: shape ?? [values.count])
    guard values.count == count else {
      throw MartletError.shapeMismatch(
        "values: the shape \(Shape.text(self.shape)) needs \(count) values; \(values.count) came.")
    }
    values.withUnsafeBufferPointer { if let base = $0.baseAddress { storage.floats.update(from: base, count: count) } }
  }

  /// A contiguous Float32 copy of someone's array.
  ///
  /// - Parameter argument: what error messages call the array.
  /// - Throws: ``MartletError/Kind/invalidArgument`` for a finite number that Float32 cannot hold; ``MartletError/Kind/outOfMemory``.
  public init(copying view: ArrayView, argument: @autoclosure () -> String = "array") throws {
    try self.init(uninitialized: view.shape)
    let environment = FloatingPointEnvironment.enter()
    defer { environment.leave() }
    try view.copy(into: storage.floats, argument())
  }

  /// The elements in row-major order.
  public var values: [Float] { Array(UnsafeBufferPointer(start: storage.floats, count: count)) }

  /// The element at `index`: one number an axis, 0 ≤ i < dimension.
  ///
  /// - Throws: ``MartletError/Kind/shapeMismatch`` for an index of another rank or outside the shape.
  public func element(at index: [Int]) throws -> Float { storage.floats[try offset(of: index)] }

  public mutating func setElement(at index: [Int], to value: Float) throws {
    let offset = try offset(of: index)
    try withMutableFloats { $0[offset] = value }
  }

  package func offset(of index: [Int]) throws -> Int {
    guard index.count == shape.count else {
      throw MartletError.shapeMismatch(
        "index: \(shape.count) numbers are needed for the shape \(Shape.text(shape)); \(index.count) came.")
    }
    var offset = 0
    for (i, dimension) in zip(index, shape) {
      guard (0..<dimension).contains(i) else {
        throw MartletError.shapeMismatch("index: \(Shape.text(index)) lies outside the shape \(Shape.text(shape)).")
      }
      offset = offset * dimension + i
    }
    return offset
  }

  /// The same elements in the same order under another shape.
  public func reshaped(to shape: [Int]) throws -> Tensor {
    let newCount = try Shape.elementCount(shape, argument: "shape")
    guard newCount == count else {
      throw MartletError.shapeMismatch(
        "shape: \(Shape.text(shape)) has \(newCount) elements, the tensor \(Shape.text(self.shape)) has \(count).")
    }
    return Tensor(shape: shape, count: count, storage: storage)
  }

  private init(shape: [Int], count: Int, storage: Storage) {
    self.shape = shape
    self.count = count
    self.storage = storage
  }

  /// The memory, for reading, during `body`.
  public func withUnsafeFloats<Result>(_ body: (UnsafeBufferPointer<Float>) throws -> Result) rethrows -> Result {
    try withExtendedLifetime(storage) { try body(UnsafeBufferPointer(start: storage.floats, count: count)) }
  }

  /// The memory, for writing, during `body`; made this tensor's own first.
  public mutating func withMutableFloats<Result>(_ body: (UnsafeMutableBufferPointer<Float>) throws -> Result) throws -> Result
  {
    if !isKnownUniquelyReferenced(&storage) {
      let copy = try Storage(byteCount: count * 4, isZeroed: false)
      copy.floats.update(from: storage.floats, count: count)
      storage = copy
    }
    return try withExtendedLifetime(storage) { try body(UnsafeMutableBufferPointer(start: storage.floats, count: count)) }
  }

  /// The tensor as an argument of functions that take anybody's memory. Valid while the tensor is.
  func view(_ argument: String = "tensor") throws -> ArrayView {
    try ArrayView(storage.base, .float32, shape: shape, argument: argument)
  }
}

extension Tensor: Equatable {
  /// Equal shapes, and equal elements by Float's own rule (NaN is unlike itself).
  public static func == (a: Tensor, b: Tensor) -> Bool {
    a.shape == b.shape
      && a.withUnsafeFloats { x in b.withUnsafeFloats { y in zip(x, y).allSatisfy { $0 == $1 } } }
  }
}
