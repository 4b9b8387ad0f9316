// One check for every numeric option: in range as given, and in range as the Float32 that kernels compute with.

/// Checks options that are given in Float64 and used in Float32.
///
/// Rounding may move a number out of its range: 1e-50 becomes 0, 1e39 infinite and 0.99999999 becomes 1. Such a number is refused,
/// for a kernel would compute something else than the caller asked for, or divide by 0.
enum OptionNumber {
  /// The range of an option.
  enum Range {
    case finite
    case zeroOrMore
    case aboveZero
    case oneOrMore
    /// 0 ≤ value < 1.
    case belowOne

    fileprivate var words: String {
      switch self {
      case .finite: "a finite number"
      case .zeroOrMore: "a finite number of 0 or more"
      case .aboveZero: "a finite number above 0"
      case .oneOrMore: "a finite number of 1 or more"
      case .belowOne: "a number in 0..<1"
      }
    }

    /// A momentum of 1e-50 may become 0; a learning rate of 1e-50 would train nothing.
    fileprivate var allowsRoundingToZero: Bool { self == .finite || self == .belowOne }

    fileprivate func holds(_ value: Double) -> Bool {
      switch self {
      case .finite: value.isFinite
      case .zeroOrMore: value >= 0 && value.isFinite
      case .aboveZero: value > 0 && value.isFinite
      case .oneOrMore: value >= 1 && value.isFinite
      case .belowOne: value >= 0 && value < 1
      }
    }
  }

  /// - Parameter note: said after the range: what the option means, or an example.
  /// - Throws: ``MartletError/Kind/invalidArgument`` if the number, or the number rounded to Float32, is out of the range, or if
  ///   rounding makes it 0.
  static func check(_ value: Double, _ name: String, _ range: Range, note: String = "") throws {
    let expected = range.words + (note.isEmpty ? "" : " \(note)")
    guard range.holds(value) else {
      throw MartletError.invalidArgument("\(name): expected \(expected); got \(value).")
    }
    let rounded = Double(Float(value))
    guard range.holds(rounded), rounded != 0 || value == 0 || range.allowsRoundingToZero else {
      throw MartletError.invalidArgument(
        "\(name): expected \(expected) in float32; got \(value), which float32 rounds to \(rounded == 0 ? "0" : "\(rounded)"). "
          + "Choose a number that float32 holds.")
    }
  }
}
