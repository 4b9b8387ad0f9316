// The table of kernels that treat each element on its own.

/// A function of two operands, the order included.
public enum BinaryKernel: Int32, Sendable {
  case add, subtract, multiply, divide, maximum, minimum
  /// b − a
  case subtractFrom
  /// b / a
  case divideInto
}

/// How the right operand lies beside a left operand of `rows` × `columns`.
public enum BinaryOperand: Int32, Sendable {
  /// rows × columns
  case full
  /// one row of `columns`, used by every row
  case row
  /// one value
  case scalar
}

/// A function of one operand.
public enum UnaryKernel: Int32, Sendable {
  case identity, sigmoid, tanh, relu
  case negate, absolute, square, squareRoot, exponential, logarithm
}

/// A derivative that follows from the function's output.
public enum DerivativeKernel: Int32, Sendable {
  case identity, sigmoid, tanh, relu
}

public struct ElementwiseKernels: Sendable {
  /// (function, a, b, rows, columns, how b lies, y)
  public let binary:
    @Sendable (
      BinaryKernel, UnsafePointer<Float>, UnsafePointer<Float>, Int, Int, BinaryOperand, UnsafeMutablePointer<Float>
    ) -> Void
  /// (function, x, count, y)
  public let unary: @Sendable (UnaryKernel, UnsafePointer<Float>, Int, UnsafeMutablePointer<Float>) -> Void
  /// (derivative, gradient of the output, output, count, gradient of the input, add to it)
  public let derivative:
    @Sendable (
      DerivativeKernel, UnsafePointer<Float>, UnsafePointer<Float>, Int, UnsafeMutablePointer<Float>, Bool
    ) -> Void
  /// (x, index of its first element: a multiple of 32, count, what drops an element, y, add to it)
  public let dropout: @Sendable (UnsafePointer<Float>, Int, Int, DropoutRule, UnsafeMutablePointer<Float>, Bool) -> Void
  /// (value, count, y)
  public let fill: @Sendable (Float, Int, UnsafeMutablePointer<Float>) -> Void

  @inlinable
  public init<I: InstructionSet>(_ set: I.Type) {
    binary = { binaryKernel(I.self, $0, $1, $2, rows: $3, columns: $4, $5, into: $6) }
    unary = { unaryKernel(I.self, $0, $1, count: $2, into: $3) }
    derivative = { derivativeKernel(I.self, $0, gradOutput: $1, output: $2, count: $3, into: $4, accumulate: $5) }
    dropout = { dropoutKernel(I.self, $0, first: $1, count: $2, $3, into: $4, accumulate: $5) }
    fill = { fillKernel(I.self, $0, count: $1, into: $2) }
  }
}
