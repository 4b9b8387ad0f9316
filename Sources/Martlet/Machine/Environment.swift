// The process's surroundings: variables and processors.
import CMartletShims

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

enum Environment {
  static func value(_ name: String) -> String? {
    guard let text = getenv(name) else { return nil }
    let value = String(cString: text)
    return value.isEmpty ? nil : value
  }

  /// The text of a small file of the system's; nil if it cannot be read.
  static func text(ofFile path: String) -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 4096)
    while bytes.count < 1 << 20 {
      let count = read(file, &block, block.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return count == 0 ? String(decoding: bytes, as: UTF8.self) : nil }
      bytes += block.prefix(count)
    }
    return nil
  }

  /// The CPUs this process may run on (its affinity mask on Linux), at least 1.
  static var usableProcessorCount: Int {
    max(1, Int(martlet_shims_usable_processors()))
  }
}
