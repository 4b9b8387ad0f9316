// Names of layers and tensors as keys: compared and hashed byte by byte.

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// A text as a key of dictionaries and sets, in time proportional to its bytes whatever they are.
///
/// Swift compares and hashes strings as Unicode texts: a run of combining marks, which a file may hold, is sorted for that, in time
/// that grows with the square of its length. Names that differ in their bytes are different names here.
struct Name: Hashable, Sendable {
  let text: String
  init(_ text: String) { self.text = text }

  static func == (a: Name, b: Name) -> Bool { a.text.hasSameBytes(as: b.text) }

  func hash(into hasher: inout Hasher) {
    var text = text
    // A native string is not copied for this.
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}

extension String {
  /// Whether both are the same bytes in UTF-8; never slower than a pass over them.
  func hasSameBytes(as other: String) -> Bool {
    let isSame = utf8.withContiguousStorageIfAvailable { a in
      other.utf8.withContiguousStorageIfAvailable { b in
        guard a.count == b.count else { return false }
        guard let x = a.baseAddress, let y = b.baseAddress, a.count > 0 else { return true }
        return memcmp(x, y, a.count) == 0
      }
    }
    return (isSame ?? nil) ?? utf8.elementsEqual(other.utf8)
  }
}
