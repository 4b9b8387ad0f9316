// Which values a tensor of a model may be given from outside: by files, by calls, by converters.

/// What the values of a tensor mean, as far as some numbers would be nonsense.
enum ValueRule: Sendable {
  /// Any numbers: parameters, and statistics that follow batches with numbers that are not finite.
  case any
  /// Finite numbers: means.
  case finite
  /// Finite numbers of 0 or more: variances.
  case variance
  /// Numbers of 0 or more, infinite ones and NaN included: variances that follow batches whose statistics are not finite.
  case varianceOrNaN
  /// Whole numbers of 0 or more that Float64 counts exactly: counters.
  case counter

  func allows(_ value: Double) -> Bool {
    switch self {
    case .any: true
    case .finite: value.isFinite
    case .variance: value >= 0 && value.isFinite
    case .varianceOrNaN: !(value < 0)
    case .counter: value >= 0 && value <= 0x1p53
    }
  }

  /// What is expected, for messages.
  fileprivate var words: String {
    switch self {
    case .any: "numbers"
    case .finite: "finite numbers"
    case .variance: "finite numbers of 0 or more, as a variance is"
    case .varianceOrNaN: "numbers of 0 or more, as a variance is"
    case .counter: "a whole number of 0 or more"
    }
  }
}

extension Variable {
  /// Refuses values that this tensor cannot have, as the numbers that they become here. To be called before the first is written.
  ///
  /// - Throws: ``MartletError/Kind/invalidArgument`` with the tensor's name, the channel and the value.
  func check(count: Int, _ value: (Int) -> Double) throws {
    guard rule != .any else { return }
    for i in 0..<count {
      let given = value(i)
      guard rule.allows(dataType == .float32 ? Double(Float(given)) : given) else {
        throw MartletError.invalidArgument(
          "\(name): expected \(rule.words); got \(given)\(shape.isEmpty ? "" : " in channel \(i)"). "
            + "Take the tensor from a sound model, or measure its statistics again.")
      }
    }
  }

  /// ``check(count:_:)`` of someone's array.
  func check(_ array: ArrayView) throws {
    guard rule != .any, array.count > 0 else { return }
    let values = try Storage(byteCount: array.count * 8, isZeroed: false)
    try withExtendedLifetime(values) {
      array.copy(into: values.doubles)
      try check(count: array.count) { values.doubles[$0] }
    }
  }

  /// ``check(count:_:)`` of the values it has, which came from a file.
  func checkOwnValues() throws { try check(readingView) }
}
