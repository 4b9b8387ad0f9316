// Adam and AdamW.

/// g += coupledDecay·p;  m = β₁m + (1−β₁)g;  v = β₂v + (1−β₂)g²;  p = shrink·p − stepSize·m/(√v·secondScale + epsilon).
///
/// Source: Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019 for decoupled decay. Cost: reads p, g, m, v and writes p, m, v
/// once; one division and one square root a vector.
@inlinable
func adamKernel<I: InstructionSet>(
  _ set: I.Type, _ parameter: UnsafeMutablePointer<Float>, gradient: UnsafePointer<Float>,
  first: UnsafeMutablePointer<Float>, second: UnsafeMutablePointer<Float>, count: Int, _ step: AdamStep
) {
  let beta1 = I.Vector(repeating: step.beta1)
  let beta2 = I.Vector(repeating: step.beta2)
  let rest1 = I.Vector(repeating: step.rest1)
  let rest2 = I.Vector(repeating: step.rest2)
  let epsilon = I.Vector(repeating: step.epsilon)
  let decay = I.Vector(repeating: step.coupledDecay)
  let shrink = I.Vector(repeating: step.shrink)
  let size = I.Vector(repeating: -step.stepSize)
  let scale = I.Vector(repeating: step.secondScale)
  let looksAhead = Lookahead.pays(count)
  var i = 0
  while i < count {
    let rest = count - i
    if looksAhead {
      Lookahead.beside(set, i, parameter, gradient)
      Lookahead.beside(set, i, first, second)
    }
    let p = I.load(upTo: rest, parameter + i)
    let g = I.multiplyAdd(decay, p, I.load(upTo: rest, gradient + i))
    let m = I.multiplyAdd(beta1, I.load(upTo: rest, first + i), rest1 * g)
    let v = I.multiplyAdd(beta2, I.load(upTo: rest, second + i), rest2 * (g * g))
    let denominator = I.multiplyAdd(I.squareRoot(v), scale, epsilon)
    I.store(upTo: rest, m, first + i)
    I.store(upTo: rest, v, second + i)
    I.store(upTo: rest, I.multiplyAdd(shrink, p, size * m / denominator), parameter + i)
    i += I.lanes
  }
}
