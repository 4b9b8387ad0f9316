// Internal covariate shift, recorded while a network learns.
import Martlet

/// Trains a small network without or with batch norm, and records where the inputs of its last sigmoid lie and how the updates before
/// the output layer turn its gradient, as a table.
func shiftTable(_ x: Tensor, _ labels: [Int32], normalized: Bool, steps: Int) throws -> String {
  let hidden: [any Layer] = (0..<2).flatMap { _ in
    [Dense(32)] + (normalized ? [BatchNorm()] : []) + [Sigmoid()] as [any Layer]
  }
  let net = try Model.sequential(hidden + [Dense(10)], inputShape: [x.shape[1]], seed: 3)
  let trainer = try Trainer(net, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.5))
  let recorder = try ShiftRecorder(net, layers: net.layers.suffix(2).map(\.name))
  for step in 0..<steps { _ = try recorder.step(trainer, step: step, x, labels: labels) }
  return recorder.csv
}
