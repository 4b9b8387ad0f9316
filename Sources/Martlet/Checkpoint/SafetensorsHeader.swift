// A safetensors header believed in nothing: every name, shape and offset is checked before one of them is used.

/// What a header says, after every claim in it was checked.
struct SafetensorsHeader {
  struct Entry {
    var name: String
    /// Nil for a type that this library does not read; the tensor is passed over then, unless somebody needs it.
    var dtype: Safetensors.Dtype?
    /// As the file says it.
    var dtypeName: String
    var shape: [Int]
    /// Where the tensor's bytes stand in the data.
    var range: Range<Int>

    /// - Throws: ``MartletError/Kind/unsupported`` for a type that is not read.
    func readableDtype() throws(MartletError) -> Safetensors.Dtype {
      if let dtype { return dtype }
      let known = Safetensors.Dtype.allCases.map(\.rawValue).joined(separator: ", ")
      throw MartletError(
        .unsupported,
        "Tensor \(excerpt(name)) holds \(dtypeName), which this library does not read; it reads \(known). Convert the tensor "
          + "with the library that wrote it and save it again.")
    }
  }

  /// Tensors in the header's order. Their ranges cover `0..<dataLength` without gap or overlap.
  let entries: [Entry]
  let metadata: [(key: String, value: String)]
  let dataLength: Int
  private let indexByName: [Name: Int]

  func entry(named name: String) -> Entry? { indexByName[Name(name)].map { entries[$0] } }
  func metadata(named key: String) -> String? { metadata.first { $0.key.hasSameBytes(as: key) }?.value }

  /// The header's length from a file's first eight bytes.
  ///
  /// - Parameter prefix: at least the eight, and as many more as ``FileFormat`` may want.
  /// - Parameter fileLength: the file's real length, which the header's claim must fit.
  static func length(prefix: UnsafeRawBufferPointer, fileLength: Int, source: String) throws(MartletError) -> Int {
    guard fileLength > 0 else { throw failure(source, "the file is empty") }
    guard fileLength >= Safetensors.prefixLength, prefix.count >= Safetensors.prefixLength else {
      throw failure(
        source, "the file has \(fileLength) bytes; the length of the header alone takes \(Safetensors.prefixLength)")
    }
    let claim = UInt64(littleEndian: prefix.loadUnaligned(as: UInt64.self))
    guard claim <= UInt64(Limits.headerByteCount) else {
      if let format = FileFormat.of(prefix) {
        throw MartletError(.unsupported, "\(source): expected a safetensors file; got \(format.name). \(format.remedy)")
      }
      throw failure(
        source, "bytes 0 to 7 announce a header of \(claim) bytes; at most \(Limits.headerByteCount) are read")
    }
    let length = Int(claim)
    guard length <= fileLength - Safetensors.prefixLength else {
      throw failure(
        source, "bytes 0 to 7 announce a header of \(length) bytes; only \(fileLength - Safetensors.prefixLength) follow")
    }
    guard length >= 2 else { throw failure(source, "the header has \(length) bytes; the shortest one, {}, has 2") }
    return length
  }

