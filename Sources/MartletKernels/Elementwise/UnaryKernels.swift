// Functions of one operand, and the derivatives that follow from an output.

/// `y[i] = f(x[i])`; y may be x.
@inlinable
func unaryKernel<I: InstructionSet>(
  _ set: I.Type, _ function: UnaryKernel, _ x: UnsafePointer<Float>, count: Int, into y: UnsafeMutablePointer<Float>
) {
  // The choice is made here, once: a constant in an inlined loop leaves no switch in it.
  switch function {
  case .identity: unaryLoop(set, .identity, x, count, y)
  case .sigmoid: unaryLoop(set, .sigmoid, x, count, y)
  case .tanh: unaryLoop(set, .tanh, x, count, y)
  case .relu: unaryLoop(set, .relu, x, count, y)
  case .negate: unaryLoop(set, .negate, x, count, y)
  case .absolute: unaryLoop(set, .absolute, x, count, y)
  case .square: unaryLoop(set, .square, x, count, y)
  case .squareRoot: unaryLoop(set, .squareRoot, x, count, y)
  case .exponential: unaryLoop(set, .exponential, x, count, y)
  case .logarithm: unaryLoop(set, .logarithm, x, count, y)
  }
}

@inlinable @inline(always)
func unaryLoop<I: InstructionSet>(
  _ set: I.Type, _ function: UnaryKernel, _ x: UnsafePointer<Float>, _ count: Int, _ y: UnsafeMutablePointer<Float>
) {
  let looksAhead = Lookahead.pays(count)
  var i = 0
  while i < count {
    let rest = count - i
    if looksAhead { Lookahead.beside(set, i, x, y) }
    I.store(upTo: rest, unaryValue(set, function, I.load(upTo: rest, x + i)), y + i)
    i += I.lanes
  }
}

@inlinable @inline(always)
func unaryValue<I: InstructionSet>(_ set: I.Type, _ function: UnaryKernel, _ x: I.Vector) -> I.Vector {
  switch function {
  case .identity: x
  case .sigmoid: ActivationMath.sigmoid(set, x)
  case .tanh: ActivationMath.tanh(set, x)
  case .relu: ActivationMath.relu(set, x)
  // The sign bit alone: 0 − x would leave +0 as it is.
  case .negate: I.vector(bits: I.bits(x) ^ I.Integer(repeating: Int32.min))
  case .absolute: ActivationMath.magnitude(set, x)
  case .square: x * x
  case .squareRoot: I.squareRoot(x)
  case .exponential: ActivationMath.exponential(set, x)
  case .logarithm: ActivationMath.logarithm(set, x)
  }
}

/// `gradInput (+)= gradOutput·f′`, f′ from the output; gradInput may be gradOutput.
@inlinable
func derivativeKernel<I: InstructionSet>(
  _ set: I.Type, _ function: DerivativeKernel, gradOutput g: UnsafePointer<Float>, output y: UnsafePointer<Float>, count: Int,
  into gradInput: UnsafeMutablePointer<Float>, accumulate: Bool
) {
  switch function {
  case .identity: derivativeLoop(set, .identity, g, y, count, gradInput, accumulate)
  case .sigmoid: derivativeLoop(set, .sigmoid, g, y, count, gradInput, accumulate)
  case .tanh: derivativeLoop(set, .tanh, g, y, count, gradInput, accumulate)
  case .relu: derivativeLoop(set, .relu, g, y, count, gradInput, accumulate)
  }
}

@inlinable @inline(always)
func derivativeLoop<I: InstructionSet>(
  _ set: I.Type, _ function: DerivativeKernel, _ g: UnsafePointer<Float>, _ y: UnsafePointer<Float>, _ count: Int,
  _ gradInput: UnsafeMutablePointer<Float>, _ accumulate: Bool
) {
  let looksAhead = Lookahead.pays(count)
  var i = 0
  while i < count {
    let rest = count - i
    if looksAhead {
      Lookahead.beside(set, i, g, y)
      Lookahead.beside(set, i, gradInput)
    }
    var value = derivativeValue(set, function, I.load(upTo: rest, g + i), I.load(upTo: rest, y + i))
    if accumulate { value += I.load(upTo: rest, gradInput + i) }
    I.store(upTo: rest, value, gradInput + i)
    i += I.lanes
  }
}

/// g times the derivative where the output is y.
@inlinable @inline(always)
func derivativeValue<I: InstructionSet>(
  _ set: I.Type, _ function: DerivativeKernel, _ g: I.Vector, _ y: I.Vector
) -> I.Vector {
  switch function {
  case .identity: g
  case .sigmoid: g * (y * (1 - y))
  // 1 − y² without the cancellation.
  case .tanh: g * ((1 - y) * (1 + y))
  case .relu: I.whereLess(I.Vector(repeating: 0), y, g, I.Vector(repeating: 0))
  }
}

/// `y[i] = value`
@inlinable
func fillKernel<I: InstructionSet>(_ set: I.Type, _ value: Float, count: Int, into y: UnsafeMutablePointer<Float>) {
  let v = I.Vector(repeating: value)
  var i = 0
  while i < count {
    I.store(upTo: count - i, v, y + i)
    i += I.lanes
  }
}
