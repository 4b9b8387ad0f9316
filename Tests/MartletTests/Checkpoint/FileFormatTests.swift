// Files of other formats are called by their names, and not written under them.
import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct FileFormatTests {
  let directory: ScratchDirectory
  init() throws { directory = try ScratchDirectory() }

  static let beginnings: [(String, [UInt8])] = [
    ("zip archive", Array("PK\u{3}\u{4}".utf8) + [20, 0, 8, 8, 0, 0]), ("HDF5", [0x89] + Array("HDF\r\n\u{1A}\n".utf8)),
    ("pickle", [0x80, 2, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46]), ("gzip", [0x1F, 0x8B, 8, 0, 1, 2, 3, 4]),
    ("GGUF", Array("GGUF".utf8) + [3, 0, 0, 0]), ("NumPy", [0x93] + Array("NUMPY\u{1}\0".utf8)),
    ("ONNX", [0x08, 0x07, 0x12, 0x07] + Array("pytorch".utf8)), ("shards", Array("{\n  \"metadata\": {}}".utf8)),
    ("Git LFS", Array("version https://git-lfs.github.com/spec/v1\n".utf8)), ("web page", Array("<!DOCTYPE html>".utf8)),
  ]

  @Test(arguments: beginnings) func isNamed(name: String, beginning: [UInt8]) throws {
    try writePlainly(beginning + [UInt8](repeating: 0x20, count: 500), to: directory("weights"))
    let model = try Model.sequential([Dense(2)], inputShape: [3])
    let calls: [() throws -> Void] = [
      { _ = try Model.load(from: directory("weights")) }, { _ = try model.loadWeights(from: directory("weights")) },
    ]
    for call in calls {
      let error = martletError(call)
      #expect(error?.kind == .unsupported)
      #expect(error?.message.contains(name) == true, "\(error?.message ?? "no error")")
    }
  }

  /// A length may begin with any byte: what is too short for it is truncated.
  @Test(arguments: Array("{[P<v ".utf8)) func truncatedFilesAreNotOfAnotherFormat(first: UInt8) throws {
    try writePlainly([first, 0, 0, 0, 0, 0, 0, 0, 0x7B], to: directory("cut"))
    let error = martletError { _ = try Model.load(from: directory("cut")) }
    #expect(error?.kind == .corruptFile)
  }

  @Test(arguments: ["model.h5", "model.H5", "a.keras", "a.pt", "a.pth", "a.onnx", "a.npz", ".h5"])
  func isNotWrittenUnderTheNameOfAnother(name: String) throws {
    let model = try Model.sequential([Dense(2)], inputShape: [3])
    expectError(.invalidArgument, "safetensors", name) { try model.save(to: directory(name)) }
    #expect(directory.names.isEmpty)
  }

  @Test(arguments: ["model", "model.safetensors", "model.martlet", "h5", "model.h5.safetensors", "modelpt"])
  func otherNamesAreFree(name: String) throws {
    try Model.sequential([Dense(2)], inputShape: [3]).save(to: directory(name))
    #expect(directory.names == [name])
  }
}
