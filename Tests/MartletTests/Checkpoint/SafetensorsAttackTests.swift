// Hostile and broken files: each is an error that names its fault, and none is a trap or a large allocation.

import MartletTestSupport
import Testing

@testable import Martlet

/// A header, how many bytes follow it, and words of the message that is due.
struct Attack: CustomTestStringConvertible, Sendable {
  var header: String
  var dataLength: Int
  var complaint: String
  init(_ header: String, _ dataLength: Int = 0, _ complaint: String) {
    self.header = header
    self.dataLength = dataLength
    self.complaint = complaint
  }
  var testDescription: String { "\(excerpt(header)) → \(complaint)" }
}

/// A header of one F32 tensor `a`.
private func one(shape: String = "[1]", offsets: String = "[0,4]", dtype: String = "\"F32\"") -> String {
  "{\"a\":{\"dtype\":\(dtype),\"shape\":\(shape),\"data_offsets\":\(offsets)}}"
}

/// A header of two U8 tensors.
private func two(_ a: (Int, Int), _ b: (Int, Int)) -> String {
  func entry(_ range: (Int, Int)) -> String {
    "{\"dtype\":\"U8\",\"shape\":[\(range.1 - range.0)],\"data_offsets\":[\(range.0),\(range.1)]}"
  }
  return "{\"a\":\(entry(a)),\"b\":\(entry(b))}"
}

