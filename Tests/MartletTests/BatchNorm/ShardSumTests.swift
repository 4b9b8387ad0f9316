import MartletTestSupport
import Testing

@testable import Martlet

/// An all-reduce that returns anything but the sums is refused, and nothing has changed.
@Suite struct ShardSumTests {
  @Test(arguments: [Double.nan, .infinity, -.infinity, 0x1p53 + 2, 1e300, -1, 0, 7, 8.5], [0, 1]) func notTheSum(
    _ value: Double, _ firstLie: Int
  ) throws {
    let model = try Model.sequential([Dense(6), BatchNorm(), ReLU(), Dense(3)], inputShape: [4], seed: 2)
    let trainer = try Trainer(model, loss: .crossEntropy)
    let before = model.allBytes
    var calls = 0
    try model.setAllReduce { sums in
      defer { calls += 1 }
      if calls >= firstLie { for i in sums.indices { sums[i] = value } }
    }
    let x = try randomTensor([8, 4], seed: 1)
    expectError(
      .invalidArgument, "all_reduce: expected the sum", firstLie == 0 ? "rows" : "Layer \"1\"", "8 or more", "got \(value)"
    ) {
      try trainer.step(x, labels: (0..<8).map { Int32($0 % 3) })
    }
    #expect(model.allBytes == before)
  }

  /// Loss and hits are right, gradients are not.
  @Test(arguments: [Double.nan, .infinity, 1e39]) func gradients(_ value: Double) throws {
    let model = try Model.sequential([Dense(3)], inputShape: [4], seed: 2)
    let trainer = try Trainer(model, loss: .crossEntropy)
    let before = model.allBytes
    try model.setAllReduce { sums in if sums.count > 2 { sums[sums.count - 1] = value } }
    expectError(.invalidArgument, "all_reduce: expected the sum", "gradients of \"0.bias\"", "got \(value)") {
      try trainer.step(randomTensor([8, 4], seed: 1), labels: (0..<8).map { Int32($0 % 3) })
    }
    #expect(model.allBytes == before)
  }

  /// The sum of weights may be any number, from this shard's on.
  @Test func weights() throws {
    for (value, isRight) in [(6.5, true), (100, true), (1, false), (Double.nan, false), (.infinity, false)] {
      var graph = Graph()
      let (x, w) = (try graph.input([4]), try graph.input([]))
      let last = try graph.add(BatchNorm(), to: [x, w], name: "norm")
      let model = try Model(graph, inputs: [x, w], outputs: [last], seed: 1)
      try model.setAllReduce { $0[0] = value }
      let (rows, weights) = (try randomTensor([5, 4], seed: 1), try Tensor([1, 1, 0.5, 0, 2]))
      func run() throws {
        try withExtendedLifetime((rows, weights)) { try model.forward([rows.view(), weights.view()], training: true) }
      }
      if isRight {
        try run()
      } else {
        expectError(.invalidArgument, "Layer \"norm\"", "all shards' weights", "4.5 or more") { try run() }
      }
    }
  }
}
