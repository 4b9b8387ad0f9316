// What layers and inputs may be called.

/// The rule for the names of layers and inputs, wherever they come from.
///
/// A name becomes part of tensor names ("conv1.weight"), C strings, messages and tables, so it has no character that one of these cannot
/// show. A '/' parts the layer from the number of its place ("dense_1/2").
enum LayerName {
  /// - Throws: ``MartletError/Kind/invalidArgument`` for a name that is empty, longer than ``Limits/nameByteCount``, or has a '/' or a control
  ///   character (NUL included).
  static func check(_ name: String) throws {
    let length = name.utf8.count
    guard length <= Limits.nameByteCount else {
      throw MartletError.invalidArgument(
        "name: expected at most \(Limits.nameByteCount) bytes of UTF-8; got \(length), \(excerpt(name, limit: 40)).")
    }
    guard length > 0 else { throw MartletError.invalidArgument("name: expected one character or more, without '/'; got \"\".") }
    for scalar in name.unicodeScalars where scalar == "/" || scalar.properties.generalCategory == .control {
      let what = scalar == "/" ? "'/'" : "control characters such as U+\(hexadecimal(scalar))"
      throw MartletError.invalidArgument("name: expected a text without \(what); got \(excerpt(name)).")
    }
  }

  /// At least four digits, as Unicode's tables write it.
  private static func hexadecimal(_ scalar: Unicode.Scalar) -> String {
    let digits = String(scalar.value, radix: 16, uppercase: true)
    return String(repeating: "0", count: max(4 - digits.count, 0)) + digits
  }
}
