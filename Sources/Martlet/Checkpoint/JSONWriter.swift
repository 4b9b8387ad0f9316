// JSON to text: the shortest digits that read back as the same numbers, and nothing the parser would refuse.

extension JSON {
  /// The document as text without spaces or line breaks; ``parse(_:source:limits:)`` gives back an equal document.
  ///
  /// - Throws: ``MartletError/Kind/invalidArgument`` with the value's place, as in `$.layers[2].epsilon`, for a number
  ///   that is
  ///   infinite or not a number, a key that comes twice, or nesting deeper than ``Limits/depth``.
  ///
  /// Cost: one pass.
  func text() throws(MartletError) -> String {
    var writer = JSONWriter()
    try writer.write(self)
    return String(decoding: writer.bytes, as: UTF8.self)
  }

  /// The same text as UTF-8.
  func utf8() throws(MartletError) -> [UInt8] {
    var writer = JSONWriter()
    try writer.write(self)
    return writer.bytes
  }
}

/// One writing of one document.
private struct JSONWriter {
  private(set) var bytes: [UInt8] = []
  /// Where the writer is, for messages: keys and indices from the document's root.
  private var path: [String] = []

  mutating func write(_ value: JSON) throws(MartletError) {
    switch value {
    case .null: append("null")
    case .bool(let value): append(value ? "true" : "false")
    case .integer(let value): append(String(value))
    case .number(let value):
      guard value.isFinite else {
        throw failure("the number \(value) has no form in JSON; use a finite value, or null where a value may be missing")
      }
      // Swift's description is the shortest text that reads back as the same bits. It always has a point or an exponent,
      // which tells a number from an integer, and what it prints for finite values is JSON.
      append(value.description)
    case .string(let value): write(string: value)
    case .array(let elements): try write(array: elements)
    case .object(let members): try write(object: members)
    }
  }

  private mutating func write(array elements: [JSON]) throws(MartletError) {
    try checkDepth()
    append("[")
    for (index, element) in elements.enumerated() {
      if index > 0 { append(",") }
      path.append("[\(index)]")
      try write(element)
      path.removeLast()
    }
    append("]")
  }

  private mutating func write(object members: [(key: String, value: JSON)]) throws(MartletError) {
    try checkDepth()
    append("{")
    var keys = Set<Name>()
    for (index, member) in members.enumerated() {
      guard keys.insert(Name(member.key)).inserted else { throw failure("the key \(excerpt(member.key)) comes twice") }
      if index > 0 { append(",") }
      write(string: member.key)
      append(":")
      path.append("." + member.key)
      try write(member.value)
      path.removeLast()
    }
    append("}")
  }

  private mutating func write(string: String) {
    append("\"")
    for byte in string.utf8 {
      switch byte {
      case UInt8(ascii: "\""): append("\\\"")
      case UInt8(ascii: "\\"): append("\\\\")
      case 0x0A: append("\\n")
      case 0x0D: append("\\r")
      case 0x09: append("\\t")
      // DEL is allowed as it is; escaped, it cannot upset a terminal.
      case 0..<0x20, 0x7F: append("\\u00" + hexadecimal(byte))
      default: bytes.append(byte)
      }
    }
    append("\"")
  }

  private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

  private func checkDepth() throws(MartletError) {
    let limit = JSON.Limits().depth
    guard path.count < limit else { throw failure("arrays and objects are nested more than \(limit) deep") }
  }

  private func failure(_ what: String) -> MartletError {
    .invalidArgument("JSON at \(excerpt("$" + path.joined(), limit: 200)): \(what).")
  }
}
