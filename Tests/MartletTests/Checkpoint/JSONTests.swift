import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct JSONTests {
  static let allowed: [(text: String, value: JSON)] = [
    ("null", .null), ("true", true), (" false\n", false), ("0", 0), ("-0", .number(-0.0)), ("-12", -12),
    ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
    ("1.0", 1.0), ("1e3", 1000.0), ("1E+3", 1000.0), ("25e-1", 2.5), ("-0.5", -0.5), ("1e-400", 0.0),
    ("[]", []), ("{}", [:]), ("[ 1 ,\t2\r\n]", [1, 2]), ("{\"b\" : 1, \"a\":[{}]}", ["b": 1, "a": [[:]]]),
    (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"), (#""\u00e9\ud83d\uDE00x""#, "é😀x"), ("\"é😀\u{7F}\"", "é😀\u{7F}"),
    (#""a\u0000b""#, "a\u{0}b"), (#"{"":""}"#, ["": ""]),
  ]

  // The cases are walked inside the test: as its arguments, their control characters would go raw into the log.
  @Test func readsWhatTheGrammarAllows() throws {
    for (text, expected) in Self.allowed {
      let value = try JSON.parse(text, source: "test")
      #expect(value == expected, "\(text.debugDescription)")
      if case .number(let number) = expected { #expect(value.double?.sign == number.sign) }
    }
  }

  static let refused: [String] = [
    "", " ", "nul", "nulL", "truex", "True", "+1", "01", "-01", "-", "1.", ".5", "1e", "1e+", "1.e3", "0x10", "NaN", "Infinity",
    "-Infinity", "1 2", "[1,]", "[,1]", "[1 2]", "[", "[1", "[1,", "]", "{", "}", "// x\n1", "1 // x", "{a:1}", "{'a':1}",
    "{1:1}",
    #"{"a""#, #"{"a":"#, #"{"a":1"#, #"{"a":1,"#, #"{"a":1,}"#, #"{"a" 1}"#, #"{"a":1 "b":2}"#, "\"", "\"a",
    #""\"#, #""\x""#, #""\u12""#, #""\u12g4""#, #""\ud800""#, #""\ud800x""#, #""\ud800\n""#, #""\ud800\ud800""#, #""\udc00""#,
    "\"\n\"", "\"\u{0}\"", "\"\u{1F}\"",
    "\u{FEFF}1", "\u{A0}1", "1\u{0}", "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}",
    "9223372036854775808", "-9223372036854775809", "1e309", "-1e999999999", "123456789012345678901234567890",
  ]

  /// Names are compared byte by byte: two spellings of one character are two names.
  @Test func namesAreBytes() throws {
    let value = try JSON.parse("{\"\u{e9}\":1,\"e\u{301}\":2}", source: "test")
    #expect(value["\u{e9}"] == .integer(1) && value["e\u{301}"] == .integer(2))
  }

  @Test func refusesEverythingElse() {
    for text in Self.refused {
      let error = martletError { _ = try JSON.parse(text, source: "file.x") }
      #expect(error?.kind == .corruptFile, "\(text.debugDescription)")
      #expect(error?.message.hasPrefix("file.x: ") == true)
      #expect(error?.message.contains("(byte ") == true)
    }
  }

  static let illFormed: [[UInt8]] = [
    [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xC3, 0x28], [0xE0, 0x80, 0x80], [0xE2, 0x82], [0xED, 0xA0, 0x80],
    [0xEF, 0xBF], [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x9F, 0x98], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFE],
    [0xFF],
  ]

  @Test(arguments: illFormed)
  func refusesInvalidUTF8(bytes: [UInt8]) {
    for text in [[0x22] + bytes + [0x22], [0x22] + bytes, bytes] as [[UInt8]] {
      let error = martletError { _ = try text.withUnsafeBytes { try JSON.parse($0, source: "x") } }
      #expect(error?.kind == .corruptFile)
    }
  }

  /// Every scalar goes through the reader's own check of UTF-8, raw and escaped.
  @Test func readsEveryCharacter() throws {
    for first in stride(from: UInt32(0), to: 0x110000, by: 0x400) {
      let scalars = (first..<first + 0x400).compactMap(Unicode.Scalar.init)
      let text = String(String.UnicodeScalarView(scalars))
      #expect(try JSON.parse(JSON.string(text).text(), source: "x") == .string(text))
    }
  }

  @Test func holdsItsLimits() throws {
    func nested(_ depth: Int) -> String { String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
    _ = try JSON.parse(nested(64), source: "x")
    #expect(martletError { _ = try JSON.parse(nested(65), source: "x") }?.message.contains("64 deep") == true)
    // Far deeper than any stack: refused before it is followed.
    #expect(martletError { _ = try JSON.parse(String(repeating: "[", count: 1_000_000), source: "x") } != nil)
    #expect(martletError { _ = try JSON.parse(String(repeating: "{\"a\":", count: 100_000), source: "x") } != nil)

    let three = JSON.Limits(values: 3)
    _ = try JSON.parse("[1,2]", source: "x", limits: three)
    #expect(martletError { _ = try JSON.parse("[1,2,3]", source: "x", limits: three) }?.message.contains("3 values") == true)

    #expect(try JSON.parse("0." + String(repeating: "0", count: 2046), source: "x") == 0.0)
    #expect(martletError { _ = try JSON.parse("0." + String(repeating: "0", count: 2047), source: "x") } != nil)
  }

  @Test func namesTheByte() {
    let error = martletError { _ = try JSON.parse("{\"a\": 1, \"b\" 2}", source: "config") }
    #expect(error?.message.contains("config: expected ':' after a member's name, found '2' (byte 13)") == true)
  }

  @Test func doublesSurviveToTheBit() throws {
    var random = TestRandom(seed: 11)
    var values: [Double] = [0, -0.0, 1, 0.1, 1e-5, 1e16, 1e21, .pi, .leastNonzeroMagnitude, .leastNormalMagnitude]
    values += [.greatestFiniteMagnitude, .ulpOfOne, 123_456_789_012_345_680, Double(Float(0.1))]
    values += (0..<20_000).map { _ in Double(bitPattern: random.next()) }.filter(\.isFinite)
    let back = try JSON.parse(JSON.array(values.map(JSON.number)).text(), source: "x")
    let read = try #require(back.array)
    #expect(read.count == values.count)
    for (value, json) in zip(values, read) {
      guard case .number(let number) = json else {
        Issue.record("\(value) came back as \(json)")
        continue
      }
      #expect(number.bitPattern == value.bitPattern)
    }
  }

  @Test func writesCompactTextInOrder() throws {
    let value: JSON = ["z": [.null, true, -3, 0.5, 3.0], "a": ["quote \" \\ \n\u{1}\u{7F}é": [:]]]
    #expect(try value.text() == #"{"z":[null,true,-3,0.5,3.0],"a":{"quote \" \\ \n\u0001\u007fé":{}}}"#)
    #expect(try JSON.parse(value.text(), source: "x") == value)
  }

  @Test func refusesToWriteWhatCannotBeRead() {
    for number in [Double.nan, .infinity, -.infinity] {
      let error = martletError { _ = try JSON.object([(key: "a", value: [1, .number(number)])]).text() }
      #expect(error?.kind == .invalidArgument)
      #expect(error?.message.contains("$.a[1]") == true)
    }
    let twice = JSON.object([(key: "a", value: 1), (key: "a", value: 2)])
    #expect(martletError { _ = try twice.text() }?.kind == .invalidArgument)
    var deep: JSON = []
    for _ in 0..<63 { deep = [deep] }
    #expect(martletError { _ = try deep.text() } == nil)
    #expect(martletError { _ = try JSON.array([deep]).text() }?.kind == .invalidArgument)
  }

  @Test func accessorsAnswerOnlyWhatIsThere() {
    let value: JSON = ["i": 3, "n": 2.0, "s": "x", "b": true, "a": [1], "z": .null, "big": .integer(.max)]
    #expect(value["i"]?.int == 3 && value["i"]?.double == 3)
    #expect(value["n"]?.int == nil && value["n"]?.double == 2)
    #expect(value["big"]?.double == nil)
    #expect(value["s"]?.string == "x" && value["s"]?.bool == nil)
    #expect(value["b"]?.bool == true && value["b"]?.int == nil)
    #expect(value["a"]?[0] == 1 && value["a"]?[1] == nil && value["a"]?[-1] == nil)
    #expect(value["z"]?.isNull == true && value["none"] == nil && value["a"]?["i"] == nil)
    #expect(value.object?.map(\.key) == ["i", "n", "s", "b", "a", "z", "big"])
  }

  /// Random edits of a valid text: an answer or an error, and an answer that survives being written.
  @Test func mutatedTextsNeverTrap() throws {
    let seed: UInt64 = 2024
    var random = TestRandom(seed: seed)
    let texts = [#"{"a":[1,-2.5e3,"x\u00e9\ud83d\ude00é"],"b":{"c":null,"d":[true,false]}}"#, "[[[[]]],{},\"\",0.1]"]
    var accepted = 0
    for round in 0..<10_000 {
      var bytes = Array(texts[round % texts.count].utf8)
      mutate(&bytes, using: &random)
      do {
        let value = try bytes.withUnsafeBytes { try JSON.parse($0, source: "x") }
        accepted += 1
        #expect(try JSON.parse(value.text(), source: "x") == value, "seed \(seed), round \(round)")
      } catch let error as MartletError {
        #expect(error.kind == .corruptFile, "seed \(seed), round \(round)")
      }
    }
    #expect(accepted > 100)
  }
}

/// One to four random edits, with bytes that mean something in JSON as likely as any other.
func mutate(_ bytes: inout [UInt8], using random: inout TestRandom) {
  let tokens = Array("{}[]\",:\\u0123456789-+.eE tfn".utf8)
  for _ in 0..<Int.random(in: 1...4, using: &random) {
    let place = Int.random(in: 0...bytes.count, using: &random)
    let token = tokens[Int.random(in: 0..<tokens.count, using: &random)]
    let byte = Bool.random(using: &random) ? token : UInt8.random(in: 0...255, using: &random)
    switch Int.random(in: 0..<6, using: &random) {
    case 0 where place < bytes.count: bytes[place] = byte
    case 1 where place < bytes.count: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    case 2 where place < bytes.count: bytes.remove(at: place)
    case 3: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 0..<12, using: &random)))
    case 4:
      let end = min(bytes.count, place + Int.random(in: 0..<12, using: &random))
      bytes.insert(contentsOf: Array(bytes[place..<end]), at: place)
    default: bytes.insert(byte, at: place)
    }
  }
}
