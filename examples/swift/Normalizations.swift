import Martlet

/// Batch norm's relatives in a network that learns from one image at a time, which batch norm cannot: one value a channel has no
/// variance. And as plain functions.
func compareNormalizations(_ x: Tensor, _ labels: [Int32], _ testX: Tensor, _ testLabels: [Int32]) throws {
  let relatives: [(name: String, layer: any Layer)] = [
    ("layer norm", LayerNorm()), ("RMS norm", RMSNorm()), ("group norm", GroupNorm(4)),
    ("filter response norm", FilterResponseNorm(threshold: false, learnsEpsilon: true)),
  ]
  for (name, layer) in relatives {
    let net = try Model.sequential([Dense(64), layer, ReLU(), Dense(10)], inputShape: [784], seed: 1)
    let trainer = try Trainer(net, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.01))
    try trainer.fit(x, labels: labels, FitOptions(epochs: 1, batchSize: 1))
    print("\(name), one image a step: test accuracy \(try trainer.evaluate(testX, labels: testLabels).accuracy)")
  }

  // Two channels of four pixels: each channel of each image by itself.
  let image = try Tensor([1, 5000, 2, 5002, 1, 5002, 2, 5000], shape: [1, 4, 2])
  var normalized = try Tensor(shape: [1, 4, 2])
  try normalized.withMutableFloats { target in
    var source = image.values
    try source.withUnsafeMutableBytes {
      try NormalizationFunction.normalize(
        ArrayView($0.baseAddress, .float32, shape: [1, 4, 2]), with: InstanceNorm(epsilon: 1e-9),
        into: ArrayView(target.baseAddress, .float32, shape: [1, 4, 2]))
    }
  }
  print("instance norm of an image: \(normalized.values)")
}
