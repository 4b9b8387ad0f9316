// Bytes to JSON, strictly: whatever RFC 8259 does not allow is an error with its place, and nothing in the text can trap.

extension JSON {
  /// Reads one document that fills `bytes`.
  ///
  /// Stricter than the grammar in four points, because the text may be hostile: the ``Limits`` hold, no key comes twice in an
  /// object, a number must fit Int64 or (written with fraction or exponent) be finite in Float64, and a `\u` escape must not
  /// leave half a surrogate pair.
  ///
  /// - Parameter source: what is being read, as the error message shall name it.
  /// - Parameter baseOffset: added to every byte offset in messages, for a document inside a file.
  /// - Throws: ``MartletError/Kind/corruptFile`` with the byte offset.
  ///
  /// Edge cases: `-0` is read as the number −0.0, so that the sign stays; a number too small for Float64 rounds to zero; keys
  /// that differ in their bytes are different, though they may be one text in Unicode; a byte order mark is refused.
  /// Cost: one pass; memory in proportion to the text.
  static func parse(
    _ bytes: UnsafeRawBufferPointer, source: String, baseOffset: Int = 0, limits: Limits = Limits()
  ) throws(MartletError) -> JSON {
    var parser = JSONParser(bytes: bytes, source: source, baseOffset: baseOffset, limits: limits)
    return try parser.parseDocument()
  }

  /// Reads one document that fills `text`.
  static func parse(_ text: String, source: String, limits: Limits = Limits()) throws(MartletError) -> JSON {
    let bytes = Array(text.utf8)
    // The result passes through the closure, which keeps the error's type on every platform.
    let result = bytes.withUnsafeBytes { buffer in
      Result { () throws(MartletError) in try parse(buffer, source: source, limits: limits) }
    }
    return try result.get()
  }
}

/// One reading of one document. All access to the bytes goes through `peek`, which knows the end.
struct JSONParser {
  let bytes: UnsafeRawBufferPointer
  let source: String
  let baseOffset: Int
  let limits: JSON.Limits
  var position = 0
  private var valuesSeen = 0
  private var containersSeen = 0

  init(bytes: UnsafeRawBufferPointer, source: String, baseOffset: Int, limits: JSON.Limits) {
    self.bytes = bytes
    self.source = source
    self.baseOffset = baseOffset
    self.limits = limits
  }

  mutating func parseDocument() throws(MartletError) -> JSON {
    let value = try parseValue(depth: 0)
    skipWhitespace()
    guard position == bytes.count else { throw failure(expected: "the end of the document") }
    return value
  }

  // MARK: Values

  private mutating func parseValue(depth: Int) throws(MartletError) -> JSON {
    skipWhitespace()
    valuesSeen += 1
    guard valuesSeen <= limits.values else {
      throw failure("the document has more than \(limits.values) values; no model needs so many")
    }
    switch peek() {
    case UInt8(ascii: "{"): return try parseObject(depth: try deeper(depth))
    case UInt8(ascii: "["): return try parseArray(depth: try deeper(depth))
    case UInt8(ascii: "\""): return .string(try parseString())
    case UInt8(ascii: "-"), .some(UInt8(ascii: "0")...UInt8(ascii: "9")): return try parseNumber()
    case UInt8(ascii: "t"): return try parseWord("true", .bool(true))
    case UInt8(ascii: "f"): return try parseWord("false", .bool(false))
    case UInt8(ascii: "n"): return try parseWord("null", .null)
    default: throw failure(expected: "a JSON value")
    }
  }

  private mutating func deeper(_ depth: Int) throws(MartletError) -> Int {
    containersSeen += 1
    guard containersSeen <= limits.containers else {
      throw failure("the document has more than \(limits.containers) arrays and objects; no model needs so many")
    }
    guard depth < limits.depth else {
      throw failure("arrays and objects are nested more than \(limits.depth) deep")
    }
    return depth + 1
  }

