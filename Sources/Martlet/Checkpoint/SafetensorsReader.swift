// From a path or from memory to a checked file. Memory is taken for what is really there, never for what a header claims.

/// An open file whose header was read and checked; tensors are read from it one by one, to where they belong.
///
/// The file is read and not mapped: were it cut short by another program meanwhile, a mapping would end the process.
struct SafetensorsReader: ~Copyable {
  let header: SafetensorsHeader
  private let file: InputFile
  /// The path, as messages name it.
  private let source: String
  private let dataStart: Int

  /// Reads the header, and checks it against the file's real length.
  ///
  /// - Throws: ``MartletError/Kind/inputOutput`` if the path cannot be read or is no regular file;
  ///   ``MartletError/Kind/unsupported`` for a file of another format; ``MartletError/Kind/corruptFile`` if the file is truncated or
  ///   its header is not valid; ``MartletError/Kind/outOfMemory``.
  init(_ path: String) throws(MartletError) {
    let file = try InputFile(path)
    let source = excerpt(path, limit: 400)
    let prefix = try SafetensorsFile.Data(count: min(file.length, FileFormat.prefixLength), source: source)
    try file.readFully(into: prefix.bytes, at: 0)
    let headerLength = try SafetensorsHeader.length(
      prefix: UnsafeRawBufferPointer(prefix.bytes), fileLength: file.length, source: source)

    let dataStart = Safetensors.prefixLength + headerLength
    let header = try Self.header(of: file, length: headerLength, source: source)
    try header.checkDataLength(file.length - dataStart, source: source)
    self.header = header
    self.file = file
    self.source = source
    self.dataStart = dataStart
  }

  /// The header's text goes when it was read, before memory for anything else is taken.
  private static func header(
    of file: borrowing InputFile, length: Int, source: String
  ) throws(MartletError) -> SafetensorsHeader {
    let text = try SafetensorsFile.Data(count: length, source: source)
    try file.readFully(into: text.bytes, at: Safetensors.prefixLength)
    let reserve = try MemoryReserve(parsing: length)
    defer { reserve.end() }
    return try SafetensorsHeader(parsing: UnsafeRawBufferPointer(text.bytes), source: source)
  }

  /// Reads a tensor's bytes into memory of their number.
  func read(_ entry: SafetensorsHeader.Entry, into bytes: UnsafeMutableRawBufferPointer) throws(MartletError) {
    try file.readFully(into: bytes, at: dataStart + entry.range.lowerBound)
  }

  /// Reads all tensors' bytes.
  func readWhole() throws(MartletError) -> SafetensorsFile {
    let data = try SafetensorsFile.Data(count: header.dataLength, source: source)
    try file.readFully(into: data.bytes, at: dataStart)
    return SafetensorsFile(header: header, data: data)
  }
}

extension Safetensors {
  /// Reads a file whole.
  ///
  /// - Throws: as ``SafetensorsReader``.
  ///
  /// Cost: one pass over the file; memory of the file's size.
  static func read(_ path: String) throws(MartletError) -> SafetensorsFile {
    let reader = try SafetensorsReader(path)
    return try reader.readWhole()
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

extension MemoryReserve {
  /// For the values and lists that a text of so many bytes becomes: an empty list is three bytes of it and 24 of memory, twice that while a
  /// list grows.
  init(parsing byteCount: Int) throws(MartletError) { try self.init(byteCount: 64 * byteCount) }
}
