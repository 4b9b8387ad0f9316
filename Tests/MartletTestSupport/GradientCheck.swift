// Analytic gradients against central differences.

/// Compares gradients with differences of a Float64 function.
///
/// The function is a Float64 reference of what Martlet computes in Float32: differences of the Float32 result itself would drown in its rounding (u·|L|/h
/// of 6e-3 at h = 1e-5), while those of the reference are right to about 1e-9, and all the tolerance goes to the gradient under test.
/// The loss is Σ r⊙y with a fixed random r: the sum, the mean or the square of a normalised output hardly depend on its input, so that
/// wrong gradients would pass.
public enum GradientCheck {
  /// 2⁻¹⁷, so that x ± h is exact: with |f| ≤ 10 and |f‴| ≤ 100 the rounding is below 2⁻⁵²·10/h = 3e-10, the truncation below h²/6·100 = 1e-9.
  public static let step = 0x1p-17
  /// The sum of the two bounds, rounded up.
  public static let differenceError = 2e-9

  /// (f(x + h) − f(x − h)) / 2h for each element of x.
  public static func differences(at x: [Double], _ f: ([Double]) -> Double) -> [Double] {
    var point = x
    return x.indices.map { i in
      point[i] = x[i] + step
      let high = f(point)
      point[i] = x[i] - step
      let low = f(point)
      point[i] = x[i]
      return (high - low) / (2 * step)
    }
  }

  /// Nil if every element is within the tolerance; else what is wrong with the worst.
  public static func mismatch(_ gradient: [Double], _ differences: [Double], tolerance: Double) -> String? {
    guard gradient.count == differences.count else {
      return "\(gradient.count) elements, \(differences.count) differences"
    }
    var worst: (place: Int, error: Double)?
    for i in gradient.indices {
      let error = abs(gradient[i] - differences[i])
      // A NaN is no match either.
      if !(error <= tolerance + differenceError), !(error <= (worst?.error ?? 0)) { worst = (i, error) }
    }
    return worst.map {
      "element \($0.place): \(gradient[$0.place]) should be \(differences[$0.place]) ± \(tolerance)"
    }
  }
}
