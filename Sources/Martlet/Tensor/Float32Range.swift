// Rounding Float64 numbers to Float32: a finite number never becomes infinite without an error.

extension Float {
  /// The nearest Float32; nil for a finite number of a magnitude that would round to infinity. Infinities and NaN stay what they are.
  init?(ifInRange value: Double) {
    guard !Float32Range.excludes(value) else { return nil }
    self.init(value)
  }
}

package enum Float32Range {
  /// Half way from the largest Float32 to 2¹²⁸: from here on a number rounds to infinity.
  static let limit = 0x1.ffffffp127

  /// Whether rounding would turn a finite number into infinity.
  @inline(__always)
  package static func excludes(_ value: Double) -> Bool {
    value.magnitude >= limit && value.magnitude < .infinity
  }

  /// The error for such a number.
  ///
  /// - Parameters:
  ///   - argument: what the caller calls the array.
  ///   - index: one number for each axis; empty: the argument is a single number.
  package static func error(
    _ argument: String, _ value: Double, at index: [Int], remedy: String = "Scale the numbers, or leave this one out."
  ) -> MartletError {
    let place = index.isEmpty ? "" : " at \(Shape.text(index))"
    return MartletError.invalidArgument(
      "\(argument): expected numbers within float32's range, up to \(Float.greatestFiniteMagnitude); got \(value)\(place). "
        + remedy)
  }
}
