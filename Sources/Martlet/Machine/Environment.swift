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

  /// The CPUs this process may run on (its affinity mask on Linux), at least 1.
  static var usableProcessorCount: Int {
    max(1, Int(martlet_shims_usable_processors()))
  }
}
