// Reads the answers in Tests/goldens; the format is described in their README.
#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

public struct GoldenFile {
  public struct Record {
    public let type: String
    public let shape: [Int]
    /// All types, exactly: the integers are small.
    public let values: [Double]
  }

  public struct Failure: Error, CustomStringConvertible {
    public let description: String
  }

  public let name: String
  private let records: [String: Record]
  public var names: [String] { records.keys.sorted() }

  /// Reads Tests/goldens/<name>.golden.
  public init(_ name: String) throws {
    let source = #filePath
    let tests = source.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(separator: "/")
    try self.init(name: name, path: "\(tests)/goldens/\(name).golden")
  }

  private init(name: String, path: String) throws {
    self.name = name
    let lines = try GoldenFile.text(path).split(separator: 10).filter { $0.first != 35 }
    var words: [ArraySlice<UInt8>] = []
    for line in lines { words.append(contentsOf: line.split(separator: 32)) }
    var place = 0
    func next() throws -> ArraySlice<UInt8> {
      guard place < words.count else { throw Failure(description: "\(path) ends in the middle of a record") }
      defer { place += 1 }
      return words[place]
    }
    func integer() throws -> Int {
      let word = String(decoding: try next(), as: UTF8.self)
      guard let value = Int(word) else { throw Failure(description: "\(path): \"\(word)\" is no integer") }
      return value
    }
    var records: [String: Record] = [:]
    while place < words.count {
      let record = String(decoding: try next(), as: UTF8.self)
      let type = String(decoding: try next(), as: UTF8.self)
      let shape = try (0..<integer()).map { _ in try integer() }
      let values = try (0..<shape.reduce(1, *)).map { _ in try GoldenFile.number(next()) }
      guard records.updateValue(Record(type: type, shape: shape, values: values), forKey: record) == nil else {
        throw Failure(description: "\(path): \"\(record)\" comes twice")
      }
    }
    self.records = records
  }

  /// The record of this name.
  public func callAsFunction(_ record: String) throws -> Record {
    guard let found = records[record] else { throw Failure(description: "\(name).golden has no \"\(record)\"") }
    return found
  }

  public func has(_ record: String) -> Bool { records[record] != nil }
  public func floats(_ record: String) throws -> [Float] { try self(record).values.map { Float($0) } }
  public func number(_ record: String) throws -> Double { try self(record).values[0] }
  public func flag(_ record: String) throws -> Bool { try number(record) != 0 }

  private static func number(_ word: ArraySlice<UInt8>) throws -> Double {
    guard let value = Double(String(decoding: word, as: UTF8.self)) else {
      throw Failure(description: "\"\(String(decoding: word, as: UTF8.self))\" is no number")
    }
    return value
  }

  private static func text(_ path: String) throws -> [UInt8] {
    guard let file = fopen(path, "rb") else { throw Failure(description: "\(path) cannot be opened") }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes.append(contentsOf: buffer[..<count]) }
    return bytes
  }
}
