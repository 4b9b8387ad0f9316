// The activations that operations can apply in the same pass as something else.

/// An elementwise function whose derivative follows from its output alone.
public enum Activation: Int32, Sendable, CaseIterable {
  case identity = 0
  /// 1 / (1 + e⁻ˣ); derivative y·(1 − y)
  case sigmoid = 1
  /// tanh x; derivative 1 − y²
  case tanh = 2
  /// max(x, 0); derivative 1 where y > 0, else 0. NaN stays NaN.
  case relu = 3
}
