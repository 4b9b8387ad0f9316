// Predictions read and write the caller's memory where it lies.
import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct PredictInPlaceTests {
  /// Chains whose first and last steps are of every kind.
  private func chains() throws -> [(name: String, model: Model)] {
    let list: [(String, [any Layer], [Int])] = [
      ("dense", [Dense(21), BatchNorm(), Tanh(), Dense(5)], [13]),
      ("norm to activation", [BatchNorm(), Dense(6), Sigmoid()], [7]),
      ("elementwise", [ReLU()], [11]),
      ("softmax", [Dense(3), Softmax()], [9]),
      ("convolution", [Conv2D(5, kernelSize: 3, padding: .same)], [6, 5, 3]),
      ("unpadded", [Conv2D(18, kernelSize: 3), BatchNorm(), ReLU()], [6, 5, 2]),
      ("winograd", [Conv2D(32, kernelSize: 3, padding: .same)], [6, 6, 32]),
      ("depthwise", [Conv2D(4, kernelSize: 3, padding: .same, groups: 4)], [5, 5, 4]),
      ("one by one", [Conv2D(7, kernelSize: 1)], [4, 4, 3]),
      ("pooling", [MaxPool2D(2)], [6, 6, 5]), ("upsampling", [Upsample2D(2)], [3, 2, 5]),
      ("padding", [ZeroPad2D(1)], [3, 2, 5]),
      ("average", [GlobalAvgPool2D()], [3, 3, 17]),
      ("nothing", [Flatten()], [2, 3]),
    ]
    return try list.map { name, layers, shape in
      let model = try Model.sequential(layers, inputShape: shape, seed: 3)
      randomiseAffine(model, seed: 8)
      return (name, model)
    }
  }

  /// At every distance from a cache line, and right before and behind memory that must not be touched.
  @Test func anyPlaceGivesTheSameBits() throws {
    for (name, model) in try chains() {
      let x = try randomTensor([5] + model.inputShapes[0], seed: 2)
      let want = try model.forward(x, training: false)
      for place in 0..<32 {
        let (atStart, distance) = (place >= 16, 4 * (place % 16))
        let input = GuardedBuffer(x.values, misalignedBy: distance, atStart: atStart)
        let output = GuardedBuffer(repeating: 77, count: want.count, misalignedBy: distance, atStart: atStart)
        for batchSize in [0, 2] {
          try model.predict(rows: 5, input.input, batchSize: batchSize, into: output.pointer)
          #expect(output.values.bits == want.bits, "\(name), place \(place), batches of \(batchSize)")
          output.pointer.update(repeating: 78, count: want.count)
          let view = try ArrayView(input.pointer, .float32, shape: x.shape)
          try model.predict([view], batchSize: batchSize, into: [ArrayView(output.pointer, .float32, shape: want.shape)])
          #expect(output.values.bits == want.bits, "\(name), place \(place), batches of \(batchSize), described")
        }
        #expect(input.values.bits == x.bits, "\(name): the input has changed")
      }
    }
  }

  /// Outputs that are an input, or each other, under another name; and an output that a later step reads.
  @Test func outputsThatAreOneValue() throws {
    var graph = Graph()
    let x = try graph.input([6])
    let flat = try graph.add(Flatten(), to: x)
    let hidden = try graph.add(Dense(4), to: flat)
    let again = try graph.add(Flatten(), to: hidden)
    let y = try graph.add(Dense(3), to: again)
    let model = try Model(graph, inputs: [x], outputs: [flat, hidden, again, y], seed: 1)
    let values = try randomTensor([7, 6], seed: 4)
    let results = try [6, 4, 4, 3].map { try Tensor(shape: [7, $0], filledWith: 9) }
    for batchSize in [0, 3] {
      try model.predict([values.view()], batchSize: batchSize, into: results.map { try $0.view() })
      #expect(results[0].bits == values.bits)
      #expect(results[1].bits == results[2].bits)
      let (hiddenModel, lastModel) = try (model.submodel(outputs: ["dense_1"]), model.submodel(outputs: ["dense_2"]))
      #expect(try results[1].bits == hiddenModel.predict(values).bits)
      #expect(try results[3].bits == lastModel.predict(values).bits)
    }
    withExtendedLifetime(values) {}
  }

  /// A step reads its batch in place and lets go of it: batches of other memory, strided ones and fits between them change nothing.
  @Test func trainingLetsGoOfTheBatch() throws {
    func trained(_ step: (Trainer, Tensor, ArrayView) throws -> Void) throws -> [[UInt8]] {
      let model = try Model.sequential([Dense(9), BatchNorm(), ReLU(), Dense(3)], inputShape: [5], seed: 2)
      let trainer = try Trainer(model, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.1))
      for round in 0..<4 {
        let x = try randomTensor([8, 5], seed: UInt64(round))
        let y = try randomTensor([8, 3], seed: UInt64(10 + round))
        try step(trainer, x, y.view())
        withExtendedLifetime(y) {}
      }
      return model.allBytes
    }
    let inPlace = try trained { trainer, x, y in try trainer.step([x.view()], [y]) }
    var turn = 0
    let mixed = try trained { trainer, x, y in
      turn += 1
      if turn % 2 == 0 {
        try trainer.step([x.view()], [y])
      } else {
        // Column after column: copied on the way in.
        let transposed = try Tensor((0..<40).map { x.values[$0 % 8 * 5 + $0 / 8] }, shape: [5, 8])
        let view = try ArrayView(transposed.storage.base, .float32, shape: [8, 5], strides: [1, 8])
        try withExtendedLifetime(transposed) { _ = try trainer.step([view], [y]) }
      }
    }
    #expect(inPlace == mixed)
    var options = FitOptions(epochs: 1, batchSize: 8)
    options.shuffles = false
    let fitted = try trained { trainer, x, y in
      _ = try trainer.evaluate([x.view()], [y])
      try trainer.fit([x.view()], [y], options)
    }
    #expect(inPlace == fitted)
  }
}
