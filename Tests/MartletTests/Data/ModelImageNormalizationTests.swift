import MartletTestSupport
import Testing

@testable import Martlet

/// A model keeps the normalization of its images, and applies it wherever its input is read.
@Suite struct ModelImageNormalizationTests {
  private let normalization = ImageNormalization(mean: [0.25], standardDeviation: [0.5])

  private func network() throws -> Model {
    try Model.sequential(
      [Conv2D(4, kernelSize: 3), BatchNorm(), ReLU(), GlobalAvgPool2D(), Dense(2)], inputShape: [5, 5, 1], seed: 1)
  }

  private func byHand(_ x: Tensor) throws -> Tensor { try Tensor(x.values.map { ($0 - 0.25) * 2 }, shape: x.shape) }

  @Test func everyCallAppliesIt() throws {
    let (plain, kept) = (try network(), try network())
    try kept.setImageNormalization(normalization)
    #expect(kept.imageNormalization == normalization && plain.imageNormalization == nil)
    let x = try randomTensor([9, 5, 5, 1], seed: 2)
    let normalized = try byHand(x)
    let want = try plain.predict(normalized)
    #expect(try kept.predict(x) == want)
    #expect(try kept.predict(x, batchSize: 4) == want)
    #expect(try kept.predict(x.rows(3..<4)) == want.rows(3..<4))
    #expect(try kept.forward(x, training: false) == want)
    for copy in [try kept.clone(), try kept.submodel(outputs: ["4"])] { #expect(try copy.predict(x) == want) }
    #expect(try kept.folded(checkedOn: x).certificate.isWithinBounds)
    let folded = try kept.folded().model
    #expect(folded.imageNormalization == normalization)
    #expect(try folded.predict(x) == plain.folded().model.predict(normalized))
    let labels: [Int32] = (0..<9).map { Int32($0 % 2) }
    let trainers = try [plain, kept].map { try Trainer($0, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.1)) }
    #expect(try trainers[0].step(normalized, labels: labels) == trainers[1].step(x, labels: labels))
    for size in [nil, 4] {
      for trainer in trainers { try trainer.setMicroBatchSize(size) }
      #expect(
        try trainers[0].fit(normalized, labels: labels, FitOptions(epochs: 2, batchSize: 9))
          == trainers[1].fit(x, labels: labels, FitOptions(epochs: 2, batchSize: 9)))
    }
    #expect(try trainers[0].evaluate(normalized, labels: labels) == trainers[1].evaluate(x, labels: labels))
    #expect(plain.allBytes == kept.allBytes)
  }

  /// The gradient is by the values that were read, not by those that the first layer saw.
  @Test func gradientsByTheInput() throws {
    let (plain, kept) = (try network(), try network())
    try kept.setImageNormalization(normalization)
    let x = try randomTensor([9, 5, 5, 1], seed: 2)
    _ = try plain.forward(byHand(x), training: true)
    _ = try kept.forward(x, training: true)
    let grad = try randomTensor([9, 2], seed: 3)
    #expect(try kept.backward(grad) == Tensor(plain.backward(grad).values.map { $0 * 2 }, shape: x.shape))
  }

  @Test func filesHaveIt() throws {
    let model = try network()
    try model.setImageNormalization(ImageNormalization(mean: [0.1], standardDeviation: [0.3]))
    let text = try model.architectureText
    #expect(text.contains("\"image_normalization\""))
    let description = try ArchitectureDescription(JSON.parse(text, source: "test"))
    #expect(description.imageNormalization == model.imageNormalization)
    try model.setImageNormalization(nil)
    #expect(try !model.architectureText.contains("image_normalization"))
  }

  @Test func refused() throws {
    let model = try network()
    let dense = try Model.sequential([Dense(2)], inputShape: [3])
    expectError(.shapeMismatch, "images") { try dense.setImageNormalization(normalization) }
    expectError(.invalidArgument, "standard_deviation") {
      try model.setImageNormalization(ImageNormalization(mean: [0], standardDeviation: [0]))
    }
    #expect(model.imageNormalization == nil)
    try model.setImageNormalization(normalization)
    let trainer = try Trainer(model, loss: .crossEntropy)
    let x = try randomTensor([9, 5, 5, 1], seed: 2)
    let labels: [Int32] = (0..<9).map { Int32($0 % 2) }
    let other = ImageNormalization(mean: [0.5], standardDeviation: [0.5])
    expectError(.invalidArgument, "the model's own") { _ = try trainer.evaluate(x, labels: labels, normalization: other) }
    expectError(.invalidArgument, "the model's own") {
      try trainer.fit(x, labels: labels, FitOptions(normalization: other))
    }
    #expect(trainer.epochCount == 0)
  }
}
