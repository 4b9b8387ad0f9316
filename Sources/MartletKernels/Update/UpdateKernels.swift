// Optimizer updates: each parameter read and written once.

/// The constants of a step of stochastic gradient descent.
public struct SGDStep: Sendable {
  public var learningRate: Float
  public var momentum: Float
  public var nesterov: Bool
  public var weightDecay: Float
  @inlinable
  public init(learningRate: Float, momentum: Float, nesterov: Bool, weightDecay: Float) {
    self.learningRate = learningRate
    self.momentum = momentum
    self.nesterov = nesterov
    self.weightDecay = weightDecay
  }
}

/// The constants of a step of Adam.
public struct AdamStep: Sendable {
  public var beta1: Float
  public var beta2: Float
  /// 1 − β₁ and 1 − β₂, each rounded once
  public var rest1: Float
  public var rest2: Float
  public var epsilon: Float
  /// what multiplies the parameter before it joins the gradient; 0 where decay is decoupled
  public var coupledDecay: Float
  /// what the parameter is multiplied by first; 1 where decay is coupled
  public var shrink: Float
  public var stepSize: Float
  public var secondScale: Float
  @inlinable
  public init(
    beta1: Float, beta2: Float, rest1: Float, rest2: Float, epsilon: Float, coupledDecay: Float, shrink: Float,
    stepSize: Float, secondScale: Float
  ) {
    self.beta1 = beta1
    self.beta2 = beta2
    self.rest1 = rest1
    self.rest2 = rest2
    self.epsilon = epsilon
    self.coupledDecay = coupledDecay
    self.shrink = shrink
    self.stepSize = stepSize
    self.secondScale = secondScale
  }
}

public struct UpdateKernels: Sendable {
  /// (parameter, gradient, velocity, count, constants)
  public let sgd:
    @Sendable (UnsafeMutablePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>?, Int, SGDStep) -> Void
  /// (parameter, gradient, first moment, second moment, count, constants)
  public let adam:
    @Sendable (
      UnsafeMutablePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>, Int,
      AdamStep
    ) -> Void

  @inlinable
  public init<I: InstructionSet>(_ set: I.Type) {
    sgd = { sgdKernel(I.self, $0, gradient: $1, velocity: $2, count: $3, $4) }
    adam = { adamKernel(I.self, $0, gradient: $1, first: $2, second: $3, count: $4, $5) }
  }
}
