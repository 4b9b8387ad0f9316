// Sums, extremes, softmax.

public enum ReductionOperation: Int32, Sendable, CaseIterable {
  case sum = 0, mean, maximum, minimum
}

extension Compute {
  public func reductionWorkspaceByteCount(outer: Int, axis: Int, inner: Int) -> Int { fatalError("stub") }

  /// Reduces the middle axis of `x[outer, axis, inner]` into `y[outer, inner]`. Sums are gathered in Float64 and rounded once; a NaN
  /// makes every result it belongs to NaN. `axis ≥ 1` for the extremes; an empty sum is 0, an empty mean NaN.
  public func reduce(
    _ operation: ReductionOperation, _ x: UnsafePointer<Float>, outer: Int, axis: Int, inner: Int,
    into y: UnsafeMutablePointer<Float>, workspace: UnsafeMutableRawPointer
  ) { fatalError("stub") }

  /// `y[c] (+)= Σ_r x[r, c]` (a bias's gradient), gathered in Float64 or pairwise; `workspace` as for reduce(outer: 1, axis: rows, inner: columns).
  public func columnSums(
    _ x: UnsafePointer<Float>, rows: Int, columns: Int, into y: UnsafeMutablePointer<Float>, accumulate: Bool,
    workspace: UnsafeMutableRawPointer
  ) { fatalError("stub") }

  /// Index of the first largest value of each row; a NaN counts as largest.
  public func argmaxRows(_ x: UnsafePointer<Float>, rows: Int, columns: Int, into y: UnsafeMutablePointer<Int32>) {
    fatalError("stub")
  }

  /// `y[r, c] = e^(x[r, c] − max_r) / Σ_c …`; `y` may be `x`.
  public func softmaxRows(_ x: UnsafePointer<Float>, rows: Int, columns: Int, into y: UnsafeMutablePointer<Float>) {
    fatalError("stub")
  }

  /// `gradInput (+)= y·(gradOutput − Σ_c gradOutput·y)`, y the softmax's output.
  public func softmaxGradientRows(
    gradOutput: UnsafePointer<Float>, output y: UnsafePointer<Float>, rows: Int, columns: Int,
    into gradInput: UnsafeMutablePointer<Float>, accumulate: Bool
  ) { fatalError("stub") }
}
