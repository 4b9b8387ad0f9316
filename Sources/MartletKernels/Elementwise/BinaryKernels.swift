// Functions of two operands.

/// `y[r, c] = a[r, c] ∘ b[…]`; y may be a (or b where b is full).
@inlinable
func binaryKernel<I: InstructionSet>(
  _ set: I.Type, _ function: BinaryKernel, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, rows: Int, columns: Int,
  _ operand: BinaryOperand, into y: UnsafeMutablePointer<Float>
) {
  // The choice is made here, outside every loop.
  switch function {
  case .add: binaryLoop(set, a, b, rows, columns, operand, y) { $0 + $1 }
  case .subtract: binaryLoop(set, a, b, rows, columns, operand, y) { $0 - $1 }
  case .multiply: binaryLoop(set, a, b, rows, columns, operand, y) { $0 * $1 }
  case .divide: binaryLoop(set, a, b, rows, columns, operand, y) { $0 / $1 }
  case .maximum: binaryLoop(set, a, b, rows, columns, operand, y) { Extremes.maximum(set, $0, $1) }
  case .minimum: binaryLoop(set, a, b, rows, columns, operand, y) { Extremes.minimum(set, $0, $1) }
  case .subtractFrom: binaryLoop(set, a, b, rows, columns, operand, y) { $1 - $0 }
  case .divideInto: binaryLoop(set, a, b, rows, columns, operand, y) { $1 / $0 }
  }
}

@inlinable @inline(__always)
func binaryLoop<I: InstructionSet>(
  _ set: I.Type, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ rows: Int, _ columns: Int,
  _ operand: BinaryOperand, _ y: UnsafeMutablePointer<Float>, _ f: (I.Vector, I.Vector) -> I.Vector
) {
  switch operand {
  case .full:
    VectorLoops.map(set, a, b, count: rows * columns, into: y, f)
  case .row:
    for r in 0..<rows { VectorLoops.map(set, a + r * columns, b, count: columns, into: y + r * columns, f) }
  case .scalar:
    let value = I.Vector(repeating: b[0])
    VectorLoops.map(set, a, count: rows * columns, into: y) { f($0, value) }
  }
}

/// The larger or smaller of two, where a NaN on either side makes the result NaN (the machine's own instructions keep one side).
public enum Extremes {
  @inlinable @inline(__always)
  public static func maximum<I: InstructionSet>(_ set: I.Type, _ a: I.Vector, _ b: I.Vector) -> I.Vector {
    I.whereEqual(a, a, I.maximum(a, b), a)
  }

  @inlinable @inline(__always)
  public static func minimum<I: InstructionSet>(_ set: I.Type, _ a: I.Vector, _ b: I.Vector) -> I.Vector {
    I.whereEqual(a, a, I.minimum(a, b), a)
  }
}
