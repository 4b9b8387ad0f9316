// A JSON document in memory: what a model file's header and the stored architecture are made of.

/// A JSON value (RFC 8259) that keeps what matters for storing a model: the order of members, and whether a number was
/// written as an integer.
///
/// Edge cases: `integer(1)` and `number(1)` are different values and stay so through text. Two objects are equal when they
/// have equal members in the same order.
enum JSON: Sendable {
  case null
  case bool(Bool)
  /// A number written without fraction and exponent.
  case integer(Int64)
  /// A number written with a fraction or an exponent; finite in every document that is read or written.
  case number(Double)
  case string(String)
  case array([JSON])
  /// Members in the order of the text; no key twice.
  case object([(key: String, value: JSON)])
}

extension JSON {
  /// What a document may cost to read. The defaults fit a header with every tensor that ``Safetensors`` admits; the bound on
  /// values is what keeps a few megabytes of `[[],[],…]` from becoming gigabytes of memory.
  struct Limits: Sendable {
    /// Arrays and objects inside one another. Reader and writer recurse once per level.
    var depth = 64
    /// Values in the whole document, members and elements counted one by one.
    var values = 2_000_000
    /// Arrays and objects in the whole document, each of which takes a block of memory; a header of the most tensors has 300,001.
    var containers = 500_000
    /// Bytes of one number. The longest exact decimal of a Float64 has some 1,080.
    var numberLength = 2_048
  }
}

// MARK: - Looking inside

extension JSON {
  /// The member of an object; nil if there is none, or if this is not an object.
  subscript(key: String) -> JSON? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key.hasSameBytes(as: key) }?.value
  }

  /// The element of an array; nil beyond its ends, or if this is not an array.
  subscript(index: Int) -> JSON? {
    guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
    return elements[index]
  }

  /// The integer; nil for everything else, `1.0` included.
  var int: Int? {
    guard case .integer(let value) = self else { return nil }
    return Int(exactly: value)
  }

  /// The number; an integer only if Float64 holds it exactly.
  var double: Double? {
    switch self {
    case .number(let value): value
    case .integer(let value): Double(exactly: value)
    default: nil
    }
  }

  var string: String? {
    guard case .string(let value) = self else { return nil }
    return value
  }

  var bool: Bool? {
    guard case .bool(let value) = self else { return nil }
    return value
  }

  var array: [JSON]? {
    guard case .array(let elements) = self else { return nil }
    return elements
  }

  var object: [(key: String, value: JSON)]? {
    guard case .object(let members) = self else { return nil }
    return members
  }

  var isNull: Bool {
    guard case .null = self else { return false }
    return true
  }

  /// What kind of value this is, in words for an error message.
  var kindName: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .integer: "an integer"
    case .number: "a number with a fraction or exponent"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

// MARK: - Equality and literals

extension JSON: Equatable {
  // By hand, because tuples are not Equatable.
  static func == (a: JSON, b: JSON) -> Bool {
    switch (a, b) {
    case (.null, .null): true
    case (.bool(let x), .bool(let y)): x == y
    case (.integer(let x), .integer(let y)): x == y
    case (.number(let x), .number(let y)): x == y
    case (.string(let x), .string(let y)): x.hasSameBytes(as: y)
    case (.array(let x), .array(let y)): x == y
    case (.object(let x), .object(let y)): x.elementsEqual(y) { $0.key.hasSameBytes(as: $1.key) && $0.value == $1.value }
    default: false
    }
  }
}

extension JSON: ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  init(booleanLiteral value: Bool) { self = .bool(value) }
  init(integerLiteral value: Int64) { self = .integer(value) }
  init(floatLiteral value: Double) { self = .number(value) }
  init(stringLiteral value: String) { self = .string(value) }
  init(arrayLiteral elements: JSON...) { self = .array(elements) }
  init(dictionaryLiteral members: (String, JSON)...) { self = .object(members.map { (key: $0.0, value: $0.1) }) }
}