  /// Reads and checks a header.
  ///
  /// - Parameter bytes: the header's JSON and nothing else.
  /// - Throws: ``MartletError/Kind/corruptFile``.
  init(parsing bytes: UnsafeRawBufferPointer, source: String) throws(MartletError) {
    guard bytes.first == UInt8(ascii: "{") else {
      throw Self.failure(source, "the header must begin with '{' at byte \(Safetensors.prefixLength)")
    }
    let document = try JSON.parse(bytes, source: source + ", header", baseOffset: Safetensors.prefixLength)
    guard case .object(let members) = document else { throw Self.failure(source, "the header is not a JSON object") }
    // One more than the tensors for the metadata.
    guard members.count <= Limits.tensorCount + 1 else {
      throw Self.failure(
        source, "the header names \(members.count) tensors; at most \(Limits.tensorCount) are read")
    }
    var entries: [Entry] = []
    var metadata: [(key: String, value: String)] = []
    for (name, value) in members {
      if name.hasSameBytes(as: Safetensors.metadataKey) {
        metadata = try Self.metadata(value, source: source)
      } else {
        entries.append(try Self.entry(name: name, value, source: source))
      }
    }
    self.entries = entries
    self.metadata = metadata
    dataLength = try Self.checkCover(entries, source: source)
    // No name comes twice: the JSON reader refuses that.
    indexByName = Dictionary(entries.enumerated().map { (Name($1.name), $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// Checks that what follows the header is exactly what the header describes.
  func checkDataLength(_ actual: Int, source: String) throws(MartletError) {
    guard actual != dataLength else { return }
    throw Self.failure(
      source,
      "the header describes \(dataLength) bytes of tensor data; \(actual) follow it"
        + (actual < dataLength ? ": the file is cut short" : ""))
  }

  // MARK: Members

  private static func metadata(_ value: JSON, source: String) throws(MartletError) -> [(key: String, value: String)] {
    guard case .object(let members) = value else {
      throw failure(source, "\(Safetensors.metadataKey) must be an object of strings, it is \(value.kindName)")
    }
    var result: [(key: String, value: String)] = []
    for (key, value) in members {
      guard case .string(let text) = value else {
        throw failure(source, "metadata \(excerpt(key)) must be a string, it is \(value.kindName)")
      }
      result.append((key: key, value: text))
    }
    return result
  }

  private static func entry(name: String, _ value: JSON, source: String) throws(MartletError) -> Entry {
    guard name.utf8.count <= Limits.tensorNameByteCount else {
      throw failure(
        source, "a tensor's name has \(name.utf8.count) bytes; at most \(Limits.tensorNameByteCount) are read")
    }
    let label = "tensor \(excerpt(name))"
    guard case .object(let members) = value else {
      throw failure(source, "\(label) must be an object of dtype, shape and data_offsets, it is \(value.kindName)")
    }
    for member in members where !["dtype", "shape", "data_offsets"].contains(where: member.key.hasSameBytes) {
      throw failure(source, "\(label) has the unknown member \(excerpt(member.key))")
    }
    guard let dtypeName = value["dtype"]?.string else {
      throw failure(source, "\(label) needs a dtype, such as \"F32\"")
    }
    guard Safetensors.isDtypeName(dtypeName) else {
      throw failure(source, "\(label) has dtype \(excerpt(dtypeName)), which is no name of a type, such as \"F32\"")
    }
    let dtype = Safetensors.Dtype(rawValue: dtypeName)
    guard let shape = naturals(value["shape"]) else {
      throw failure(source, "\(label) needs a shape: an array of integers from 0 on")
    }
    // Of a type without a known size the offsets alone tell how many bytes there are.
    guard let byteCount = Safetensors.byteCount(shape: shape, valueSize: dtype?.size ?? 1) else {
      throw failure(
        source,
        "\(label) has a shape of \(shape.count) dimensions, \(excerpt("\(shape)")); at most \(Limits.rank) "
          + "dimensions and 2^63 - 1 bytes are read")
    }
    guard let offsets = naturals(value["data_offsets"]), offsets.count == 2 else {
      throw failure(source, "\(label) needs data_offsets: an array of two integers from 0 on")
    }
    guard offsets[0] <= offsets[1] else {
      throw failure(source, "\(label) ends at data offset \(offsets[1]), before it begins at \(offsets[0])")
    }
    guard dtype == nil || offsets[1] - offsets[0] == byteCount else {
      throw failure(
        source,
        "\(label) of shape \(excerpt("\(shape)")) and dtype \(dtypeName) takes \(byteCount) bytes; its data_offsets span "
          + "\(offsets[1] - offsets[0])")
    }
    return Entry(name: name, dtype: dtype, dtypeName: dtypeName, shape: shape, range: offsets[0]..<offsets[1])
  }

  /// An array of integers that are not negative; nil for everything else.
  private static func naturals(_ value: JSON?) -> [Int]? {
    guard let elements = value?.array else { return nil }
    var result: [Int] = []
    for element in elements {
      guard let number = element.int, number >= 0 else { return nil }
      result.append(number)
    }
    return result
  }

  /// Checks that the tensors lie end to end from 0 on, and returns where the last one ends.
  private static func checkCover(_ entries: [Entry], source: String) throws(MartletError) -> Int {
    // An empty tensor shares its offset with the next one and comes before it.
    let sorted = entries.sorted { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
    var end = 0
    for entry in sorted {
      guard entry.range.lowerBound == end else {
        let what = entry.range.lowerBound < end ? "overlaps the tensor before it, which ends" : "leaves a gap after the data"
        throw failure(
          source, "tensor \(excerpt(entry.name)) begins at data offset \(entry.range.lowerBound) and \(what) at \(end)")
      }
      end = entry.range.upperBound
    }
    return end
  }

  private static func failure(_ source: String, _ what: String) -> MartletError {
    .corruptFile("\(source): \(what). The file is damaged or no safetensors file; save or fetch it again.")
  }
}
