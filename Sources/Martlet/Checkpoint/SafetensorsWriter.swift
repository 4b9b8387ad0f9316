// Tensors to a safetensors file, in an order and with a padding that keep every tensor aligned in the file.

extension Safetensors {
  /// Where the data begins in files from here: at a multiple of this, a cache line.
  static let dataAlignment = 64

  /// Writes a file that replaces `path` at once: whatever goes wrong, the path holds the whole old file or the whole new one.
  ///
  /// Tensors stand in the file by falling size of their values and otherwise in the given order, which aligns each of them.
  ///
  /// - Parameter metadata: strings to keep beside the tensors, in this order.
  /// - Throws: ``MartletError/Kind/invalidArgument`` for what ``read(_:)`` would refuse (a name twice, a name or shape out of
  ///   bounds, bytes that do not fit the shape); ``MartletError/Kind/inputOutput`` if the file system refuses.
  ///
  /// Cost: one pass over the tensors, without a copy; the call returns when the data is on the disk.
  static func write(
    _ tensors: [SafetensorsTensor], metadata: [(String, String)], to path: String
  ) throws(MartletError) {
    let (sorted, header) = try layout(tensors, metadata: metadata)
    try AtomicFile.replace(path) { (file) throws(MartletError) in
      try file.writeFully(header)
      for tensor in sorted { try withExtendedLifetime(tensor) { () throws(MartletError) in try file.writeFully(tensor.bytes) } }
    }
  }

  /// The same file in memory.
  static func serialized(_ tensors: [SafetensorsTensor], metadata: [(String, String)]) throws(MartletError) -> [UInt8] {
    let (sorted, header) = try layout(tensors, metadata: metadata)
    var bytes = header
    for tensor in sorted { withExtendedLifetime(tensor) { bytes.append(contentsOf: tensor.bytes) } }
    return bytes
  }

  /// The tensors in the file's order, and everything that stands before their data.
  private static func layout(
    _ tensors: [SafetensorsTensor], metadata: [(String, String)]
  ) throws(MartletError) -> (tensors: [SafetensorsTensor], header: [UInt8]) {
    guard tensors.count <= Limits.tensorCount else {
      throw .invalidArgument("A model file holds at most \(Limits.tensorCount) tensors; these are \(tensors.count).")
    }
    // Swift's sort is stable, so equal sizes keep the given order.
    let sorted = tensors.sorted { $0.dtype.size > $1.dtype.size }
    var members: [(key: String, value: JSON)] = []
    if !metadata.isEmpty {
      members.append((key: metadataKey, value: .object(metadata.map { (key: $0.0, value: .string($0.1)) })))
    }
    var offset = 0
    for tensor in sorted {
      let end = try check(tensor, offset: offset)
      let entry: [(key: String, value: JSON)] = [
        (key: "dtype", value: .string(tensor.dtype.rawValue)),
        (key: "shape", value: .array(tensor.shape.map { .integer(Int64($0)) })),
        (key: "data_offsets", value: .array([.integer(Int64(offset)), .integer(Int64(end))])),
      ]
      members.append((key: tensor.name, value: .object(entry)))
      offset = end
    }
    // The JSON writer refuses a name that comes twice.
    let text = try JSON.object(members).utf8()

    let unpadded = prefixLength + text.count
    let padding = (dataAlignment - unpadded % dataAlignment) % dataAlignment
    let length = text.count + padding
    guard length <= Limits.headerByteCount else {
      throw .invalidArgument(
        "Names and metadata take \(length) bytes in a model file; at most \(Limits.headerByteCount) fit. Shorten the metadata.")
    }
    var header: [UInt8] = []
    header.reserveCapacity(prefixLength + length)
    withUnsafeBytes(of: UInt64(length).littleEndian) { header.append(contentsOf: $0) }
    header.append(contentsOf: text)
    header.append(contentsOf: repeatElement(UInt8(ascii: " "), count: padding))
    return (sorted, header)
  }

  /// Checks one tensor and returns the data offset at which it ends.
  private static func check(_ tensor: SafetensorsTensor, offset: Int) throws(MartletError) -> Int {
    let label = "Tensor \(excerpt(tensor.name))"
    guard tensor.name != metadataKey else {
      throw .invalidArgument("\(label) cannot be stored: the format keeps this name for metadata. Choose another name.")
    }
    guard tensor.name.utf8.count <= Limits.tensorNameByteCount else {
      throw .invalidArgument(
        "\(label) has a name of \(tensor.name.utf8.count) bytes; at most \(Limits.tensorNameByteCount) are stored.")
    }
    guard let byteCount = byteCount(shape: tensor.shape, dtype: tensor.dtype) else {
      throw .invalidArgument("\(label) has a shape that cannot be stored: \(excerpt("\(tensor.shape)")).")
    }
    guard tensor.bytes.count == byteCount else {
      throw .invalidArgument(
        "\(label) of shape \(excerpt("\(tensor.shape)")) and dtype \(tensor.dtype.rawValue) takes \(byteCount) bytes; "
          + "\(tensor.bytes.count) were given.")
    }
    let (end, overflow) = offset.addingReportingOverflow(byteCount)
    guard !overflow else { throw .invalidArgument("\(label) and those before it take more bytes than can be counted.") }
    return end
  }
}
