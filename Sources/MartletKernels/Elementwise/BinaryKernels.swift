// Functions of two operands.

/// `y[r, c] = a[r, c] ∘ b[…]`; y may be a (or b where b is full).
@inlinable
func binaryKernel<I: InstructionSet>(
  _ set: I.Type, _ function: BinaryKernel, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, rows: Int, columns: Int,
  _ operand: BinaryOperand, into y: UnsafeMutablePointer<Float>
) {
  // The choice is made here, once: a constant in an inlined loop leaves no switch in it.
  switch function {
  case .add: binaryLoop(set, .add, a, b, rows, columns, operand, y)
  case .subtract: binaryLoop(set, .subtract, a, b, rows, columns, operand, y)
  case .multiply: binaryLoop(set, .multiply, a, b, rows, columns, operand, y)
  case .divide: binaryLoop(set, .divide, a, b, rows, columns, operand, y)
  case .maximum: binaryLoop(set, .maximum, a, b, rows, columns, operand, y)
  case .minimum: binaryLoop(set, .minimum, a, b, rows, columns, operand, y)
  case .subtractFrom: binaryLoop(set, .subtractFrom, a, b, rows, columns, operand, y)
  case .divideInto: binaryLoop(set, .divideInto, a, b, rows, columns, operand, y)
  }
}

@inlinable @inline(always)
func binaryLoop<I: InstructionSet>(
  _ set: I.Type, _ function: BinaryKernel, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ rows: Int,
  _ columns: Int, _ operand: BinaryOperand, _ y: UnsafeMutablePointer<Float>
) {
  if operand == .scalar {
    let value = I.Vector(repeating: b[0])
    let count = rows * columns
    var i = 0
    while i < count {
      let rest = count - i
      I.store(upTo: rest, binaryValue(set, function, I.load(upTo: rest, a + i), value), y + i)
      i += I.lanes
    }
    return
  }
  // A full operand is one long row.
  let isRow = operand == .row
  let looksAhead = Lookahead.pays(rows * columns)
  let count = isRow ? columns : rows * columns
  for r in 0..<(isRow ? rows : 1) {
    let offset = r * columns
    var i = 0
    while i < count {
      let rest = count - i
      if looksAhead { Lookahead.beside(set, offset + i, a, y) }
      let value = binaryValue(set, function, I.load(upTo: rest, a + offset + i), I.load(upTo: rest, b + i))
      I.store(upTo: rest, value, y + offset + i)
      i += I.lanes
    }
  }
}

@inlinable @inline(always)
func binaryValue<I: InstructionSet>(_ set: I.Type, _ function: BinaryKernel, _ a: I.Vector, _ b: I.Vector) -> I.Vector {
  switch function {
  case .add: a + b
  case .subtract: a - b
  case .multiply: a * b
  case .divide: a / b
  case .maximum: Extremes.larger(set, a, b)
  case .minimum: Extremes.smaller(set, a, b)
  case .subtractFrom: b - a
  case .divideInto: b / a
  }
}

/// The larger or smaller of two, where a NaN on either side makes the result NaN (the machine's own instructions keep one side).
public enum Extremes {
  @inlinable @inline(always)
  public static func larger<I: InstructionSet>(_ set: I.Type, _ a: I.Vector, _ b: I.Vector) -> I.Vector {
    I.whereEqual(a, a, I.maximum(a, b), a)
  }

  @inlinable @inline(always)
  public static func smaller<I: InstructionSet>(_ set: I.Type, _ a: I.Vector, _ b: I.Vector) -> I.Vector {
    I.whereEqual(a, a, I.minimum(a, b), a)
  }

  /// The larger (or smaller) of two.
  @inlinable @inline(always)
  public static func extreme<I: InstructionSet>(_ set: I.Type, _ isLargest: Bool, _ a: I.Vector, _ b: I.Vector) -> I.Vector {
    isLargest ? larger(set, a, b) : smaller(set, a, b)
  }

  /// The larger (or smaller) of two numbers.
  @inlinable @inline(always)
  public static func extreme<I: InstructionSet>(_ set: I.Type, _ isLargest: Bool, _ a: Float, _ b: Float) -> Float {
    (isLargest ? a > b : a < b) || a != a ? a : b
  }
}
