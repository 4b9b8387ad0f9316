// Optimizer updates: one pass over each parameter.
import MartletKernels

/// One step of stochastic gradient descent: g += weightDecay·p;  v = momentum·v + g;  p −= learningRate·(nesterov ? g + momentum·v : v).
public struct SGDUpdate: Sendable {
  public var learningRate: Float
  public var momentum: Float
  public var nesterov: Bool
  public var weightDecay: Float
  public init(learningRate: Float, momentum: Float, nesterov: Bool, weightDecay: Float) {
    self.learningRate = learningRate
    self.momentum = momentum
    self.nesterov = nesterov
    self.weightDecay = weightDecay
  }
}

/// One step of Adam: m = β₁m + (1−β₁)g;  v = β₂v + (1−β₂)g²;  p −= stepSize·m/(√v·secondScale + epsilon),
/// stepSize = learningRate/(1−β₁ᵗ), secondScale = 1/√(1−β₂ᵗ). Decay: coupled adds weightDecay·p to g first; decoupled (AdamW)
/// multiplies p by (1 − learningRate·weightDecay) first.
public struct AdamUpdate: Sendable {
  public var learningRate: Float
  /// In Float64, for 1 − β is wanted to Float32's precision: of 0.999 rounded to Float32 it would be off by 1.3e-5 of itself.
  public var beta1: Double
  public var beta2: Double
  public var epsilon: Float
  public var weightDecay: Float
  public var decoupled: Bool
  public var stepSize: Float
  public var secondScale: Float
  public init(
    learningRate: Float, beta1: Double, beta2: Double, epsilon: Float, weightDecay: Float, decoupled: Bool, stepSize: Float,
    secondScale: Float
  ) {
    self.learningRate = learningRate
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.weightDecay = weightDecay
    self.decoupled = decoupled
    self.stepSize = stepSize
    self.secondScale = secondScale
  }
}

extension Compute {
  /// `velocity` nil when momentum is 0.
  public func update(
    _ parameter: UnsafeMutablePointer<Float>, gradient: UnsafePointer<Float>, velocity: UnsafeMutablePointer<Float>?,
    count: Int, _ rule: SGDUpdate
  ) {
    let step = SGDStep(
      learningRate: rule.learningRate, momentum: rule.momentum, nesterov: rule.nesterov, weightDecay: rule.weightDecay)
    let cut = PieceCut.elements(count)
    let work = SGDWork(
      kernels: kernels.update, parameter: parameter, gradient: gradient, velocity: velocity, step: step, cut: cut)
    run(work, pieces: cut.pieces)
  }

  /// `first` and `second` are the moments m and v.
  public func update(
    _ parameter: UnsafeMutablePointer<Float>, gradient: UnsafePointer<Float>, first: UnsafeMutablePointer<Float>,
    second: UnsafeMutablePointer<Float>, count: Int, _ rule: AdamUpdate
  ) {
    let shrink = Float(1 - Double(rule.learningRate) * Double(rule.weightDecay))
    let step = AdamStep(
      beta1: Float(rule.beta1), beta2: Float(rule.beta2), rest1: Float(1 - rule.beta1), rest2: Float(1 - rule.beta2),
      epsilon: rule.epsilon, coupledDecay: rule.decoupled ? 0 : rule.weightDecay,
      shrink: rule.decoupled ? shrink : 1, stepSize: rule.stepSize, secondScale: rule.secondScale)
    let cut = PieceCut.elements(count)
    let work = AdamWork(
      kernels: kernels.update, parameter: parameter, gradient: gradient, first: first, second: second, step: step, cut: cut)
    run(work, pieces: cut.pieces)
  }
}

private struct SGDWork: PieceWork {
  let kernels: UpdateKernels
  let parameter: UnsafeMutablePointer<Float>
  let gradient: UnsafePointer<Float>
  let velocity: UnsafeMutablePointer<Float>?
  let step: SGDStep
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    kernels.sgd(parameter + start, gradient + start, velocity.map { $0 + start }, count, step)
  }
}

private struct AdamWork: PieceWork {
  let kernels: UpdateKernels
  let parameter: UnsafeMutablePointer<Float>
  let gradient: UnsafePointer<Float>
  let first: UnsafeMutablePointer<Float>
  let second: UnsafeMutablePointer<Float>
  let step: AdamStep
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    kernels.adam(parameter + start, gradient + start, first + start, second + start, count, step)
  }
}