@Suite struct SafetensorsAttackTests {
  static let attacks: [Attack] = [
    // The JSON itself.
    Attack(" {}", 0, "must begin with '{'"), Attack("[]", 0, "must begin with '{'"),
    Attack("\u{1}\0", 0, "must begin with '{'"),
    Attack("{ ", 0, "the text ends"), Attack("{}x", 0, "the end of the document"), Attack("{}\0", 0, "the end of the document"),
    Attack(one() + one(), 4, "the end of the document"),
    Attack("{\"a\":" + String(repeating: "[", count: 100_000), 0, "64 deep"),
    Attack("{\"a\":1,\"a\":1}", 0, "twice"), Attack("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "twice"),
    // Metadata.
    Attack("{\"__metadata__\":1}", 0, "object of strings"), Attack("{\"__metadata__\":{\"k\":1}}", 0, "must be a string"),
    Attack("{\"__metadata__\":{\"k\":null}}", 0, "must be a string"),
    // Members of an entry.
    Attack("{\"a\":1}", 0, "must be an object"), Attack("{\"a\":{}}", 0, "needs a dtype"),
    Attack("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4, "unknown member"),
    Attack("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "needs data_offsets"),
    Attack("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "needs a shape"),
    Attack("{\"" + String(repeating: "n", count: 4_097) + "\":1}", 0, "name has 4097 bytes"),
    Attack(one(dtype: "1"), 4, "needs a dtype"),
    // Shapes.
    Attack(one(shape: "1"), 4, "needs a shape"), Attack(one(shape: "[-1]"), 4, "needs a shape"),
    Attack(one(shape: "[1.0]"), 4, "needs a shape"), Attack(one(shape: "[1e0]"), 4, "needs a shape"),
    Attack(one(shape: "[\"1\"]"), 4, "needs a shape"), Attack(one(shape: "[null]"), 4, "needs a shape"),
    Attack(one(shape: "[-0]"), 4, "needs a shape"), Attack(one(shape: "[9223372036854775808]"), 4, "out of range"),
    Attack(one(shape: "[9223372036854775807]"), 4, "are read"), Attack(one(shape: "[4294967296,4294967296]"), 4, "are read"),
    Attack(one(shape: "[0,9223372036854775807]", offsets: "[0,0]"), 0, "are read"),
    Attack(one(shape: "[" + String(repeating: "1,", count: 64) + "1]"), 4, "65 dimensions"),
    Attack(one(shape: "[2]"), 4, "takes 8 bytes"), Attack(one(shape: "[0]"), 4, "takes 0 bytes"),
    Attack(one(shape: "[4611686018427387904]", offsets: "[0,4611686018427387904]", dtype: "\"U8\""), 4, "cut short"),
    // Offsets.
    Attack(one(offsets: "[4]"), 4, "needs data_offsets"), Attack(one(offsets: "[0,4,8]"), 4, "needs data_offsets"),
    Attack(one(offsets: "[-4,0]"), 4, "needs data_offsets"), Attack(one(offsets: "[0.0,4.0]"), 4, "needs data_offsets"),
    Attack(one(offsets: "[4,0]"), 4, "before it begins"), Attack(one(offsets: "[0,18446744073709551615]"), 4, "out of range"),
    Attack(one(offsets: "[9223372036854775803,9223372036854775807]"), 4, "leaves a gap"),
    Attack(one(offsets: "[4,8]"), 8, "leaves a gap"), Attack(two((0, 2), (3, 4)), 4, "leaves a gap"),
    Attack(two((0, 2), (1, 3)), 3, "overlaps"), Attack(two((0, 4), (0, 4)), 4, "overlaps"),
    Attack(two((0, 4), (1, 2)), 4, "overlaps"), Attack(two((2, 2), (0, 4)), 4, "overlaps"),
    Attack(one(), 3, "cut short"), Attack(one(), 0, "cut short"), Attack(one(), 5, "5 follow"), Attack("{}", 1, "1 follow"),
  ]

  @Test(arguments: attacks) func isRefused(attack: Attack) throws {
    let bytes = rawFile(attack.header, dataLength: attack.dataLength)
    let error = martletError { _ = try parse(bytes) }
    #expect(error?.kind == .corruptFile)
    #expect(error?.message.contains(attack.complaint) == true, "\(error?.message ?? "no error")")
    #expect((error?.message.utf8.count ?? 0) < 1_000)
  }

  /// A tensor of a type that is not read leaves the file's others readable, until somebody needs it.
  @Test(arguments: ["F4", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "COMPLEX"]) func otherDataTypesArePassedOver(dtype: String) throws {
    let file = try parse(rawFile(one(dtype: "\"\(dtype)\""), dataLength: 4))
    #expect(file.tensors.isEmpty && file.header.entries.count == 1)
    let error = martletError { _ = try file.tensor(named: "a") }
    #expect(error?.kind == .unsupported)
    #expect(error?.message.contains("\"a\" holds \(dtype)") == true)
  }

  @Test(arguments: ["f32", "", "F32\\u0000", "F 4", String(repeating: "F", count: 33)]) func dataTypesAreNames(dtype: String) {
    let error = martletError { _ = try parse(rawFile(one(dtype: "\"\(dtype)\""), dataLength: 4)) }
    #expect(error?.kind == .corruptFile)
  }

  @Test(
    arguments: [0, 1, 101, 1 << 20, 100_000_000, 100_000_001, 1 << 31, 1 << 32, 1 << 62, 1 << 63, (1 << 63) - 8, .max]
      as [UInt64])
  func lyingHeaderLengthsAreRefused(length: UInt64) throws {
    let scratch = try ScratchDirectory()
    let bytes = rawFile(Array("{}".utf8) + Array(repeating: 0x20, count: 98), data: [], announced: length)
    #expect(martletError { _ = try parse(bytes) }?.kind == .corruptFile)
    try writePlainly(bytes, to: scratch("file"))
    #expect(martletError { _ = try Safetensors.read(scratch("file")) }?.kind == .corruptFile)
  }

  @Test func invalidUTF8IsRefusedInNames() {
    let header = Array(one().utf8).map { $0 == UInt8(ascii: "a") ? 0xFF : $0 }
    #expect(martletError { _ = try parse(rawFile(header, data: [0, 0, 0, 0])) }?.kind == .corruptFile)
  }

  @Test func aMillionTensorsAreRefused() {
    var header = "{"
    for index in 0..<Limits.tensorCount + 2 {
      header += (index > 0 ? "," : "") + "\"\(index)\":1"
    }
    let error = martletError { _ = try parse(rawFile(header + "}", dataLength: 0)) }
    #expect(error?.message.contains("names 100002 tensors") == true)
    let values = "{\"a\":[" + String(repeating: "0,", count: 2_000_000) + "0]}"
    #expect(martletError { _ = try parse(rawFile(values, dataLength: 0)) }?.message.contains("values") == true)
  }

  /// A small whole file with every kind of member.
  static func sample() throws -> [UInt8] {
    try withTensor("weight", .f32, [2, 3], [1, 2, 3, 4, 5, 6] as [Float]) { weight in
      try withTensor("steps", .i64, [], [Int64(7)]) { steps in
        try withTensor("mask", .u8, [3], [1, 0, 1] as [UInt8]) { mask in
          try Safetensors.serialized([weight, steps, mask], metadata: [("format", "test"), ("é", "\\\"")])
        }
      }
    }
  }

  @Test func everyTruncationIsRefused() throws {
    let scratch = try ScratchDirectory()
    let bytes = try Self.sample()
    for length in 0..<bytes.count {
      let error = martletError { _ = try parse(Array(bytes[..<length])) }
      #expect(error?.kind == .corruptFile, "\(length) bytes")
      try writePlainly(Array(bytes[..<length]), to: scratch("file"))
      let fromFile = martletError { _ = try Safetensors.read(scratch("file")) }
      #expect(fromFile?.kind == .corruptFile, "\(length) bytes")
      #expect(fromFile?.message.contains("/file") == true)
    }
    #expect(try parse(bytes).tensors.count == 3)
  }

  @Test func flippedBytesNeverTrap() throws {
    let sample = try Self.sample()
    let seed: UInt64 = 77
    var random = TestRandom(seed: seed)
    for round in 0..<5_000 {
      var bytes = sample
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
      }
      try checkAnswer(bytes, "seed \(seed), round \(round)")
    }
  }

  /// Edits of the header that keep its announced length true, so that they reach past the first check.
  @Test func mutatedHeadersNeverTrap() throws {
    let sample = try Self.sample()
    let headerLength = Int(sample[0]) + Int(sample[1]) << 8
    let seed: UInt64 = 78
    var random = TestRandom(seed: seed)
    for round in 0..<20_000 {
      var header = Array(sample[8..<8 + headerLength])
      while header.last == 0x20 { header.removeLast() }
      mutate(&header, using: &random)
      try checkAnswer(rawFile(header, data: Array(sample[(8 + headerLength)...])), "seed \(seed), round \(round)")
    }
  }

  /// An error of the right kind, or a file that is consistent and survives being written.
  private func checkAnswer(_ bytes: [UInt8], _ label: String) throws {
    do {
      let file = try parse(bytes)
      for tensor in file.tensors {
        #expect(Safetensors.byteCount(shape: tensor.shape, dtype: tensor.dtype) == tensor.bytes.count, "\(label)")
      }
      let again = try parse(
        try Safetensors.serialized(file.tensors, metadata: file.metadata.map { ($0.key, $0.value) }))
      #expect(Set(again.tensors.map(\.name)) == Set(file.tensors.map(\.name)), "\(label)")
    } catch let error as MartletError {
      #expect(error.kind == .corruptFile || error.kind == .unsupported, "\(label): \(error.message)")
    }
  }
}
