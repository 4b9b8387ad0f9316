// Scratch directories and hand-made files for the tests of this folder.

import Testing

@testable import Martlet

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// A new directory, removed with all its files when the object goes.
final class ScratchDirectory {
  let path: String

  init() throws {
    var template = Array("/tmp/martlet-test-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    for name in names { unlink(path + "/" + name) }
    for name in names { rmdir(path + "/" + name) }
    rmdir(path)
  }

  func callAsFunction(_ name: String) -> String { path + "/" + name }

  /// The names in the directory, sorted.
  var names: [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }
}

/// Writes a file the plain way, as another program would.
func writePlainly(_ bytes: [UInt8], to path: String) throws {
  let file = SystemFile(descriptor: open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644), path: path)
  try #require(file.descriptor >= 0)
  try file.writeFully(bytes)
}

/// The bytes of a file.
func contents(_ path: String) throws -> [UInt8] {
  let file = try InputFile(path)
  var bytes = [UInt8](repeating: 0, count: file.length)
  try bytes.withUnsafeMutableBytes { buffer in try file.readFully(into: buffer, at: 0) }
  return bytes
}

/// A safetensors file from its parts, honest or not.
func rawFile(_ header: String, dataLength: Int, announced: UInt64? = nil) -> [UInt8] {
  rawFile(Array(header.utf8), data: [UInt8](repeating: 0, count: dataLength), announced: announced)
}

func rawFile(_ header: [UInt8], data: [UInt8], announced: UInt64? = nil) -> [UInt8] {
  let length = announced ?? UInt64(header.count)
  return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * UInt64($0))) } + header + data
}

/// Reads a file from memory.
func parse(_ bytes: [UInt8]) throws -> SafetensorsFile {
  try bytes.withUnsafeBytes { buffer in try Safetensors.parse(copying: buffer, source: "test") }
}

/// The error that `body` throws, or nil.
func martletError(_ body: () throws -> Void) -> MartletError? {
  do {
    try body()
    return nil
  } catch {
    return error as? MartletError
  }
}

/// Hands `body` a tensor over the values of an array.
func withTensor<Value, Result>(
  _ name: String, _ dtype: Safetensors.Dtype, _ shape: [Int], _ values: [Value],
  body: (SafetensorsTensor) throws -> Result
) throws -> Result {
  try values.withUnsafeBytes { bytes in
    try body(SafetensorsTensor(name: name, dtype: dtype, shape: shape, bytes: bytes))
  }
}
