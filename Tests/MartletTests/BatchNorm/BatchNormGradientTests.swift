import MartletTestSupport
import Testing

@testable import Martlet

/// Every combination of flags, with and without a fused activation, against central differences of the Float64 reference.
@Suite struct BatchNormGradientTests {
  static let options: [BatchNorm] = [true, false].flatMap { scale in
    [true, false].flatMap { shift in
      BatchNorm.Normalizer.allCases.flatMap { normalizer in
        [true, false].map { BatchNorm(scale: scale, shift: shift, normalizer: normalizer, updatesMoving: $0) }
      }
    }
  }

  @Test(arguments: options.indices) func everyFlag(_ index: Int) throws {
    let norm = Self.options[index]
    for activation in [nil, Sigmoid(), Tanh(), ReLU()] as [(any Layer)?] {
      let model = try Model.sequential([norm] + (activation.map { [$0] } ?? []), inputShape: [3], seed: 1)
      try checkGradients(model, [randomTensor([6, 3], seed: UInt64(40 + index))], terms: 6, seed: UInt64(index))
    }
  }

  @Test func shapes() throws {
    // One channel, more than a vector of them, images, two rows (whose gradient almost vanishes).
    for (shape, rows) in [([1], 5), ([19], 4), ([2, 3, 2], 2), ([3, 1], 1), ([4], 2)] {
      let model = try Model.sequential([BatchNorm()], inputShape: shape, seed: 1)
      try checkGradients(
        model, [randomTensor([rows] + shape, seed: UInt64(rows))], terms: rows * shape.dropLast().reduce(1, *), seed: 3)
    }
  }

  @Test func frozenScaleAndShift() throws {
    let model = try Model.sequential([Dense(3), BatchNorm(trainsScaleShift: false), Dense(2)], inputShape: [4], seed: 1)
    try checkGradients(model, [randomTensor([6, 4], seed: 1)], terms: 6, seed: 5)
    let half = try Model.sequential([BatchNorm(), Dense(2)], inputShape: [4], seed: 1)
    try half.setTrainable("0.weight", false)
    try checkGradients(half, [randomTensor([6, 4], seed: 2)], terms: 6, seed: 6)
  }

  /// The normalised value does not see a shift of its input, nor (but for epsilon) its scale: Σ dx = 0 and Σ dx·x ≈ 0.
  @Test func gradientsAreOrthogonal() throws {
    let model = try Model.sequential([BatchNorm(epsilon: 1e-12)], inputShape: [5], seed: 1)
    randomiseAffine(model, seed: 3)
    let x = try randomTensor([64, 5], seed: 7, -2...2)
    _ = try model.forward(x, training: true)
    let dx = try model.backward(randomTensor([64, 5], seed: 8)).doubles
    let values = x.doubles
    for c in 0..<5 {
      let column = stride(from: c, to: dx.count, by: 5)
      let size = column.reduce(0.0) { $0 + abs(dx[$1]) }
      #expect(abs(column.reduce(0.0) { $0 + dx[$1] }) <= 8 * unitRoundoff * size)
      #expect(abs(column.reduce(0.0) { $0 + dx[$1] * values[$1] }) <= 2 * 8 * unitRoundoff * size)
    }
  }

  /// A large mean must not spoil the gradient: the same data far from 0 gives the same gradient.
  @Test func largeMeans() throws {
    let near = try Tensor((0..<64).map { Float($0 % 7) / 8 - Float($0 % 5) / 16 }, shape: [32, 2])
    let far = try Tensor(near.values.map { $0 + 4096 }, shape: [32, 2])
    let r = try randomTensor([32, 2], seed: 12)
    func gradient(_ x: Tensor) throws -> (Tensor, [Float]) {
      let model = try Model.sequential([BatchNorm()], inputShape: [2], seed: 1)
      _ = try model.forward(x, training: true)
      return (try model.backward(r), try model.variable(named: "0.weight").gradientValues)
    }
    let (a, b) = (try gradient(near), try gradient(far))
    expectClose(b.0.values, a.0.doubles, within: Tolerance.gradientOfNormalised * largest(a.0.values))
    expectClose(b.1, a.1.map(Double.init), within: Tolerance.gradientOfNormalised * Double(32))
  }
}
