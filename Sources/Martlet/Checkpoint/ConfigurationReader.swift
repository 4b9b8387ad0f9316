// Typed reading of the objects of an architecture. What is missing, of another type or unknown makes the file corrupt.

/// Reads the members of a JSON object by name, and knows which of them nobody asked for.
///
/// A member that this version does not know may change what the network computes, so a file that has one is refused by
/// ``refuseUnknown()``, which is to be called when everything known has been read.
final class ConfigurationReader {
  private let members: [(key: String, value: JSON)]
  /// What messages call the object: "dense".
  private let what: String
  /// What messages call its members: "option".
  private let noun: String
  /// Names that were asked for, whether they are there or not.
  private var known: [String] = []

  init(_ json: JSON, _ what: String, noun: String = "option") throws {
    guard let members = json.object else {
      throw MartletError.corruptFile("\(what): expected an object of \(noun)s; got \(json.kindName).")
    }
    self.members = members
    self.what = what
    self.noun = noun
  }

  /// A member that may be missing.
  func optional(_ key: String) -> JSON? {
    known.append(key)
    return members.first { ConfigurationReader.isSame($0.key, key) }?.value
  }

  func value(_ key: String) throws -> JSON {
    guard let value = optional(key) else { throw failure("expected the \(noun) \"\(key)\"; it is missing.") }
    return value
  }

  private func read<Value>(_ key: String, _ wanted: String, _ get: (JSON) -> Value?) throws -> Value {
    let found = try value(key)
    guard let result = get(found) else {
      throw failure("\(noun) \"\(key)\": expected \(wanted); got \(found.kindName).")
    }
    return result
  }

  func bool(_ key: String) throws -> Bool { try read(key, "a boolean", \.bool) }
  func int(_ key: String) throws -> Int { try read(key, "an integer", \.int) }
  func double(_ key: String) throws -> Double { try read(key, "a number", \.double) }
  func string(_ key: String) throws -> String { try read(key, "a string", \.string) }
  func array(_ key: String) throws -> [JSON] { try read(key, "an array", \.array) }
  func ints(_ key: String) throws -> [Int] { try list(key, "a list of integers", \.int) }
  func doubles(_ key: String) throws -> [Double] { try list(key, "a list of numbers", \.double) }
  func strings(_ key: String) throws -> [String] { try list(key, "a list of strings", \.string) }
  func optionalDouble(_ key: String) throws -> Double? { try value(key).isNull ? nil : double(key) }

  private func list<Element>(_ key: String, _ wanted: String, _ get: (JSON) -> Element?) throws -> [Element] {
    try read(key, wanted) { list in
      let values = list.array?.compactMap(get)
      return values?.count == list.array?.count ? values : nil
    }
  }

  /// One of several words.
  func choice<Choice>(_ key: String, _ choices: [(name: String, value: Choice)]) throws -> Choice {
    let name = try string(key)
    guard let found = choices.first(where: { ConfigurationReader.isSame($0.name, name) }) else {
      let names = choices.map { "\"\($0.name)\"" }.joined(separator: ", ")
      throw failure("\(noun) \"\(key)\": expected one of \(names); got \(excerpt(name)).")
    }
    return found.value
  }

  /// - Throws: ``MartletError/Kind/corruptFile`` with the name of the first member that was not asked for.
  func refuseUnknown() throws {
    for member in members where !known.contains(where: { ConfigurationReader.isSame($0, member.key) }) {
      let names = known.isEmpty ? "no \(noun)s" : "only \(known.joined(separator: ", "))"
      throw failure(
        "expected \(names); got the unknown \(noun) \(excerpt(member.key)). The file may come from a newer version of the library."
      )
    }
  }

  private func failure(_ message: String) -> MartletError { .corruptFile("\(what): \(message)") }

  /// Byte by byte: a name of many combining characters costs a comparison of strings the square of its length.
  fileprivate static func isSame(_ a: String, _ b: String) -> Bool { a.utf8.elementsEqual(b.utf8) }
}

extension BuildableLayer {
  /// A layer of all the options that a file says, and no others.
  init(configuration json: JSON) throws {
    let reader = try ConfigurationReader(json, Self.kind)
    try self.init(configuration: reader)
    try reader.refuseUnknown()
  }
}

extension JSON {
  /// Whether it is this string, byte by byte.
  func isText(_ text: String) -> Bool { string.map { ConfigurationReader.isSame($0, text) } ?? false }
}
