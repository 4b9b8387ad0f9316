import MartletTestSupport
import ReferenceKernels
import Testing

@testable import Martlet

@Suite struct DropoutTests {
  @Test func inferenceIsTheIdentity() throws {
    let model = try Model.sequential([Dropout(0.7)], inputShape: [10])
    let x = try randomTensor([3, 10], seed: 1)
    #expect(try model.predict(x) == x)
    #expect(try model.forward(x, training: false) == x)
  }

  /// The documented mask, and the share it keeps within five standard deviations.
  @Test(arguments: [0.1, 0.5, 0.8]) func mask(_ rate: Double) throws {
    let model = try Model.sequential([Dropout(rate)], inputShape: [1000], seed: 3)
    let ones = try Tensor(shape: [20, 1000], filledWith: 1)
    let y = try model.forward(ones, training: true).values
    let key = try #require(model.handExecutor).randomKey ^ StableHash.of("0")
    let kept = Float(1 / (1 - Float(rate)))
    let want = y.indices.map { Reference.isKept($0, rate: Float(rate), key: key) ? kept : 0 }
    expectClose(y, want.map(Double.init), within: Tolerance.steps(2) * Double(kept))
    let share = Double(y.filter { $0 != 0 }.count) / 20_000
    #expect(abs(share - (1 - rate)) <= 5 * (rate * (1 - rate) / 20_000).squareRoot())
  }

  @Test func everyBatchAndLayerHasItsOwnMask() throws {
    let ones = try Tensor(shape: [4, 100], filledWith: 1)
    func masks(seed: UInt64) throws -> [[Float]] {
      let model = try Model.sequential([Dropout(0.5)], inputShape: [100], seed: seed)
      return try (0..<3).map { _ in try model.forward(ones, training: true).values }
    }
    let a = try masks(seed: 1)
    #expect(try masks(seed: 1) == a)
    #expect(try masks(seed: 2) != a)
    #expect(a[0] != a[1] && a[1] != a[2])
    var graph = Graph()
    let x = try graph.input([100])
    let both = [try graph.add(Dropout(0.5), to: x), try graph.add(Dropout(0.5), to: x)]
    let model = try Model(graph, inputs: [x], outputs: both)
    try model.forward([ones.view()], training: true)
    #expect(try model.output(0).copied != model.output(1).copied)
    withExtendedLifetime(ones) {}
  }

  @Test func rateZero() throws {
    let model = try Model.sequential([Dropout(0)], inputShape: [5])
    let x = try randomTensor([3, 5], seed: 1)
    #expect(try model.forward(x, training: true) == x)
    #expect(try model.backward(x) == x)
  }
}
