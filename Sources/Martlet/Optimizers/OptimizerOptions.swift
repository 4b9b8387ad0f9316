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
    try OptionNumber.check(momentum, "momentum", .belowOne)
    try OptionNumber.check(beta1, "beta1", .belowOne)
    try OptionNumber.check(beta2, "beta2", .belowOne)
    try OptionNumber.check(epsilon, "epsilon", .aboveZero)
    try OptionNumber.check(weightDecay, "weight_decay", .zeroOrMore)
    try check(learningRate: learningRate)
    if nesterov && (kind != .sgd || momentum == 0) {
      throw MartletError.invalidArgument("nesterov needs SGD with a momentum above 0; kind \(kind), momentum \(momentum) came.")
    }
  }

  /// Checks a learning rate together with the other numbers: Adam's first step divides it by 1 − beta1, AdamW multiplies it by the decay.
  func check(learningRate: Double) throws {
    try OptionNumber.check(learningRate, "learning_rate", .zeroOrMore)
    let largestStep = kind == .sgd ? learningRate : learningRate / (1 - beta1)
    let shrink = kind == .adamW ? 1 - learningRate * weightDecay : 1
    guard Float(largestStep).isFinite, Float(shrink).isFinite else {
      throw MartletError.invalidArgument(
        "learning_rate: expected a number whose steps are finite in float32; got \(learningRate) with beta1 \(beta1) and "
          + "weight_decay \(weightDecay). Choose a smaller learning rate.")
    }
  }
}
