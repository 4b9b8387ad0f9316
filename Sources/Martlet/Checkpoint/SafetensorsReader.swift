// From a path or from memory to a checked file. Memory is taken for what is really there, never for what a header claims.

extension Safetensors {
  /// Reads a file whole.
  ///
  /// The header is read and checked against the file's real length before memory for the data is taken. The file is read
  /// and not mapped: were it cut short by another program meanwhile, a mapping would end the process.
  ///
  /// - Throws: ``MartletError/Kind/inputOutput`` if the path cannot be read or is no regular file;
  ///   ``MartletError/Kind/corruptFile`` if the file is not whole and honest; ``MartletError/Kind/unsupported`` for a data
  ///   type
  ///   that is not read; ``MartletError/Kind/outOfMemory``.
  ///
  /// Cost: one pass over the file; memory of the file's size.
  static func read(_ path: String) throws(MartletError) -> SafetensorsFile {
    let file = try InputFile(path)
    let source = excerpt(path, limit: 400)

    let prefix = try SafetensorsFile.Data(count: min(file.length, prefixLength), source: source)
    try file.readFully(into: prefix.bytes)
    let headerLength = try SafetensorsHeader.length(
      prefix: UnsafeRawBufferPointer(prefix.bytes), fileLength: file.length, source: source)

    let headerBytes = try SafetensorsFile.Data(count: headerLength, source: source)
    try file.readFully(into: headerBytes.bytes)
    let reserve = try MemoryReserve(parsing: headerLength)
    defer { reserve.end() }
    let header = try SafetensorsHeader(parsing: UnsafeRawBufferPointer(headerBytes.bytes), source: source)
    try header.checkDataLength(file.length - prefixLength - headerLength, source: source)

    let data = try SafetensorsFile.Data(count: header.dataLength, source: source)
    try file.readFully(into: data.bytes)
    return SafetensorsFile(header: header, data: data)
  }

  /// Reads a file that stands in memory, at any address; the result owns a copy of the data.
  ///
  /// - Parameter source: what the bytes are, as messages shall name them.
  static func parse(copying bytes: UnsafeRawBufferPointer, source: String) throws(MartletError) -> SafetensorsFile {
    let headerLength = try SafetensorsHeader.length(prefix: bytes, fileLength: bytes.count, source: source)
    let dataStart = prefixLength + headerLength
    let reserve = try MemoryReserve(parsing: headerLength)
    defer { reserve.end() }
    let header = try SafetensorsHeader(
      parsing: UnsafeRawBufferPointer(rebasing: bytes[prefixLength..<dataStart]), source: source)
    try header.checkDataLength(bytes.count - dataStart, source: source)
    let data = try SafetensorsFile.Data(count: header.dataLength, source: source)
    data.bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[dataStart...]))
    return SafetensorsFile(header: header, data: data)
  }
}

extension SafetensorsFile {
  /// The tensors of a checked header over data of the length it describes.
  fileprivate convenience init(header: SafetensorsHeader, data: Data) {
    let tensors = header.entries.map { entry in
      SafetensorsTensor(
        name: entry.name, dtype: entry.dtype, shape: entry.shape,
        bytes: UnsafeRawBufferPointer(rebasing: data.bytes[entry.range]), owner: data)
    }
    self.init(tensors: tensors, metadata: header.metadata)
  }
}

extension MemoryReserve {
  /// For the values and lists that a text of so many bytes becomes: an empty list is three bytes of it and 24 of memory, twice that while a
  /// list grows.
  init(parsing byteCount: Int) throws(MartletError) { try self.init(byteCount: 64 * byteCount) }
}
