// Strings of a JSON document: escapes, and UTF-8 that is checked byte by byte.

extension JSONParser {
  /// Reads a string, from its opening to its closing quotation mark.
  mutating func parseString() throws(MartletError) -> String {
    position += 1
    var text: [UInt8] = []
    var runStart = position
    while true {
      guard let byte = peek() else { throw failure(expected: "the closing quotation mark of a string") }
      switch byte {
      case UInt8(ascii: "\""):
        // Most strings have no escape and are one run: they go from the file's bytes into the String at once.
        let run = UnsafeRawBufferPointer(rebasing: bytes[runStart..<position])
        position += 1
        if text.isEmpty { return String(decoding: run, as: UTF8.self) }
        text.append(contentsOf: run)
        return String(decoding: text, as: UTF8.self)
      case UInt8(ascii: "\\"):
        text.append(contentsOf: bytes[runStart..<position])
        try appendEscape(to: &text)
        runStart = position
      case 0..<0x20: throw failure("a control character stands in a string; it must be written as \\u00\(hexadecimal(byte))")
      case 0x20..<0x80: position += 1
      default: position += try wellFormedLength(lead: byte)
      }
    }
  }

  /// Reads an escape, from its backslash on.
  private mutating func appendEscape(to text: inout [UInt8]) throws(MartletError) {
    let start = position
    position += 1
    switch peek() {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(bytes[position])
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"):
      position += 1
      let scalar = try parseScalarEscape(start: start)
      text.append(contentsOf: String(scalar).utf8)
      return
    default: throw failure(expected: "one of \" \\ / b f n r t u after a backslash")
    }
    position += 1
  }

  /// Reads the hexadecimal digits after `\u`, and the second half of a surrogate pair where the first asks for it.
  private mutating func parseScalarEscape(start: Int) throws(MartletError) -> Unicode.Scalar {
    let first = try parseFourHexadecimalDigits()
    if let scalar = Unicode.Scalar(first) { return scalar }
    let halfPair = "a \\u escape with one half of a surrogate pair stands alone"
    guard first < 0xDC00, take("\\"), take("u") else { throw failure(halfPair, at: start) }
    let second = try parseFourHexadecimalDigits()
    guard second >= 0xDC00, second <= 0xDFFF,
      let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
    else { throw failure(halfPair, at: start) }
    return scalar
  }

  private mutating func parseFourHexadecimalDigits() throws(MartletError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      let digit: UInt8
      switch peek() {
      case .some(let byte) where byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
      case .some(let byte) where byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
      case .some(let byte) where byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
      default: throw failure(expected: "four hexadecimal digits after \\u")
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }

  /// The length of the well-formed UTF-8 sequence of two to four bytes that starts here.
  ///
  /// The second byte's range is what keeps out overlong forms, surrogates and values past U+10FFFF.
  /// Source: The Unicode Standard 15.0, table 3-7.
  private func wellFormedLength(lead: UInt8) throws(MartletError) -> Int {
    let length: Int
    let second: ClosedRange<UInt8>
    switch lead {
    case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
    case 0xE0: (length, second) = (3, 0xA0...0xBF)
    case 0xED: (length, second) = (3, 0x80...0x9F)
    case 0xE1...0xEF: (length, second) = (3, 0x80...0xBF)
    case 0xF0: (length, second) = (4, 0x90...0xBF)
    case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
    case 0xF4: (length, second) = (4, 0x80...0x8F)
    default: throw failure("byte 0x\(hexadecimal(lead)) cannot start a character in UTF-8")
    }
    for offset in 1..<length {
      let range = offset == 1 ? second : 0x80...0xBF
      guard let byte = peek(offset), range.contains(byte) else {
        throw failure("a character that starts with byte 0x\(hexadecimal(lead)) is not well-formed UTF-8")
      }
    }
    return length
  }
}

/// Two hexadecimal digits.
func hexadecimal(_ byte: UInt8) -> String {
  (byte < 16 ? "0" : "") + String(byte, radix: 16)
}

/// The first few strings from a file or a caller in an error message, and how many more there are.
func excerpts(_ texts: [String], most: Int) -> String {
  let shown = texts.prefix(most).map { excerpt($0) }.joined(separator: ", ")
  return texts.count > most ? shown + " and \(texts.count - most) more" : shown
}

/// A string from a file in an error message: quoted, without control characters, and never long.
func excerpt(_ text: String, limit: Int = 80) -> String {
  var result = "\""
  for (index, scalar) in text.unicodeScalars.enumerated() {
    if index == limit { return result + "…\"" }
    let isHidden = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
    result += isHidden ? "\\u{\(String(scalar.value, radix: 16))}" : String(scalar)
  }
  return result + "\""
}
