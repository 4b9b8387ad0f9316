import MartletTestSupport
import ReferenceKernels
import Testing

@testable import Martlet

/// The checker must be able to fail: wrong gradients of batch norm, each with a mistake people make.
@Suite struct GradientCheckTests {
  private let rows = 6
  private let channels = 3
  private let epsilon = 1e-5
  private let x: [Double]
  private let scale: [Double] = [0.8, 1.3, -0.6]
  private let shift: [Double] = [0.2, -0.4, 0.1]
  private let r: [Double]

  init() {
    var random = TestRandom(seed: 2015)
    x = random.array(rows * channels).map(Double.init)
    r = random.array(rows * channels).map(Double.init)
  }

  private func output(_ x: [Double]) -> [Double] {
    let (mean, variance) = Reference.channelMoments(x, channels: channels)
    return Reference.normalise(x, mean: mean, variance: variance, epsilon: epsilon, scale: scale, shift: shift)
  }

  private func gradient(
    sign: Double = 1, meanTerm: Double = 1, slopeTerm: Double = 1, divisor: Double? = nil, varianceFactor: Double = 1
  ) -> [Double] {
    let n = Double(rows)
    let (mean, variance) = Reference.channelMoments(x, channels: channels)
    return x.indices.map { i in
      let c = i % channels
      let inverse = 1 / (variance[c] * varianceFactor + epsilon).squareRoot()
      var (sum, projection) = (0.0, 0.0)
      for j in stride(from: c, to: x.count, by: channels) {
        sum += r[j]
        projection += r[j] * (x[j] - mean[c]) * inverse
      }
      let d = divisor ?? n
      return sign * scale[c] * inverse * (r[i] - meanTerm * sum / d - slopeTerm * (x[i] - mean[c]) * inverse * projection / d)
    }
  }

  private func mismatch(_ gradient: [Double], loss: (([Double]) -> Double)? = nil) -> String? {
    let differences = GradientCheck.differences(at: x, loss ?? { Reference.dot(output($0), r) })
    return GradientCheck.mismatch(
      gradient, differences, tolerance: Tolerance.network(depth: 2, terms: rows, magnitude: largest(differences)))
  }

  @Test func acceptsTheRightGradient() {
    #expect(mismatch(gradient()) == nil)
    #expect(mismatch(gradient().map { Double(Float($0)) }) == nil)
  }

  @Test func rejectsWrongGradients() {
    let n = Double(rows)
    #expect(mismatch(gradient(sign: -1)) != nil, "wrong sign")
    #expect(mismatch(gradient(meanTerm: 0)) != nil, "missing mean term")
    #expect(mismatch(gradient(slopeTerm: 0)) != nil, "missing variance term")
    #expect(mismatch(gradient(divisor: n - 1)) != nil, "n − 1 in place of n")
    #expect(mismatch(gradient(varianceFactor: n / (n - 1))) != nil, "the unbiased variance")
    #expect(mismatch(gradient().map { $0 * 1.0001 }) != nil, "one part in ten thousand")
    #expect(mismatch(Array(gradient().dropLast())) != nil, "an element too few")
    #expect(mismatch(gradient().map { _ in .nan }) != nil, "NaN")
  }

  /// Why the loss is Σ r⊙y: with Σ y, a gradient of nothing but zeros passes.
  @Test func theSumOfTheOutputProvesNothing() {
    #expect(mismatch(x.map { _ in 0 }) { output($0).reduce(0, +) } == nil)
    #expect(mismatch(x.map { _ in 0 }) != nil)
  }

  @Test func differencesOfKnownFunctions() {
    let at = [0.5, -1.25, 2]
    let square = GradientCheck.differences(at: at) { Reference.dot($0, $0) }
    #expect(GradientCheck.mismatch(at.map { 2 * $0 }, square, tolerance: 0) == nil)
    let cube = GradientCheck.differences(at: at) { $0.reduce(0) { $0 + $1 * $1 * $1 } }
    #expect(GradientCheck.mismatch(at.map { 3 * $0 * $0 }, cube, tolerance: 0) == nil)
  }
}
