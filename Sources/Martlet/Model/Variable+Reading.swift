// Reading a tensor of a model without holding on to its memory.

extension Variable {
  /// Copies the values to the caller's memory. Inference stays as fast as it was, unlike after a look at ``value``.
  ///
  /// - Parameter out: contiguous, of the tensor's shape: Float32, Float64 (Float32 values exactly), or Int64 for counters.
  /// - Throws: ``MartletError/Kind/shapeMismatch`` for another shape; ``MartletError/Kind/unsupported`` for another element type;
  ///   ``MartletError/Kind/invalidArgument`` for memory that is not contiguous; ``MartletError/Kind/invalidState`` while another
  ///   thread changes the model. Nothing was written then.
  public func copyValues(into out: ArrayView) throws {
    guard out.shape == shape else {
      throw MartletError.shapeMismatch(
        "out: \"\(name)\" has the shape \(Shape.text(shape)); \(Shape.text(out.shape)) came.")
    }
    guard out.dataType == .float32 || out.dataType == .float64 || (out.dataType == .int64 && dataType == .int64) else {
      let counters = dataType == .int64 ? ", or int64" : ""
      throw MartletError(
        .unsupported,
        "out: \"\(name)\" is \(dataType.name) and can be read as float32 or float64\(counters); \(out.dataType.name) came.")
    }
    guard out.isContiguous else {
      throw MartletError.invalidArgument(
        "out: contiguous memory is needed; the strides \(Shape.text(out.strides)) came for the shape \(Shape.text(shape)).")
    }
    guard let target = out.data, count > 0 else { return }
    try reading { try copy(to: target, out.dataType) }
  }

  private func copy(to target: UnsafeMutableRawPointer, _ type: DataType) throws {
    if type == dataType {
      return target.copyMemory(from: storage.base, byteCount: count * dataType.byteCount)
    }
    if type == .float32 { try readingView.checkFloat32Range("out: \"\(name)\"") }
    // Wherever the caller's memory begins, aligned or not.
    for i in 0..<count {
      let value = double(at: i)
      if type == .float64 {
        target.storeBytes(of: value, toByteOffset: 8 * i, as: Double.self)
      } else {
        target.storeBytes(of: Float(value), toByteOffset: 4 * i, as: Float.self)
      }
    }
  }

  /// A copy of the values, as Float32.
  public func copyValues() throws -> Tensor { try reading { try Tensor(copying: readingView, argument: name) } }

  private func reading<Result>(_ body: () throws -> Result) throws -> Result {
    guard let exclusivity else { return try body() }
    return try exclusivity.reading(body)
  }

  private func double(at i: Int) -> Double {
    switch dataType {
    case .float64: storage.doubles[i]
    case .int64: Double(storage.integers[i])
    default: Double(storage.floats[i])
    }
  }
}
