// The only writer of shapes into the caller's structs and arrays, which cannot write past their ends.
import CMartlet
import Martlet

/// Writes dimensions to a fixed array of int64_t, as Swift sees one of C's: a tuple.
///
/// - Throws: ``MartletError/Kind/internalError`` if the array has fewer places; it is unchanged then. What is made by ``Limits`` fits.
private func store<CArray>(_ numbers: [Int], in array: inout CArray) throws {
  try withUnsafeMutableBytes(of: &array) { memory in
    try store(numbers, in: memory.bindMemory(to: Int64.self))
  }
}

/// Writes dimensions to the places there are.
private func store(_ numbers: [Int], in places: UnsafeMutableBufferPointer<Int64>) throws {
  guard numbers.count <= places.count else {
    throw MartletError(
      .internalError,
      "A defect of the library: a shape of \(numbers.count) axes does not fit the \(places.count) places of the C interface.")
  }
  for (place, number) in numbers.enumerated() { places[place] = Int64(number) }
}

/// Writes dimensions to the caller's array of `capacity` numbers.
func store(_ numbers: [Int], in array: UnsafeMutablePointer<Int64>, capacity: Int) throws {
  try store(numbers, in: UnsafeMutableBufferPointer(start: array, count: capacity))
}

extension martlet_view {
  init(_ array: ArrayView) throws {
    try self.init(data: array.data, shape: array.shape, strides: array.strides, dataType: array.dataType)
  }

  /// What a tensor is like, without its memory.
  init(of variable: Variable) throws {
    try self.init(data: nil, shape: variable.shape, strides: variable.strides, dataType: variable.dataType)
  }

  /// The shape of one row, which has neither memory nor strides.
  init(row: [Int]) throws {
    try self.init(data: nil, shape: row, strides: row.map { _ in 0 }, dataType: .float32)
  }

  init(data: UnsafeMutableRawPointer?, shape dimensions: [Int], strides steps: [Int], dataType: DataType) throws {
    self.init()
    self.data = data
    rank = Int32(clamping: dimensions.count)
    dtype = dataType.rawValue
    try store(dimensions, in: &shape)
    try store(steps, in: &strides)
  }
}

extension martlet_layer_info {
  /// The shape of one row of the layer's output.
  mutating func setOutputShape(_ row: [Int]) throws {
    try store(row, in: &output_shape)
    output_rank = Int32(clamping: row.count)
  }
}
