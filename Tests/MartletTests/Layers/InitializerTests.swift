import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct InitializerTests {
  private let inputs = 200
  private let units = 300

  private func weights(_ initializer: Initializer, seed: UInt64 = 1) throws -> [Double] {
    let model = try Model.sequential([Dense(units, weightInitializer: initializer)], inputShape: [inputs], seed: seed)
    return try model.values("0.weight").map(Double.init)
  }

  private func moments(_ values: [Double]) -> (mean: Double, variance: Double, kurtosis: Double) {
    let n = Double(values.count)
    let mean = values.reduce(0, +) / n
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / n
    let fourth = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) * ($1 - mean) * ($1 - mean) } / n
    return (mean, variance, fourth / (variance * variance))
  }

  /// Five standard errors for 60,000 values: of the mean σ/√n, of the variance σ²·√((κ − 1)/n), of the kurtosis below √(24/n)·2.
  private func expect(
    _ values: [Double], deviation: Double, kurtosis: Double, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let n = Double(values.count).squareRoot()
    let got = moments(values)
    #expect(abs(got.mean) <= 5 * deviation / n, sourceLocation: sourceLocation)
    #expect(
      abs(got.variance / (deviation * deviation) - 1) <= 5 * (kurtosis - 1).squareRoot() / n, sourceLocation: sourceLocation)
    #expect(abs(got.kurtosis - kurtosis) <= 10 * 24.0.squareRoot() / n, sourceLocation: sourceLocation)
  }

  @Test func uniform() throws {
    for (initializer, limit) in [
      (Initializer.glorotUniform, (6.0 / 500).squareRoot()), (.heUniform, (6.0 / 200).squareRoot()),
    ] {
      let values = try weights(initializer)
      expect(values, deviation: limit / 3.0.squareRoot(), kurtosis: 1.8)
      #expect(values.allSatisfy { abs($0) <= limit * (1 + unitRoundoff) })
      // 60,000 values come within a thousandth of both ends but for a chance of e⁻³⁰.
      #expect((values.max() ?? 0) > limit * 0.999 && (values.min() ?? 0) < -limit * 0.999)
    }
  }

  @Test func normal() throws {
    for (initializer, deviation) in [
      (Initializer.glorotNormal, (2.0 / 500).squareRoot()), (.heNormal, (2.0 / 200).squareRoot()),
      (.normal(deviation: 0.25), 0.25),
    ] {
      expect(try weights(initializer), deviation: deviation, kurtosis: 3)
    }
    #expect(try weights(.normal(deviation: 0)).allSatisfy { $0 == 0 })
  }

  @Test func constants() throws {
    #expect(try weights(.zeros).allSatisfy { $0 == 0 })
    #expect(try weights(.constant(-0.5)).allSatisfy { $0 == -0.5 })
    let model = try Model.sequential([Dense(3, biasInitializer: .constant(2))], inputShape: [1])
    #expect(try model.values("0.bias") == [2, 2, 2])
    #expect(try Model.sequential([Dense(3)], inputShape: [1]).values("0.bias") == [0, 0, 0])
  }

  @Test func seeds() throws {
    #expect(try weights(.glorotUniform, seed: 4) == weights(.glorotUniform, seed: 4))
    #expect(try weights(.glorotUniform, seed: 4) != weights(.glorotUniform, seed: 5))
    // Layers of one model draw from streams of their own, seeds that differ in high bits count.
    let model = try Model.sequential([Dense(50), Dense(50)], inputShape: [50], seed: 4)
    #expect(try model.values("0.weight") != model.values("1.weight"))
    #expect(try weights(.heNormal, seed: 1) != weights(.heNormal, seed: 1 + 1 << 40))
  }
}
