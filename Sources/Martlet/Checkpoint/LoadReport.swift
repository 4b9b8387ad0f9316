// What became of each name when weights were read into a model.

/// Names of tensors, by what a file or a dictionary of arrays and a model have in common.
public struct LoadReport: Sendable, Equatable {
  /// Tensors of the model that were read, in the model's order.
  public var matched: [String]
  /// Tensors of the model that were not there, in the model's order.
  public var missing: [String]
  /// Tensors that were there and that the model does not have, in the file's order; those of data types that are not read too.
  public var unexpected: [String]

  public init(matched: [String] = [], missing: [String] = [], unexpected: [String] = []) {
    self.matched = matched
    self.missing = missing
    self.unexpected = unexpected
  }
}

extension LoadReport {
  /// Names shown of each side in a message.
  private static let most = 4

  /// Why names that are another architecture's are refused.
  func anotherArchitecture(_ source: String, missing: [String]) -> MartletError {
    let lacks = missing.isEmpty ? nil : "lacks \(excerpts(missing, most: Self.most))"
    let holds = unexpected.isEmpty ? nil : "holds \(excerpts(unexpected, most: Self.most)), which the model does not have"
    return .invalidArgument(
      "\(source): the file \([lacks, holds].compactMap { $0 }.joined(separator: " and ")). \(hint ?? "")"
        + "Build the model that was saved, or load with strict off to take what fits.")
  }

  /// Why names of which none fits are refused.
  func nothingFits(_ source: String) -> MartletError {
    let holds = unexpected.isEmpty ? "no tensors" : excerpts(unexpected, most: Self.most)
    return .invalidArgument(
      "\(source): nothing to load: no tensor of the file has the name of one of the model's. The file holds \(holds); the model has "
        + "\(excerpts(missing, most: Self.most)). \(hint ?? "")Rename the tensors, or build the model that was saved.")
  }

  /// The likely cause where one side's names are the other's behind a prefix.
  private var hint: String? {
    if let prefix = Self.prefix(of: unexpected, before: missing) {
      return "The file's names are the model's after the prefix \(excerpt(prefix)): they were saved from inside a wrapper. "
    }
    if let prefix = Self.prefix(of: missing, before: unexpected) {
      return "The model's names are the file's after the prefix \(excerpt(prefix)): they are a part of this model. "
    }
    return nil
  }

  /// What stands before names of `short` in `long`, if that is one text, for as many names as were looked at.
  private static func prefix(of long: [String], before short: [String]) -> String? {
    let known = Set(short.map(Name.init))
    var found: Name?
    for name in long.prefix(64) {
      let bytes = Array(name.utf8)
      guard let dot = bytes.firstIndex(of: UInt8(ascii: ".")) else { continue }
      guard known.contains(Name(String(decoding: bytes[(dot + 1)...], as: UTF8.self))) else { continue }
      let prefix = Name(String(decoding: bytes[...dot], as: UTF8.self))
      guard found == nil || found == prefix else { return nil }
      found = prefix
    }
    return found?.text
  }
}
