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
