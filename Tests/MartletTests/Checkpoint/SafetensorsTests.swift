import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct SafetensorsTests {
  @Test func writesTheKnownBytes() throws {
    let weight: [Float] = [1, -2]
    let count: [Int64] = [5]
    let bytes = try withTensor("w", .f32, [1, 2], weight) { weight in
      try withTensor("n", .i64, [], count) { count in
        try Safetensors.serialized([weight, count], metadata: [("k", "v\"")])
      }
    }
    // The 64-bit tensor first, although it was given last: both are aligned.
    let json =
      #"{"__metadata__":{"k":"v\""},"n":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"#
      + #""w":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]}}"#
    let padded = Array(json.utf8) + Array(repeating: 0x20, count: 64 - (8 + json.utf8.count) % 64)
    let data: [UInt8] = [5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0]
    #expect(bytes == rawFile(padded, data: data))
    #expect((8 + padded.count) % 64 == 0)
  }

  @Test func readsAHandWrittenFile() throws {
    let header =
      #"{"b":{"shape":[2],"data_offsets":[2,4],"dtype":"U8"},"#
      + #""a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}   "#
    let file = try parse(rawFile(Array(header.utf8), data: [0x80, 0x3F, 7, 8]))
    #expect(file.tensors.map(\.name) == ["b", "a"])
    #expect(file.metadata.isEmpty)
    #expect(try file.tensor(named: "b")?.dtype == .u8 && file.tensor(named: "b")?.count == 2)
    #expect(try file.tensor(named: "a")?.float32Values() == [1])
    #expect(try file.tensor(named: "c") == nil)
  }

  @Test func roundTripsThroughAFile() throws {
    let scratch = try ScratchDirectory()
    let path = scratch("model.safetensors")
    var random = TestRandom(seed: 3)
    let values = (0..<1_000).map { _ in Float(bitPattern: UInt32(truncatingIfNeeded: random.next())) }
    let metadata = [("architecture", #"{"layers":[]}"#), ("é", "😀\n"), ("", "")]
    try withTensor("layers.0.weight", .f32, [10, 4, 25], values) { a in
      try withTensor("empty", .f32, [0, 7], [] as [Float]) { b in
        try withTensor("scalar", .f64, [], [0.1]) { c in
          try Safetensors.write([a, b, c], metadata: metadata, to: path)
        }
      }
    }
    let file = try Safetensors.read(path)
    #expect(file.tensors.map(\.name) == ["scalar", "layers.0.weight", "empty"])
    #expect(file.tensors.map(\.shape) == [[], [10, 4, 25], [0, 7]])
    #expect(file.metadata.map(\.key) == metadata.map(\.0))
    #expect(file.metadata.map(\.value) == metadata.map(\.1))
    #expect(file.metadata(named: "é") == "😀\n")
    let back = try #require(try file.tensor(named: "layers.0.weight")).float32Values()
    #expect(back.map(\.bitPattern) == values.map(\.bitPattern))
    #expect(try file.tensor(named: "empty")?.float32Values() == [])
    #expect(scratch.names == ["model.safetensors"])
  }

  @Test func anEmptyFileOfTensorsIsWhole() throws {
    let bytes = try Safetensors.serialized([], metadata: [])
    #expect(bytes.count == 64)
    #expect(try parse(bytes).tensors.isEmpty)
    #expect(try parse(rawFile("{}", dataLength: 0)).tensors.isEmpty)
  }

  @Test func tensorsOutliveTheFile() throws {
    func tensor() throws -> SafetensorsTensor {
      try withTensor("a", .f32, [3], [1, 2, 3] as [Float]) { tensor in
        try #require(try parse(try Safetensors.serialized([tensor], metadata: [])).tensor(named: "a"))
      }
    }
    #expect(try tensor().float32Values() == [1, 2, 3])
  }

  @Test func unalignedTensorsAreCopiedSafely() throws {
    let header = #"{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"y":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}}"#
    let file = try parse(rawFile(Array(header.utf8), data: [9, 0, 0, 0x80, 0x3F, 0, 0, 0, 0x40]))
    #expect(try file.tensor(named: "y")?.float32Values() == [1, 2])
  }

  @Test func convertsEachFloatingPointType() throws {
    let halves: [UInt16] = [0x3C00, 0xC000, 0x0001, 0x03FF, 0x0400, 0x7BFF, 0x7C00, 0xFC00, 0x8000, 0x3555]
    let expected: [Float] = [
      1, -2, 0x1p-24, 0x1.ff8p-15, 0x1p-14, 65_504, .infinity, -.infinity, -0.0, 0x1.554p-2,
    ]
    let values = try withTensor("h", .f16, [10], halves) { try $0.float32Values() }
    #expect(values.map(\.bitPattern) == expected.map(\.bitPattern))
    #expect(SafetensorsTensor.float32(half: 0x7E00).isNaN)
    #expect(
      try withTensor("d", .f64, [3], [0.1, -.infinity, -3] as [Double]) { try $0.float32Values() } == [0.1, -.infinity, -3])
    #expect(try withTensor("b", .bf16, [2], [0xC040, 0x7F80] as [UInt16]) { try $0.float32Values() } == [-3, .infinity])
  }

  /// A finite number that float32 cannot hold is an error with its place, not infinity.
  @Test func refusesNumbersBeyondFloat32() throws {
    for value in [1e300, -1e39, 3.5e38] {
      let error = martletError { _ = try withTensor("d", .f64, [3], [0.1, value, -3]) { try $0.float32Values() } }
      #expect(error?.kind == .invalidArgument)
      #expect(error?.message.contains("\"d\" holds \(value) at element 1") == true, "\(error?.message ?? "no error")")
    }
  }

  @Test func readsCountersOfEveryType() throws {
    func counter<Value>(_ dtype: Safetensors.Dtype, _ value: Value) throws -> Int64 {
      try withTensor("a", dtype, [], [value]) { try $0.counterValue() }
    }
    #expect(try counter(.i64, Int64.max) == .max)
    #expect(try counter(.u64, UInt64(7)) == 7)
    #expect(try counter(.i32, Int32(7)) == 7)
    #expect(try counter(.u32, UInt32.max) == 4_294_967_295)
    #expect(try counter(.i16, Int16(7)) == 7)
    #expect(try counter(.u16, UInt16.max) == 65_535)
    #expect(try counter(.i8, Int8(7)) == 7)
    #expect(try counter(.u8, UInt8(255)) == 255)
    #expect(try counter(.f64, 7.0) == 7)
    #expect(try counter(.f32, Float(-0.0)) == 0)
    #expect(try counter(.f16, UInt16(0x4700)) == 7)
    #expect(try counter(.bf16, UInt16(0x40E0)) == 7)
  }

  @Test func refusesCountersThatCountNothing() {
    func kind<Value>(_ dtype: Safetensors.Dtype, _ values: [Value]) -> MartletError.Kind? {
      martletError { _ = try withTensor("a", dtype, [values.count], values) { try $0.counterValue() } }?.kind
    }
    #expect(kind(.i64, [Int64(-1)]) == .invalidArgument)
    #expect(kind(.u64, [UInt64.max]) == .invalidArgument)
    #expect(kind(.f32, [Float(1.5)]) == .invalidArgument)
    #expect(kind(.f32, [Float.nan]) == .invalidArgument)
    #expect(kind(.f64, [1e19]) == .invalidArgument)
    #expect(kind(.i64, [Int64(1), 2]) == .invalidArgument)
    #expect(kind(.i64, [Int64]()) == .invalidArgument)
    #expect(kind(.bool, [UInt8(1)]) == .unsupported)
    #expect(martletError { _ = try withTensor("a", .i8, [1], [Int8(1)]) { try $0.float32Values() } }?.kind == .unsupported)
  }

  @Test func refusesToWriteWhatItWouldRefuseToRead() throws {
    let cases: [(name: String, shape: [Int], byteCount: Int)] = [
      ("__metadata__", [1], 4), (String(repeating: "n", count: 4_097), [1], 4), ("a", [2], 4), ("a", [-1], 4),
      ("a", [-1, -1], 4), ("a", [.max, 2], 4), ("a", [0, .max, .max], 0), ("a", Array(repeating: 1, count: 65), 4),
      ("a", [], 0),
    ]
    for (name, shape, byteCount) in cases {
      let error = martletError {
        try withTensor(name, .f32, shape, [UInt8](repeating: 0, count: byteCount)) { tensor in
          _ = try Safetensors.serialized([tensor], metadata: [])
        }
      }
      #expect(error?.kind == .invalidArgument, "\(name.prefix(20)) \(shape)")
    }
    let twice = martletError {
      try withTensor("a", .f32, [1], [Float(1)]) { _ = try Safetensors.serialized([$0, $0], metadata: []) }
    }
    #expect(twice?.kind == .invalidArgument)
    #expect(martletError { _ = try Safetensors.serialized([], metadata: [("a", ""), ("a", "")]) }?.kind == .invalidArgument)
  }
}
