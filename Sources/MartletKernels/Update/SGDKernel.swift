// Stochastic gradient descent.

/// g += weightDecay·p;  v = momentum·v + g;  p −= learningRate·(nesterov ? g + momentum·v : v). A nil velocity means momentum 0.
/// Cost: reads p, g, v and writes p, v once.
@inlinable
func sgdKernel<I: InstructionSet>(
  _ set: I.Type, _ parameter: UnsafeMutablePointer<Float>, gradient: UnsafePointer<Float>,
  velocity: UnsafeMutablePointer<Float>?, count: Int, _ step: SGDStep
) {
  let rate = I.Vector(repeating: -step.learningRate)
  let momentum = I.Vector(repeating: step.momentum)
  let decay = I.Vector(repeating: step.weightDecay)
  let looksAhead = Lookahead.pays(count)
  var i = 0
  while i < count {
    let rest = count - i
    if looksAhead {
      Lookahead.beside(set, i, parameter, gradient)
      if let velocity { Lookahead.beside(set, i, velocity) }
    }
    let p = I.load(upTo: rest, parameter + i)
    let g = I.multiplyAdd(decay, p, I.load(upTo: rest, gradient + i))
    var direction = g
    if let velocity {
      let v = I.multiplyAdd(momentum, I.load(upTo: rest, velocity + i), g)
      I.store(upTo: rest, v, velocity + i)
      direction = step.nesterov ? I.multiplyAdd(momentum, v, g) : v
    }
    I.store(upTo: rest, I.multiplyAdd(rate, direction, p), parameter + i)
    i += I.lanes
  }
}
