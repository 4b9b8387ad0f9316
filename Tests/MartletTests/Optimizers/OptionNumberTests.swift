import Testing

@testable import Martlet

/// Options are checked as the Float32 that kernels compute with.
@Suite struct OptionNumberTests {
  @Test(arguments: OptimizerOptions.Kind.allCases) func numbersThatFloat32RoundsOutOfTheirRange(_ kind: OptimizerOptions.Kind)
    throws
  {
    func refused(_ name: String, _ change: (inout OptimizerOptions) -> Void) {
      var options = OptimizerOptions(kind, learningRate: 0.1)
      change(&options)
      expectError(.invalidArgument, name) { try options.check() }
    }
    for epsilon in [0, -1, 1e-46, 1e-50, 1e-300, 1e39, .infinity, .nan] { refused("epsilon") { $0.epsilon = epsilon } }
    for rate in [-1, 1e-50, 1e39, .infinity, .nan] { refused("learning_rate") { $0.learningRate = rate } }
    for number in [-0.1, 1, 0.99999999, 1.5, .nan] {
      refused("beta1") { $0.beta1 = number }
      refused("beta2") { $0.beta2 = number }
      refused("momentum") { $0.momentum = number }
    }
    for decay in [-1, 1e-50, 1e39, .infinity, .nan] { refused("weight_decay") { $0.weightDecay = decay } }
    // What each number allows, the two together do not.
    if kind != .sgd { refused("learning_rate") { $0.learningRate = 1e38 } }
    if kind == .adamW { refused("learning_rate") { ($0.learningRate, $0.weightDecay) = (1e30, 1e30) } }
    for rate in [0, 1e-40, 1e30] {
      var options = OptimizerOptions(kind, learningRate: rate)
      (options.epsilon, options.momentum, options.beta2) = (1e-44, 1e-50, 0.9999999)
      try options.check()
    }
  }

  /// A gradient of exactly 0 moves nothing, whatever the epsilon.
  @Test(arguments: [1e-8, 1e-40, 1e-44]) func noGradientNoUpdate(_ epsilon: Double) throws {
    let model = try Model.sequential([Dense(2)], inputShape: [3], seed: 1)
    let trainer = try Trainer(model, loss: .meanSquaredError, optimizer: .adam(epsilon: epsilon))
    let before = model.allBytes
    let x = try Tensor(shape: [4, 3])
    try trainer.step(x, targets: model.predict(x))
    #expect(model.allBytes == before)
  }

  @Test func layers() throws {
    func refused(_ name: String, _ layer: any Layer, sourceLocation: SourceLocation = #_sourceLocation) {
      expectError(.invalidArgument, name, sourceLocation: sourceLocation) { _ = try Model.sequential([layer], inputShape: [4]) }
    }
    for epsilon in [1e-50, 1e39] {
      refused("epsilon", BatchNorm(epsilon: epsilon))
      refused("epsilon", LayerNorm(epsilon: epsilon))
      refused("epsilon", RMSNorm(epsilon: epsilon))
      refused("epsilon", GroupNorm(2, epsilon: epsilon))
      refused("epsilon", InputNormalization(epsilon: epsilon))
    }
    refused("rate", Dropout(0.99999999))
    refused("r_max", BatchNorm(renormalization: BatchRenormalization(maximumRatio: 1e39)))
    refused("weight_initializer", Dense(2, weightInitializer: .normal(deviation: 1e38)))
    refused("bias_initializer", Dense(2, biasInitializer: .constant(1e39)))
    let x = try randomTensor([4, 4], seed: 1)
    for epsilon in [1e-50, 1e39] {
      expectError(.invalidArgument, "epsilon") {
        _ = try BatchNormFunction.normalize(x.view("x"), epsilon: epsilon, into: Tensor(shape: [4, 4]).view("y"))
      }
    }
  }

  @Test func imageNormalizations() throws {
    for (mean, deviation) in [(0.5, 1e-50), (0.5, 1e39), (1e39, 1), (0.5, 1e-39), (1e20, 1e-20), (0, 0), (0, -1), (.nan, 1)] {
      let normalization = ImageNormalization(mean: [mean], standardDeviation: [deviation])
      expectError(.invalidArgument, "normalization") { try normalization.check(channels: 3) }
    }
    try ImageNormalization(mean: [1e-50, 0, 1e20], standardDeviation: [1e-30, 1, 1e20]).check(channels: 3)
  }
}
