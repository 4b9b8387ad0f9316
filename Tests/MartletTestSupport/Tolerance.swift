// Every tolerance of the Swift tests, each with its derivation.

/// Half a unit in the last place of 1 in Float32: the largest relative error of one rounding.
public let unitRoundoff = 0x1p-24

public enum Tolerance {
  /// A sum of `terms` products in Float32, in any order: each term meets at most `terms` roundings (Higham 2002, §3.1).
  public static func dotProduct(terms: Int, magnitude: Double) -> Double {
    let n = Double(terms + 2) * unitRoundoff
    return n / (1 - n) * magnitude
  }
}

extension Tolerance {
  /// Units in the last place that the vector functions may be off: three half-units for the exponential (its polynomial, its
  /// last sum, the scaling of a denormal) and for the logarithm; a quotient of such an exponential adds the rounding of the
  /// divisor and its own, and all may count double where the quotient's binade is smaller than the parts'.
  public static let exponentialUlps = 1.5
  public static let logarithmUlps = 1.5
  public static let sigmoidUlps = 3.0
  public static let tanhUlps = 3.0

  /// Softmax, relative: the difference to the row's maximum is rounded at size `spread`, which the exponential turns into a relative
  /// error; then 1.5 ulp of the exponential, and three roundings of the factor and the product. (1 ulp ≤ 2 unit roundoffs.)
  public static func softmax(spread: Double) -> Double { (spread + 8) * unitRoundoff }

  /// A Float32 result computed in `roundings` rounded steps without cancellation.
  public static func steps(_ roundings: Int) -> Double { Double(roundings) * unitRoundoff * 1.01 }
}

extension Tolerance {
  /// A value or gradient that went through `depth` layers with sums of at most `terms` terms: a sum adds at most `terms` roundings, everything
  /// else of a layer (map, activation, its derivative) at most 8, all of terms no larger than `magnitude`; a factor of 2 for what one layer's
  /// weights amplify of an earlier one's error.
  public static func network(depth: Int, terms: Int, magnitude: Double) -> Double {
    2 * Double(depth * 8 + terms) * unitRoundoff * magnitude
  }
}

extension Tolerance {
  /// Gradients through a normalisation relative to the largest one: six roundings of terms up to twice its size.
  public static let gradientOfNormalised = 12 * unitRoundoff
}
