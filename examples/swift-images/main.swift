// Bars that lie and bars that stand, somewhere in a small picture of bytes: trained on random crops and flips of 60.
import Martlet

let (side, length) = (12, 5)
let (trainingCount, newCount) = (60, 500)

struct Chance {
  private var state: UInt64 = 1
  mutating func number(below count: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int(state >> 33) % count
  }
}

var chance = Chance()

var pixels: [UInt8] = []
var kinds: [Int32] = []
for _ in 0..<trainingCount + newCount {
  var picture = (0..<side * side).map { _ in UInt8(chance.number(below: 100)) }
  let (across, along) = (chance.number(below: side), chance.number(below: side - length + 1))
  kinds.append(Int32(chance.number(below: 2)))
  for k in along..<along + length { picture[kinds.last == 0 ? across * side + k : k * side + across] = 255 }
  pixels += picture
}

let net = try Model.sequential(
  [Flatten(), Dense(64), BatchNorm(), ReLU(), Dense(2)], inputShape: [side, side, 1], seed: 7)
let trainer = try Trainer(net, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.05, momentum: 0.9))
// Of pixels in 0...1, about what these pictures have.
let normalization = ImageNormalization(mean: [0.22], standardDeviation: [0.18])

// The pictures stay bytes, where they are: views of the arrays' memory.
try pixels.withUnsafeMutableBytes { pixels in
  try kinds.withUnsafeMutableBytes { kinds in
    func pictures(_ first: Int, _ count: Int) throws -> (x: [ArrayView], y: [ArrayView]) {
      (
        [try ArrayView(pixels.baseAddress! + first * side * side, .uint8, shape: [count, side, side, 1])],
        [try ArrayView(kinds.baseAddress! + first * 4, .int32, shape: [count])]
      )
    }
    let (training, new) = (try pictures(0, trainingCount), try pictures(trainingCount, newCount))
    try trainer.fit(
      training.x, training.y,
      FitOptions(
        epochs: 300, batchSize: 20, augmentation: Augmentation(cropPadding: 4, flips: true), normalization: normalization))
    let result = try trainer.evaluate(new.x, new.y, normalization: normalization)
    print("\(result.correct ?? 0) of \(result.rows) new pictures told apart")
    precondition(result.accuracy > 0.8)
  }
}
