// Arrays and shapes that C hands in, as the library's own.
import CMartlet
import Martlet

extension ArrayView {
  /// - Throws: for NULL, an unknown dtype, a rank or dimension out of range.
  init(_ pointer: UnsafePointer<martlet_array>?, _ argument: String) throws {
    try self.init(require(pointer, argument).pointee, argument)
  }

  init(_ array: martlet_array, _ argument: String) throws {
    let rank = Int(array.rank)
    guard (0...Limits.rank).contains(rank) else {
      throw MartletError(.shapeMismatch, "\(argument): expected a rank in 0...\(Limits.rank); got \(rank).")
    }
    guard let type = DataType(rawValue: array.dtype) else {
      let known = DataType.allCases.map { "\($0.rawValue) (\($0.name))" }.joined(separator: ", ")
      throw MartletError(.unsupported, "\(argument): the dtype must be one of \(known); \(array.dtype) came.")
    }
    if rank > 0 && array.shape == nil {
      throw MartletError(.invalidArgument, "\(argument): shape is NULL, though the rank is \(rank).")
    }
    let shape = (0..<rank).map { Int(array.shape[$0]) }
    let strides = array.strides.map { strides in (0..<rank).map { Int(strides[$0]) } }
    try self.init(array.data, type, shape: shape, strides: strides, argument: argument)
  }

  /// nil for NULL.
  static func optional(_ pointer: UnsafePointer<martlet_array>?, _ argument: String) throws -> ArrayView? {
    try pointer.map { try ArrayView($0, argument) }
  }

  /// The arrays that C hands in side by side: as many as the model has places for, which is checked before any of them is read.
  static func list(
    _ pointer: UnsafePointer<martlet_array>?, _ count: Int32, of needed: Int, _ argument: String
  ) throws -> [ArrayView] {
    guard count == needed else {
      throw MartletError(.shapeMismatch, "\(argument): the model needs \(needed) of them; a count of \(count) came.")
    }
    guard count > 0 else { return [] }
    let arrays = try require(pointer, argument)
    return try (0..<Int(count)).map { try ArrayView(arrays[$0], "\(argument)[\($0)]") }
  }
}

/// A shape that C hands in: rank numbers, each 0 or more is checked further in.
///
/// - Parameter limit: of the rank, which is checked before a number is read.
func shape(
  _ rank: Int32, _ pointer: UnsafePointer<Int64>?, _ argument: String, limit: Int = Limits.rank
) throws -> [Int] {
  guard rank >= 0, rank <= limit else {
    let note = limit == Limits.rowRank ? " (the batch is one more axis)" : ""
    throw MartletError(.shapeMismatch, "rank: expected 0...\(limit)\(note); got \(rank).")
  }
  guard rank > 0 else { return [] }
  let dimensions = try require(pointer, argument)
  return (0..<Int(rank)).map { Int(dimensions[$0]) }
}

extension martlet_array {
  /// The values, if they are contiguous Float32 rows of this shape, and how many rows; nil for anything else, right or wrong.
  /// Allocates nothing, and reads each number of the caller's memory once: it may change meanwhile.
  func contiguousRows(of row: [Int]) -> (data: UnsafeMutablePointer<Float>, count: Int)? {
    guard dtype == DataType.float32.rawValue, Int(rank) == row.count + 1, let data, let shape else { return nil }
    let rows = Int(shape[0])
    guard rows > 0 else { return nil }
    var expected = 1
    for axis in row.indices.reversed() {
      guard Int(shape[axis + 1]) == row[axis] else { return nil }
      if let strides, row[axis] != 1, Int(strides[axis + 1]) != expected { return nil }
      expected *= row[axis]
    }
    if let strides, rows != 1, Int(strides[0]) != expected { return nil }
    guard expected > 0, Int(bitPattern: data) % 4 == 0 else { return nil }
    return (data.assumingMemoryBound(to: Float.self), rows)
  }
}

extension ArrayView {
  /// Refuses what ``storeResult(_:)`` cannot write one value per channel to; called before anything is computed.
  func checkResult(_ channels: Int, _ argument: String) throws {
    guard shape.count == 1, shape[0] == channels else {
      throw MartletError(.shapeMismatch, "\(argument): the shape [\(channels)] is needed; \(shape) came.")
    }
    guard dataType == .float64 || dataType == .float32, isContiguous else {
      throw MartletError(
        .unsupported, "\(argument): contiguous float64 or float32 is needed; \(dataType.name) with the strides \(strides) came."
      )
    }
  }

  /// Refuses results that the caller's float32 array cannot hold; called before any is written.
  func checkRange(_ values: UnsafeBufferPointer<Double>, _ argument: String) throws {
    guard dataType == .float32, let place = values.firstIndex(where: Float32Range.excludes) else { return }
    throw Float32Range.error(argument, values[place], at: [place], remedy: "Give float64 memory.")
  }

  /// Writes Float64 results to the caller's float64 or float32 array.
  func storeResult(_ values: UnsafeBufferPointer<Double>) {
    guard let data, let from = values.baseAddress else { return }
    if dataType == .float64 {
      data.copyMemory(from: from, byteCount: 8 * values.count)
      return
    }
    for (i, value) in values.enumerated() {
      data.storeBytes(of: Float(value), toByteOffset: 4 * i, as: Float.self)
    }
  }
}
