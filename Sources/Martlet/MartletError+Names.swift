// Errors in the words of the function that the caller called.

extension MartletError {
  /// Runs `body`, whose errors name arguments as lists of arrays (`inputs[0]`), for a function of single ones: they get its names.
  ///
  /// - Parameter names: what `body` calls an argument, and what the caller calls it; made for an error alone.
  static func naming<Result>(
    _ names: @autoclosure () -> KeyValuePairs<String, String>, _ body: () throws -> Result
  ) throws -> Result {
    do { return try body() } catch let error as MartletError {
      let renamed = names().reduce(error.message) { replace($1.key, by: $1.value, in: $0) }
      throw MartletError(error.kind, renamed)
    }
  }

  /// Where `name` is part of a longer one, as in `validation_inputs[0]`, it stays.
  private static func replace(_ name: String, by other: String, in text: String) -> String {
    let (source, pattern) = (Array(text.utf8), Array(name.utf8))
    var result: [UInt8] = []
    var place = 0
    while place < source.count {
      let isWhole = place == 0 || !isPartOfName(source[place - 1])
      if isWhole, source[place...].starts(with: pattern) {
        result += other.utf8
        place += pattern.count
      } else {
        result.append(source[place])
        place += 1
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  private static func isPartOfName(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"), UInt8(ascii: "."):
      true
    default: false
    }
  }
}
