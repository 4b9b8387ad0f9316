// Functions of one operand, and the derivatives that follow from an output.

/// `y[i] = f(x[i])`; y may be x.
@inlinable
func unaryKernel<I: InstructionSet>(
  _ set: I.Type, _ function: UnaryKernel, _ x: UnsafePointer<Float>, count: Int, into y: UnsafeMutablePointer<Float>
) {
  switch function {
  case .identity: VectorLoops.map(set, x, count: count, into: y) { $0 }
  case .sigmoid: VectorLoops.map(set, x, count: count, into: y) { ActivationMath.sigmoid(set, $0) }
  case .tanh: VectorLoops.map(set, x, count: count, into: y) { ActivationMath.tanh(set, $0) }
  case .relu: VectorLoops.map(set, x, count: count, into: y) { ActivationMath.relu(set, $0) }
  case .negate:
    // The sign bit alone: 0 − x would leave +0 as it is.
    VectorLoops.map(set, x, count: count, into: y) { I.vector(bits: I.bits($0) ^ I.Integer(repeating: Int32.min)) }
  case .absolute: VectorLoops.map(set, x, count: count, into: y) { ActivationMath.magnitude(set, $0) }
  case .square: VectorLoops.map(set, x, count: count, into: y) { $0 * $0 }
  case .squareRoot: VectorLoops.map(set, x, count: count, into: y) { I.squareRoot($0) }
  case .exponential: VectorLoops.map(set, x, count: count, into: y) { ActivationMath.exponential(set, $0) }
  case .logarithm: VectorLoops.map(set, x, count: count, into: y) { ActivationMath.logarithm(set, $0) }
  }
}

/// `gradInput (+)= gradOutput·f′`, f′ from the output; gradInput may be gradOutput.
@inlinable
func derivativeKernel<I: InstructionSet>(
  _ set: I.Type, _ function: DerivativeKernel, gradOutput g: UnsafePointer<Float>, output y: UnsafePointer<Float>, count: Int,
  into gradInput: UnsafeMutablePointer<Float>, accumulate: Bool
) {
  switch function {
  case .identity: derivativeLoop(set, g, y, count, gradInput, accumulate) { g, _ in g }
  case .sigmoid: derivativeLoop(set, g, y, count, gradInput, accumulate) { g, y in g * (y * (1 - y)) }
  case .tanh: derivativeLoop(set, g, y, count, gradInput, accumulate) { g, y in g * ((1 - y) * (1 + y)) }
  case .relu:
    let zero = I.Vector(repeating: 0)
    derivativeLoop(set, g, y, count, gradInput, accumulate) { g, y in I.whereLess(zero, y, g, zero) }
  }
}

@inlinable @inline(__always)
func derivativeLoop<I: InstructionSet>(
  _ set: I.Type, _ g: UnsafePointer<Float>, _ y: UnsafePointer<Float>, _ count: Int,
  _ gradInput: UnsafeMutablePointer<Float>, _ accumulate: Bool, _ f: (I.Vector, I.Vector) -> I.Vector
) {
  if accumulate {
    VectorLoops.update(set, gradInput, g, y, count: count) { g, y, old in old + f(g, y) }
  } else {
    VectorLoops.map(set, g, y, count: count, into: gradInput, f)
  }
}

@inlinable
func fillKernel<I: InstructionSet>(_ set: I.Type, _ value: Float, count: Int, into y: UnsafeMutablePointer<Float>) {
  let v = I.Vector(repeating: value)
  var i = 0
  while i + I.lanes <= count {
    I.store(v, y + i)
    i += I.lanes
  }
  while i < count {
    y[i] = value
    i += 1
  }
}
