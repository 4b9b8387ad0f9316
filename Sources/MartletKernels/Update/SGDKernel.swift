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
  guard let velocity else {
    VectorLoops.map(set, UnsafePointer(parameter), gradient, count: count, into: parameter) { p, g in
      I.multiplyAdd(rate, I.multiplyAdd(decay, p, g), p)
    }
    return
  }
  let isNesterov = step.nesterov
  var i = 0
  while i < count {
    let rest = count - i
    let isWhole = rest >= I.lanes
    let p = isWhole ? I.load(parameter + i) : I.load(first: rest, parameter + i)
    let g = I.multiplyAdd(decay, p, isWhole ? I.load(gradient + i) : I.load(first: rest, gradient + i))
    let v = I.multiplyAdd(momentum, isWhole ? I.load(velocity + i) : I.load(first: rest, velocity + i), g)
    let result = I.multiplyAdd(rate, isNesterov ? I.multiplyAdd(momentum, v, g) : v, p)
    if isWhole {
      I.store(v, velocity + i)
      I.store(result, parameter + i)
    } else {
      I.store(first: rest, v, velocity + i)
      I.store(first: rest, result, parameter + i)
    }
    i += I.lanes
  }
}
