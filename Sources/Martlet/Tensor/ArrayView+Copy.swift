// Reading an array into contiguous memory, row by row, with conversion.
import MartletRuntime

extension ArrayView {
  /// Elements of one row: the product of all dimensions but the first (1 for rank 0 and 1).
  var rowCount: Int { shape.first ?? 1 }
  var rowLength: Int { rowCount == 0 ? 0 : count / rowCount }

  /// Copies the rows first..<first + rows to contiguous Float32 memory, each element rounded to the nearest.
  ///
  /// - Parameter argument: what error messages call the array.
  /// - Throws: ``MartletError/Kind/invalidArgument`` for a finite element that Float32 cannot hold; the destination holds anything then.
  func copyRows(
    from first: Int, count rows: Int, into destination: UnsafeMutablePointer<Float>, _ argument: @autoclosure () -> String
  ) throws {
    if let row = copyRows(from: first, count: rows, into: destination) { throw rangeError(row: row, argument()) }
  }

  /// Copies the rows that `indices` name, in their order.
  func copyRows(
    _ indices: UnsafeBufferPointer<Int>, into destination: UnsafeMutablePointer<Float>, _ compute: Compute,
    _ argument: @autoclosure () -> String
  ) throws {
    if let row = copyRows(indices, into: destination, compute) { throw rangeError(row: row, argument()) }
  }

  /// The same, for those who look at the copy themselves: finite elements that Float32 cannot hold become infinite.
  ///
  /// - Returns: the first row with such an element; nil: there is none.
  @discardableResult
  func copyRows(from first: Int, count rows: Int, into destination: UnsafeMutablePointer<Float>) -> Int? {
    guard count > 0, rows > 0, let data else { return nil }
    let length = rowLength
    if dataType == .float32, rowsAreContiguous, Int(bitPattern: data) % 4 == 0 {
      let floats = data.assumingMemoryBound(to: Float.self)
      let step = shape.isEmpty ? 0 : stride(0)
      if step == length {
        destination.update(from: floats + first &* step, count: rows &* length)
      } else {
        for row in 0..<rows {
          (destination + row &* length).update(from: floats + (first &+ row) &* step, count: length)
        }
      }
      return nil
    }
    var exceeding: Int?
    for row in 0..<rows where !readRow(first &+ row, into: destination + row &* length) {
      exceeding = exceeding ?? first &+ row
    }
    return exceeding
  }

  /// The same of the rows that `indices` name.
  @discardableResult
  func copyRows(
    _ indices: UnsafeBufferPointer<Int>, into destination: UnsafeMutablePointer<Float>, _ compute: Compute
  ) -> Int? {
    guard count > 0, let data, let first = indices.baseAddress else { return nil }
    let length = rowLength
    if dataType == .float32, rowsAreContiguous, Int(bitPattern: data) % 4 == 0 {
      compute.gatherRows(
        data.assumingMemoryBound(to: Float.self), rowStride: shape.isEmpty ? 0 : stride(0), indices: first,
        rows: indices.count, columns: length, into: destination)
      return nil
    }
    var exceeding: Int?
    for (row, index) in indices.enumerated() where !readRow(index, into: destination + row &* length) {
      exceeding = exceeding ?? index
    }
    return exceeding
  }

  /// Copies everything to contiguous Float32 memory.
  func copy(into destination: UnsafeMutablePointer<Float>, _ argument: @autoclosure () -> String) throws {
    try copyRows(from: 0, count: rowCount, into: destination, argument())
  }

  /// Refuses a finite element that Float32 cannot hold, before anything is converted. Reads float64 arrays once, no others.
  func checkFloat32Range(_ argument: @autoclosure () -> String) throws {
    guard dataType == .float64, count > 0, let data else { return }
    if isContiguous, Int(bitPattern: data) % 8 == 0 {
      let doubles = data.assumingMemoryBound(to: Double.self)
      var exceeding = 0
      for i in 0..<count { exceeding |= Float32Range.excludes(doubles[i]) ? 1 : 0 }
      guard exceeding != 0 else { return }
    }
    for row in 0..<rowCount {
      var exceeds = false
      forEachElement(row, Double.self) { exceeds = exceeds || Float32Range.excludes($1) }
      if exceeds { throw rangeError(row: row, argument()) }
    }
  }

  /// The error for the first element of a row that Float32 cannot hold.
  private func rangeError(row: Int, _ argument: String) -> MartletError {
    var found: (place: Int, value: Double)?
    forEachElement(row, Double.self) { place, value in
      if found == nil, Float32Range.excludes(value) { found = (place, value) }
    }
    // Another thread may have written a number that fits in the meantime.
    guard let found else { return Float32Range.error(argument, .greatestFiniteMagnitude, at: [row]) }
    var rest = found.place
    var index = [Int](repeating: row, count: shape.count)
    for axis in shape.indices.dropFirst().reversed() {
      index[axis] = rest % shape[axis]
      rest /= shape[axis]
    }
    return Float32Range.error(argument, found.value, at: index)
  }

