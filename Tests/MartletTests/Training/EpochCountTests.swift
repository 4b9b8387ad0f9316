import MartletTestSupport
import Testing

@testable import Martlet

/// A trainer counts its epochs over all its fits: order and augmentation go on where the last fit ended.
@Suite struct EpochCountTests {
  private let labels: [Int32] = (0..<22).map { Int32($0 * 5 % 3) }

  private func trainer(seed: UInt64 = 7) throws -> Trainer {
    let model = try Model.sequential([Dense(5), BatchNorm(), Sigmoid(), Dropout(0.3), Dense(3)], inputShape: [4], seed: 2)
    return try Trainer(model, loss: .crossEntropy, optimizer: .adam(learningRate: 0.1), seed: seed)
  }

  @Test(arguments: [[9], [3, 3, 3], [1, 1, 7]]) func severalFitsAreOne(_ epochs: [Int]) throws {
    let (whole, parts) = (try trainer(), try trainer())
    let x = try randomTensor([22, 4], seed: 1)
    let last = try whole.fit(x, labels: labels, FitOptions(epochs: 9, batchSize: 8))
    var result = TrainingResult()
    for count in epochs { result = try parts.fit(x, labels: labels, FitOptions(epochs: count, batchSize: 8)) }
    #expect(result == last)
    #expect(whole.model.allBytes == parts.model.allBytes)
    #expect(whole.epochCount == 9 && parts.epochCount == 9)
  }

  @Test func imagesGoOnToo() throws {
    func fitted(_ epochs: [Int]) throws -> [[UInt8]] {
      let model = try Model.sequential(
        [Conv2D(2, kernelSize: 3), BatchNorm(), GlobalAvgPool2D(), Dense(3)], inputShape: [6, 6, 1])
      let trainer = try Trainer(model, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.1), seed: 3)
      let x = try randomTensor([22, 6, 6, 1], seed: 1)
      let augmentation = Augmentation(cropPadding: 2, flips: true)
      for count in epochs {
        try trainer.fit(x, labels: labels, FitOptions(epochs: count, batchSize: 8, augmentation: augmentation))
      }
      return model.allBytes
    }
    #expect(try fitted([4]) == fitted([1, 1, 2]))
  }

  /// A seed of the fit's own begins that seed's sequence anew; the trainer's count goes on.
  @Test func aSeedStartsItsOwnSequence() throws {
    func losses(_ seed: UInt64?, _ trainer: Trainer) throws -> [Double] {
      var found: [Double] = []
      try trainer.fit(randomTensor([22, 4], seed: 1), labels: labels, FitOptions(epochs: 2, batchSize: 8, seed: seed)) {
        if $0.kind == .epoch {
          #expect($0.epoch == found.count)
          found.append($0.training.loss)
        }
        return true
      }
      return found
    }
    func standing(_ seed: UInt64 = 7) throws -> Trainer {
      let model = try Model.sequential([Dense(5), BatchNorm(), Sigmoid(), Dense(3)], inputShape: [4], seed: 2)
      return try Trainer(model, loss: .crossEntropy, optimizer: .sgd(learningRate: 0), seed: seed)
    }
    let (one, two) = (try standing(), try standing(5))
    let first = try losses(nil, one)
    #expect(try losses(5, one) == losses(5, one))
    #expect(try losses(5, one) == losses(nil, two))
    #expect(one.epochCount == 8)
    #expect(first[0] != first[1])
    #expect(try losses(7, one) == first)
    #expect(try losses(nil, one) != first)
  }

  /// An epoch counts when it begins; a fit that is refused has begun none.
  @Test func epochsCountWhenTheyBegin() throws {
    let trainer = try trainer()
    let x = try randomTensor([22, 4], seed: 1)
    expectError(.cancelled) { try trainer.fit(x, labels: labels, FitOptions(epochs: 5, batchSize: 8)) { $0.step < 4 } }
    #expect(trainer.epochCount == 2)
    expectError(.invalidArgument) { try trainer.fit(x, labels: labels, FitOptions(epochs: 5, batchSize: 0)) }
    #expect(trainer.epochCount == 2)
  }
}
