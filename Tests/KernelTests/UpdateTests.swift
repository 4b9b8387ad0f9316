import MartletRuntime
import MartletTestSupport
import ReferenceKernels
import Testing

@Suite struct UpdateTests {
  static let counts = Array(0...35) + [1000, 70_001]

  /// Within `roundings` of the sizes that were added.
  private func isNear(_ got: [Float], _ want: [Double], _ size: [Double], _ roundings: Int) -> Bool {
    got.indices.allSatisfy { abs(Double(got[$0]) - want[$0]) <= Tolerance.steps(roundings) * size[$0] }
  }

  @Test func stochasticGradientDescent() {
    var random = TestRandom(seed: 18)
    let rules = [
      SGDUpdate(learningRate: 0.1, momentum: 0, nesterov: false, weightDecay: 0),
      SGDUpdate(learningRate: 0.1, momentum: 0.9, nesterov: false, weightDecay: 0.01),
      SGDUpdate(learningRate: 0.05, momentum: 0.8, nesterov: true, weightDecay: 0.1),
    ]
    for (set, computes) in EveryCompute.ofAllThreads {
      for count in Self.counts {
        for rule in rules {
          let p = random.array(count)
          let g = random.array(count)
          let v = random.array(count)
          let results = computes.map { compute in
            let parameter = GuardedBuffer(p, misalignedBy: 4)
            let gradient = GuardedBuffer(g)
            let velocity = GuardedBuffer(v)
            compute.update(
              parameter.pointer, gradient: gradient.input, velocity: rule.momentum == 0 ? nil : velocity.pointer,
              count: count, rule)
            return (parameter.values, velocity.values)
          }
          for result in results {
            #expect(result.0.bits == results[0].0.bits && result.1.bits == results[0].1.bits, "\(count) on \(set)")
          }
          let rate = Double(rule.learningRate)
          let momentum = Double(rule.momentum)
          var parameters: [Double] = []
          var velocities: [Double] = []
          for i in 0..<count {
            let gradient = Double(g[i]) + Double(rule.weightDecay) * Double(p[i])
            let velocity = momentum * Double(v[i]) + gradient
            velocities.append(momentum == 0 ? Double(v[i]) : velocity)
            parameters.append(Double(p[i]) - rate * (rule.nesterov ? gradient + momentum * velocity : velocity))
          }
          // Every term is below 4 in size, and meets at most eight roundings.
          let sizes = [Double](repeating: 4, count: count)
          #expect(isNear(results[0].0, parameters, sizes, 8), "\(count) on \(set)")
          #expect(isNear(results[0].1, velocities, sizes, 8), "\(count) on \(set)")
        }
      }
    }
  }

  @Test func adam() {
    var random = TestRandom(seed: 19)
    for (set, computes) in EveryCompute.ofAllThreads {
      for count in Self.counts {
        for (decay, decoupled): (Float, Bool) in [(0, false), (0.01, false), (0.01, true)] {
          let step = 3.0
          let rule = AdamUpdate(
            learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: decay, decoupled: decoupled,
            stepSize: Float(0.01 / (1 - Reference.power(0.9, step))),
            secondScale: Float(1 / (1 - Reference.power(0.999, step)).squareRoot()))
          let p = random.array(count)
          let g = random.array(count)
          let m = random.array(count)
          let v = random.array(count, 0...1)
          let results = computes.map { compute in
            let parameter = GuardedBuffer(p)
            let gradient = GuardedBuffer(g)
            let first = GuardedBuffer(m)
            let second = GuardedBuffer(v)
            compute.update(
              parameter.pointer, gradient: gradient.input, first: first.pointer, second: second.pointer, count: count, rule)
            return [parameter.values, first.values, second.values]
          }
          for result in results { #expect(result.map(\.bits) == results[0].map(\.bits), "\(count) on \(set)") }
          var want: [[Double]] = [[], [], []]
          var sizes: [Double] = []
          let (beta1, beta2) = (Double(rule.beta1), Double(rule.beta2))
          for i in 0..<count {
            var parameter = Double(p[i])
            let gradient = Double(g[i]) + (decoupled ? 0 : Double(decay) * parameter)
            if decoupled { parameter *= 1 - Double(rule.learningRate) * Double(decay) }
            let first = beta1 * Double(m[i]) + (1 - beta1) * gradient
            let second = beta2 * Double(v[i]) + (1 - beta2) * gradient * gradient
            let factor = Double(rule.stepSize) / (second.squareRoot() * Double(rule.secondScale) + Double(rule.epsilon))
            want[0].append(parameter - factor * first)
            want[1].append(first)
            want[2].append(second)
            // The step is a quotient of sums whose terms are at most 1.
            sizes.append(abs(Double(p[i])) + factor)
          }
          #expect(isNear(results[0][0], want[0], sizes, 12), "\(count) on \(set)")
          #expect(isNear(results[0][1], want[1], [Double](repeating: 1.1, count: count), 6), "\(count) on \(set)")
          #expect(isNear(results[0][2], want[2], [Double](repeating: 1.1, count: count), 6), "\(count) on \(set)")
        }
      }
    }
  }
}