  /// Copies everything to contiguous Float64 memory.
  func copy(into destination: UnsafeMutablePointer<Double>) {
    guard count > 0, let data else { return }
    if isContiguous, dataType == .float64, Int(bitPattern: data) % 8 == 0 {
      destination.update(from: data.assumingMemoryBound(to: Double.self), count: count)
      return
    }
    let length = rowLength
    for row in 0..<rowCount {
      let target = destination + row &* length
      switch dataType {
      case .float32: forEachElement(row, Float.self) { target[$0] = Double($1) }
      case .float64: forEachElement(row, Double.self) { target[$0] = $1 }
      case .int32: forEachElement(row, Int32.self) { target[$0] = Double($1) }
      case .int64: forEachElement(row, Int64.self) { target[$0] = Double($1) }
      case .uint8: forEachElement(row, UInt8.self) { target[$0] = Double($1) }
      }
    }
  }

  /// The first element, in row-major order, that is not what it should be.
  func firstElement(where isWrong: (Double) -> Bool) -> Double? {
    var found: Double?
    func look(_ value: Double) { if found == nil, isWrong(value) { found = value } }
    for row in 0..<rowCount where count > 0 && found == nil {
      switch dataType {
      case .float32: forEachElement(row, Float.self) { look(Double($1)) }
      case .float64: forEachElement(row, Double.self) { look($1) }
      case .int32: forEachElement(row, Int32.self) { look(Double($1)) }
      case .int64: forEachElement(row, Int64.self) { look(Double($1)) }
      case .uint8: forEachElement(row, UInt8.self) { look(Double($1)) }
      }
    }
    return found
  }

  /// Integer element (rank 1 or [n, 1]) of a row as a label; Int32.min if it does not fit an Int32.
  func label(row: Int) -> Int32 {
    guard let data else { return .min }
    let offset = row &* (shape.isEmpty ? 0 : stride(0))
    switch dataType {
    case .int32: return data.loadUnaligned(fromByteOffset: offset &* 4, as: Int32.self)
    case .int64: return Int32(exactly: data.loadUnaligned(fromByteOffset: offset &* 8, as: Int64.self)) ?? .min
    case .uint8: return Int32(data.load(fromByteOffset: offset, as: UInt8.self))
    case .float32, .float64: return .min
    }
  }

  /// The single integer of a counter.
  var firstInteger: Int64? {
    guard count == 1, let data else { return nil }
    switch dataType {
    case .int64: return data.loadUnaligned(as: Int64.self)
    case .int32: return Int64(data.loadUnaligned(as: Int32.self))
    case .uint8: return Int64(data.load(as: UInt8.self))
    case .float32: return Int64(exactly: data.loadUnaligned(as: Float.self))
    case .float64: return Int64(exactly: data.loadUnaligned(as: Double.self))
    }
  }

  /// - Returns: false if Float32 cannot hold a finite element.
  private func readRow(_ row: Int, into target: UnsafeMutablePointer<Float>) -> Bool {
    var exceeds = false
    switch dataType {
    case .float32: forEachElement(row, Float.self) { target[$0] = $1 }
    case .float64:
      forEachElement(row, Double.self) {
        target[$0] = Float($1)
        exceeds = exceeds || Float32Range.excludes($1)
      }
    case .int32: forEachElement(row, Int32.self) { target[$0] = Float($1) }
    case .int64: forEachElement(row, Int64.self) { target[$0] = Float($1) }
    case .uint8: forEachElement(row, UInt8.self) { target[$0] = Float($1) }
    }
    return !exceeds
  }

  /// Calls `body(i, value)` for the elements of a row in row-major order.
  @inline(__always)
  func forEachElement<Element>(_ row: Int, _: Element.Type, _ body: (Int, Element) -> Void) {
    guard let data else { return }
    let size = MemoryLayout<Element>.size
    let offset = shape.isEmpty ? 0 : row &* stride(0)
    let length = rowLength
    if rowsAreContiguous {
      for i in 0..<length {
        body(i, data.loadUnaligned(fromByteOffset: (offset &+ i) &* size, as: Element.self))
      }
      return
    }
    // Not contiguous, so there are at least two axes: runs along the last one, each found from its number.
    let rank = shape.count
    let (run, step) = (shape[rank - 1], stride(rank - 1))
    var place = 0
    for number in 0..<length / run {
      var start = offset
      var rest = number
      var axis = rank - 2
      while axis >= 1 {
        start &+= (rest % shape[axis]) &* stride(axis)
        rest /= shape[axis]
        axis -= 1
      }
      for i in 0..<run {
        body(place, data.loadUnaligned(fromByteOffset: (start &+ i &* step) &* size, as: Element.self))
        place &+= 1
      }
    }
  }
}
