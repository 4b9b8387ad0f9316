// Reductions, softmax, losses in Float64, as their formulas read.
#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

extension Reference {
  /// Reduces the middle axis of x[outer, axis, inner].
  public static func reduce(
    _ x: [Float], outer: Int, axis: Int, inner: Int, _ initial: Double, _ f: (Double, Double) -> Double
  ) -> [Double] {
    var y = [Double](repeating: initial, count: outer * inner)
    for o in 0..<outer {
      for a in 0..<axis {
        for i in 0..<inner { y[o * inner + i] = f(y[o * inner + i], Double(x[(o * axis + a) * inner + i])) }
      }
    }
    return y
  }

  public static func softmax(_ row: [Double]) -> [Double] {
    let largest = row.max() ?? 0
    let e = row.map { exp($0 - largest) }
    let sum = e.reduce(0, +)
    return e.map { $0 / sum }
  }

  /// −Σ t·log softmax(x) of one row.
  public static func crossEntropy(_ row: [Double], _ t: [Double]) -> Double {
    let largest = row.max() ?? 0
    // Without the largest term itself, so that log1p sees a small sum exactly.
    let first = row.firstIndex(of: largest) ?? 0
    let others = row.indices.filter { $0 != first }.map { exp(row[$0] - largest) }.reduce(0, +)
    // Differences to the largest first: a small loss beside a large logit would lose its digits.
    return zip(row, t).map { x, t in t == 0 ? 0 : t * ((largest - x) + log1p(others)) }.reduce(0, +)
  }

  /// max(x, 0) − x·t + log(1 + e^−|x|)
  public static func binaryCrossEntropy(_ x: Double, _ t: Double) -> Double {
    (x > 0 ? x * (1 - t) : -x * t) + log1p(exp(-abs(x)))
  }
}
