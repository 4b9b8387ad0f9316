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
