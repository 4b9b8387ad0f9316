// A file's tensors into a model that exists, and graphs from files that no graph can be.
import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct ModelWeightsTests {
  let directory: ScratchDirectory
  init() throws { directory = try ScratchDirectory() }

  private func network(_ units: Int, seed: UInt64) throws -> Model {
    try .sequential([Dense(units), BatchNorm(), Tanh(), Dense(2)], inputShape: [3], seed: seed)
  }

  @Test func wholeFile() throws {
    let (saved, other) = (try network(4, seed: 1), try network(4, seed: 2))
    _ = try saved.forward(randomTensor([8, 3], seed: 3), training: true)
    try saved.save(to: directory("whole"))
    #expect(saved.allBytes != other.allBytes)
    let found = try other.loadWeights(from: directory("whole"))
    #expect(saved.allBytes == other.allBytes)
    #expect(found.unexpected.isEmpty && found.missing.allSatisfy { $0.hasSuffix("num_batches_skipped") })
  }

  @Test func shapesOfAnotherArchitectureNameTheLayer() throws {
    let (wide, narrow) = (try network(5, seed: 1), try network(4, seed: 2))
    try wide.save(to: directory("wide"))
    let before = narrow.allBytes
    expectError(.shapeMismatch, "layer \"0\" (dense) needs \"0.weight\" of shape [4, 3]; the file's has [5, 3]") {
      try narrow.loadWeights(from: directory("wide"))
    }
    expectError(.shapeMismatch, "layer \"0\"") { try narrow.loadWeights(from: directory("wide"), strict: false) }
    #expect(narrow.allBytes == before)
  }

  @Test func namesOfAnotherArchitecture() throws {
    let (short, long) = (try Model.sequential([Dense(4)], inputShape: [3], seed: 1), try network(4, seed: 2))
    try short.save(to: directory("short"))
    let before = long.allBytes
    expectError(.invalidArgument, "lacks", "\"1.weight\"") { try long.loadWeights(from: directory("short")) }
    #expect(long.allBytes == before)
    let found = try long.loadWeights(from: directory("short"), strict: false)
    #expect(found.missing.contains("3.weight") && found.unexpected.isEmpty)
    #expect(try long.values("0.weight") == short.values("0.weight"))
    try long.save(to: directory("long"))
    expectError(.invalidArgument, "holds", "\"1.weight\"") { try short.loadWeights(from: directory("long")) }
  }

  // MARK: - What fits

  /// Writes tensors under other names.
  private func rename(_ model: Model, to path: String, _ name: (String) -> String) throws {
    try withExtendedLifetime(model) {
      let tensors = model.variables.map {
        SafetensorsTensor(
          name: name($0.name), dtype: $0.dataType.stored, shape: $0.shape,
          bytes: UnsafeRawBufferPointer(start: $0.storage.base, count: $0.count * $0.dataType.byteCount))
      }
      try Safetensors.write(tensors, metadata: [], to: path)
    }
  }

  @Test(arguments: [true, false]) func aFileOfWhichNothingFitsIsAnError(strict: Bool) throws {
    let model = try network(4, seed: 1)
    try rename(network(4, seed: 2), to: directory("wrapped")) { "module." + $0 }
    let before = model.allBytes
    expectError(.invalidArgument, "nothing to load", "\"module.0.weight\"", "\"0.weight\"", "after the prefix \"module.\"") {
      try model.loadWeights(from: directory("wrapped"), strict: strict)
    }
    try rename(network(4, seed: 2), to: directory("other")) { "x" + $0 }
    expectError(.invalidArgument, "nothing to load", "\"x0.weight\"") {
      try model.loadWeights(from: directory("other"), strict: strict)
    }
    try writePlainly(rawFile("{}", dataLength: 0), to: directory("empty"))
    expectError(.invalidArgument, "holds no tensors") { try model.loadWeights(from: directory("empty"), strict: strict) }
    #expect(model.allBytes == before)
  }

  @Test func theReportNamesBothSides() throws {
    let model = try network(4, seed: 1)
    try rename(network(4, seed: 2), to: directory("some")) { $0.hasPrefix("3.") ? "head" + $0 : $0 }
    let report = try model.loadWeights(from: directory("some"), strict: false)
    #expect(report.missing == ["3.weight", "3.bias"])
    #expect(Set(report.unexpected) == ["head3.weight", "head3.bias"])
    #expect(report.matched == model.variables.map(\.name).filter { !$0.hasPrefix("3.") })
  }

  /// The types of counters and floats that other libraries write; one that is not read is passed over unless the model needs it.
  @Test func tensorsOfOtherTypes() throws {
    let model = try Model.sequential([BatchNorm()], inputShape: [1], seed: 1)
    func file(_ weight: String, _ counter: String, _ counterBytes: [UInt8], extra: Bool) throws -> String {
      var (header, data) = ("{", [UInt8]())
      func add(_ name: String, _ dtype: String, _ shape: String, _ bytes: [UInt8]) {
        header += (data.isEmpty ? "" : ",") + "\"\(name)\":{\"dtype\":\"\(dtype)\",\"shape\":\(shape),"
        header += "\"data_offsets\":[\(data.count),\(data.count + bytes.count)]}"
        data += bytes
      }
      add("0.weight", weight, "[1]", [0, 0x40])
      if extra { add("0.quantized", "F8_E4M3FNUZ", "[3]", [1, 2, 3]) }
      add("0.num_batches_tracked", counter, "[1]", counterBytes)
      try writePlainly(rawFile(Array((header + "}").utf8), data: data), to: directory("types"))
      return directory("types")
    }
    let report = try model.loadWeights(from: file("BF16", "F32", [0, 0, 0xE0, 0x40], extra: true), strict: false)
    #expect(report.unexpected == ["0.quantized"] && report.matched == ["0.weight", "0.num_batches_tracked"])
    #expect(try model.values("0.weight") == [2])
    #expect(try model.variable(named: "0.num_batches_tracked").storage.integers.pointee == 7)
    try model.loadWeights(from: file("F16", "U16", [9, 0], extra: false), strict: false)
    #expect(try model.variable(named: "0.num_batches_tracked").storage.integers.pointee == 9)
    expectError(.unsupported, "\"0.weight\" holds F8_E5M2FNUZ") {
      try model.loadWeights(from: file("F8_E5M2FNUZ", "U8", [9], extra: false), strict: false)
    }
    expectError(.invalidArgument, "0.num_batches_tracked: expected a whole number", "got 1.5") {
      try model.loadWeights(from: file("BF16", "F32", [0, 0, 0xC0, 0x3F], extra: false), strict: false)
    }
  }

  @Test func aNumberBeyondFloat32NamesTheTensor() throws {
    let model = try Model.sequential([Dense(1, bias: false)], inputShape: [2], seed: 1)
    let before = model.allBytes
    try withTensor("0.weight", .f64, [1, 2], [1.0, 1e300]) {
      try Safetensors.write([$0], metadata: [], to: directory("large"))
    }
    expectError(.invalidArgument, "\"0.weight\" holds 1e+300 at element 1") { try model.loadWeights(from: directory("large")) }
    #expect(model.allBytes == before)
  }

  @Test(arguments: [(1, "1"), (1, "2"), (2, "3"), (2, "-1")]) func cycles(_ node: Int, _ source: String) throws {
    let model = try network(4, seed: 1)
    let text = try model.architectureText
    let read = "\"from\":[\(node - 1)]"
    let changed = text.replacing(read, with: "\"from\":[\(source)]")
    #expect(changed != text)
    expectError(.corruptFile, "node \(node) reads a node that is not before it") {
      _ = try ArchitectureDescription(JSON.parse(changed, source: "changed"))
    }
  }
}
