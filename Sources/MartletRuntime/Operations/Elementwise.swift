// Passes over every element: arithmetic, activations, dropout.

public enum BinaryOperation: Int32, Sendable, CaseIterable {
  case add = 0, subtract, multiply, divide, maximum, minimum
}

public enum UnaryOperation: Int32, Sendable, CaseIterable {
  case negate = 0, absolute, square, squareRoot, exponential, logarithm
}

/// What the right operand of a binary operation looks like beside a left operand `[rows, columns]`.
public enum Broadcast: Sendable {
  /// as large as the left operand
  case none
  /// one value per column: `[columns]`
  case alongRows
  /// a single value
  case scalar
}

extension Compute {
  /// `y[r, c] = a[r, c] ∘ b[…]`; `y` may be `a` (or `b` if not broadcast). Swapped: `b ∘ a`.
  public func binary(
    _ operation: BinaryOperation, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, rows: Int, columns: Int,
    broadcast: Broadcast, swapped: Bool, into y: UnsafeMutablePointer<Float>
  ) { fatalError("stub") }

  public func unary(_ operation: UnaryOperation, _ x: UnsafePointer<Float>, count: Int, into y: UnsafeMutablePointer<Float>) {
    fatalError("stub")
  }

  /// `y = activation(x)`; `y` may be `x`. Error at most 4 units in the last place over all finite x; saturates cleanly
  /// (sigmoid(−200) is 0, never NaN), NaN stays NaN.
  public func activate(_ activation: Activation, _ x: UnsafePointer<Float>, count: Int, into y: UnsafeMutablePointer<Float>) {
    fatalError("stub")
  }

  /// `gradInput (+)= gradOutput·activation′(y)`, y the output; `gradInput` may be `gradOutput`.
  public func activationGradient(
    _ activation: Activation, gradOutput: UnsafePointer<Float>, output y: UnsafePointer<Float>, count: Int,
    into gradInput: UnsafeMutablePointer<Float>, accumulate: Bool
  ) { fatalError("stub") }

  /// `y = keep(i) ? x / (1 − rate) : 0`, or added to y. Whether element i is kept depends on (key, i) alone, so that the backward
  /// pass calls this again with the gradient, and threads do not matter. 0 ≤ rate < 1.
  public func dropout(
    _ x: UnsafePointer<Float>, count: Int, rate: Float, key: UInt64, into y: UnsafeMutablePointer<Float>, accumulate: Bool
  ) { fatalError("stub") }

  /// `y += x`
  public func add(_ x: UnsafePointer<Float>, count: Int, to y: UnsafeMutablePointer<Float>) { fatalError("stub") }

  public func fill(_ y: UnsafeMutablePointer<Float>, count: Int, with value: Float) { fatalError("stub") }

  /// Row r of `y` becomes row `indices[r]` of `x`; a row is `columns` Float32 values side by side, rows `rowStride` apart.
  public func gatherRows(
    _ x: UnsafePointer<Float>, rowStride: Int, indices: UnsafePointer<Int>, rows: Int, columns: Int,
    into y: UnsafeMutablePointer<Float>
  ) { fatalError("stub") }
}