  private mutating func parseArray(depth: Int) throws(MartletError) -> JSON {
    position += 1
    var elements: [JSON] = []
    skipWhitespace()
    if take("]") { return .array(elements) }
    while true {
      elements.append(try parseValue(depth: depth))
      skipWhitespace()
      if take("]") { return .array(elements) }
      guard take(",") else { throw failure(expected: "',' or ']' after an array element") }
    }
  }

  private static let fewMembers = 8

  private mutating func parseObject(depth: Int) throws(MartletError) -> JSON {
    position += 1
    var members: [(key: String, value: JSON)] = []
    // Most objects have few members, of which comparing each with each is the least work.
    var keys = Set<Name>()
    skipWhitespace()
    if take("}") { return .object(members) }
    while true {
      skipWhitespace()
      guard peek() == UInt8(ascii: "\"") else { throw failure(expected: "a member's name in double quotes") }
      let start = position
      let key = try parseString()
      if members.count == Self.fewMembers { keys = Set(members.map { Name($0.key) }) }
      let isNew =
        members.count < Self.fewMembers
        ? !members.contains { $0.key.hasSameBytes(as: key) } : keys.insert(Name(key)).inserted
      guard isNew else {
        position = start
        throw failure("the name \(excerpt(key)) comes twice in one object")
      }
      skipWhitespace()
      guard take(":") else { throw failure(expected: "':' after a member's name") }
      members.append((key: key, value: try parseValue(depth: depth)))
      skipWhitespace()
      if take("}") { return .object(members) }
      guard take(",") else { throw failure(expected: "',' or '}' after a member") }
    }
  }

  private mutating func parseWord(_ word: StaticString, _ value: JSON) throws(MartletError) -> JSON {
    for offset in 0..<word.utf8CodeUnitCount where peek(offset) != word.utf8Start[offset] {
      throw failure(expected: "a JSON value")
    }
    position += word.utf8CodeUnitCount
    return value
  }

  private mutating func parseNumber() throws(MartletError) -> JSON {
    let start = position
    let isNegative = take("-")
    if !take("0") { try takeDigits() }  // A leading zero stands alone: what follows it is no longer this number.
    var isInteger = true
    if take(".") {
      isInteger = false
      try takeDigits()
    }
    if take("e") || take("E") {
      isInteger = false
      if !take("+") { _ = take("-") }
      try takeDigits()
    }
    let length = position - start
    guard length <= limits.numberLength else {
      throw failure("a number of \(length) characters; at most \(limits.numberLength) are read", at: start)
    }
    let text = String(decoding: UnsafeRawBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
    if isInteger, let value = Int64(text) {
      return value == 0 && isNegative ? .number(-0.0) : .integer(value)
    }
    if !isInteger, let value = Double(text), value.isFinite { return .number(value) }
    throw failure(
      "the number \(excerpt(text)) is out of range: "
        + (isInteger ? "integers must fit 64 bits with sign" : "it must be finite as a 64-bit floating-point number"),
      at: start)
  }

  private mutating func takeDigits() throws(MartletError) {
    let start = position
    while let byte = peek(), byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { position += 1 }
    guard position > start else { throw failure(expected: "a digit") }
  }
}

// MARK: - Bytes and messages

extension JSONParser {
  /// The byte `offset` places on, nil past the end.
  func peek(_ offset: Int = 0) -> UInt8? {
    // `position` never passes `count`, so the difference cannot overflow.
    offset < bytes.count - position ? bytes[position + offset] : nil
  }

  mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard peek() == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func skipWhitespace() {
    while let byte = peek(), byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  /// The error for a byte that is not what the grammar wants here.
  func failure(expected: String) -> MartletError {
    let found =
      switch peek() {
      case nil: "the text ends"
      case .some(let byte) where byte >= 0x21 && byte <= 0x7E: "found '\(Unicode.Scalar(byte))'"
      case .some(let byte): "found byte 0x\(hexadecimal(byte))"
      }
    return failure("expected \(expected), \(found)")
  }

  func failure(_ what: String, at offset: Int? = nil) -> MartletError {
    .corruptFile(
      "\(source): \(what) (byte \(baseOffset + (offset ?? position))). The JSON text is damaged or was not written by a "
        + "JSON writer; save or fetch the file again.")
  }
}
