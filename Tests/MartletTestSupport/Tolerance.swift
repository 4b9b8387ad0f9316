// Every tolerance of the Swift tests, each with its derivation.

/// Half a unit in the last place of 1 in Float32: the largest relative error of one rounding.
public let unitRoundoff = 0x1p-24

public enum Tolerance {
  /// A sum of `terms` products in Float32, in any order: each term meets at most `terms` roundings (Higham 2002, §3.1).
  public static func dotProduct(terms: Int, magnitude: Double) -> Double {
    let n = Double(terms + 2) * unitRoundoff
    return n / (1 - n) * magnitude
  }

  /// `activation((x + bias)·multiplier + offset)` in Float32, the error of x given: three roundings, each of a value no larger
  /// than the sum of magnitudes; the activations' slopes are at most 1 and their own error at most 4 units in the last place
  /// (8 roundoffs) of a result no larger than the argument or 1.
  public static func productTail(error: Double, value: Double, bias: Double, multiplier: Double, offset: Double) -> Double {
    let size = (value.magnitude + error + bias.magnitude) * multiplier.magnitude + offset.magnitude
    return error * multiplier.magnitude + 3 * unitRoundoff * size + 8 * unitRoundoff * max(size, 1)
  }
}
