// Which rule moves the parameters, and how fast.

/// An update rule with its numbers. Weight decay spares scale, shift and bias unless `decaysScaleShiftBias`.
public struct OptimizerOptions: Equatable, Sendable {
  /// The numbers are the C API's.
  public enum Kind: Int32, Sendable, CaseIterable {
    /// g += decay·p;  v = momentum·v + g;  p −= rate·v (Nesterov: rate·(g + momentum·v))
    case sgd = 0
    /// Kingma & Ba 2015; weight decay is added to the gradient.
    case adam = 1
    /// Loshchilov & Hutter 2019; weight decay shrinks the parameter itself.
    case adamW = 2
  }

  public var kind: Kind
  /// ≥ 0.
  public var learningRate: Double
  /// SGD, in 0..<1.
  public var momentum = 0.0
  /// SGD with momentum > 0.
  public var nesterov = false
  /// Adam, in 0..<1.
  public var beta1 = 0.9
  public var beta2 = 0.999
  /// Adam, > 0.
  public var epsilon = 1e-8
  /// ≥ 0.
  public var weightDecay = 0.0
  public var decaysScaleShiftBias = false

  public init(_ kind: Kind, learningRate: Double) {
    self.kind = kind
    self.learningRate = learningRate
  }

  public static func sgd(
    learningRate: Double = 0.01, momentum: Double = 0, nesterov: Bool = false, weightDecay: Double = 0
  ) -> OptimizerOptions {
    var options = OptimizerOptions(.sgd, learningRate: learningRate)
    options.momentum = momentum
    options.nesterov = nesterov
    options.weightDecay = weightDecay
    return options
  }

  public static func adam(
    learningRate: Double = 0.001, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8, weightDecay: Double = 0
  ) -> OptimizerOptions {
    var options = OptimizerOptions(.adam, learningRate: learningRate)
    options.beta1 = beta1
    options.beta2 = beta2
    options.epsilon = epsilon
    options.weightDecay = weightDecay
    return options
  }

  public static func adamW(
    learningRate: Double = 0.001, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
    weightDecay: Double = 0.01
  ) -> OptimizerOptions {
    var options = adam(learningRate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon, weightDecay: weightDecay)
    options.kind = .adamW
    return options
  }

  func check() throws {
    try OptimizerOptions.check(learningRate: learningRate)
    func require(_ isRight: Bool, _ name: String, _ range: String, _ value: Double) throws {
      if !isRight { throw MartletError.invalidArgument("\(name) must be \(range); \(value) came.") }
    }
    try require(momentum >= 0 && momentum < 1, "momentum", "in 0..<1", momentum)
    try require(beta1 >= 0 && beta1 < 1, "beta1", "in 0..<1", beta1)
    try require(beta2 >= 0 && beta2 < 1, "beta2", "in 0..<1", beta2)
    try require(epsilon > 0 && epsilon.isFinite, "epsilon", "a finite number above 0", epsilon)
    try require(weightDecay >= 0 && weightDecay.isFinite, "weight_decay", "a finite number of 0 or more", weightDecay)
    if nesterov && (kind != .sgd || momentum == 0) {
      throw MartletError.invalidArgument("nesterov needs SGD with a momentum above 0; kind \(kind), momentum \(momentum) came.")
    }
  }

  static func check(learningRate: Double) throws {
    guard learningRate >= 0, learningRate.isFinite else {
      throw MartletError.invalidArgument("learning_rate must be a finite number of 0 or more; \(learningRate) came.")
    }
  }
}
