// How parameters start.
import MartletRuntime

/// A distribution, or a number, that a parameter is filled with. `in` and `out` count the values that flow in and out of a
/// unit.
public enum Initializer: Equatable, Sendable {
  /// Uniform within ±√(6 / (in + out)). Source: Glorot & Bengio 2010. For sigmoid and tanh.
  case glorotUniform
  /// Normal with deviation √(2 / (in + out)). Source: Glorot & Bengio 2010.
  case glorotNormal
  /// Uniform within ±√(6 / in). Source: He et al. 2015. For ReLU.
  case heUniform
  /// Normal with deviation √(2 / in). Source: He et al. 2015.
  case heNormal
  /// Normal about 0.
  case normal(deviation: Double)
  case zeros
  case constant(Double)

  /// Writes `count` values; the same (seed, stream) give the same values.
  func fill(_ values: UnsafeMutablePointer<Float>, count: Int, fanIn: Int, fanOut: Int, seed: UInt64, stream: UInt64) {
    let random = CounterRandom(seed: seed, stream: stream)
    func uniform(_ limit: Double) {
      for i in 0..<count { values[i] = Float((2 * random.uniform(UInt64(i)) - 1) * limit) }
    }
    func normal(_ deviation: Double) {
      for i in 0..<count { values[i] = Float(random.normal(UInt64(i)) * deviation) }
    }
    let fans = (in: Double(max(fanIn, 1)), sum: Double(max(fanIn + fanOut, 1)))
    switch self {
    case .glorotUniform: uniform((6 / fans.sum).squareRoot())
    case .glorotNormal: normal((2 / fans.sum).squareRoot())
    case .heUniform: uniform((6 / fans.in).squareRoot())
    case .heNormal: normal((2 / fans.in).squareRoot())
    case .normal(let deviation): normal(deviation)
    case .zeros: values.update(repeating: 0, count: count)
    case .constant(let value): values.update(repeating: Float(value), count: count)
    }
  }

  func check(_ argument: String) throws {
    switch self {
    case .normal(let deviation):
      try OptionNumber.check(deviation, "\(argument).deviation", .zeroOrMore)
      // No draw is ten deviations from 0.
      guard Float(10 * deviation).isFinite else {
        throw MartletError.invalidArgument(
          "\(argument).deviation: expected at most 3e37, so that values are finite in float32; got \(deviation).")
      }
    case .constant(let value): try OptionNumber.check(value, "\(argument).constant", .finite)
    default: break
    }
  }
}

extension Initializer {
  var configuration: JSON {
    switch self {
    case .glorotUniform: .string("glorot_uniform")
    case .glorotNormal: .string("glorot_normal")
    case .heUniform: .string("he_uniform")
    case .heNormal: .string("he_normal")
    case .zeros: .string("zeros")
    case .normal(let deviation): .object([("normal", .number(deviation))])
    case .constant(let value): .object([("constant", .number(value))])
    }
  }

  init(configuration: JSON) throws {
    let named: [Initializer] = [.glorotNormal, .glorotUniform, .heNormal, .heUniform, .zeros]
    if let known = named.first(where: { configuration.isText($0.configuration.string ?? "") }) {
      self = known
    } else if configuration.object?.count == 1, let deviation = configuration["normal"]?.double {
      self = .normal(deviation: deviation)
    } else if configuration.object?.count == 1, let value = configuration["constant"]?.double {
      self = .constant(value)
    } else {
      let names = named.compactMap(\.configuration.string).map { "\"\($0)\"" }.joined(separator: ", ")
      throw MartletError.corruptFile(
        "an initializer: expected \(names), {\"normal\": deviation} or {\"constant\": value}; got \(configuration.summary).")
    }
    do { try check("initializer") } catch let error as MartletError { throw MartletError.corruptFile(error.message) }
  }
}

extension JSON {
  /// A text itself, of other values the kind alone: for messages.
  fileprivate var summary: String { string.map { excerpt($0) } ?? kindName }
}
