// Sigmoid, tanh, ReLU: elementwise layers, usually fused into the step before them.
import MartletRuntime

/// A layer that applies one ``Activation`` to every element.
protocol ActivationLayer: BuildableLayer {
  var activation: Activation { get }
  init()
}

extension ActivationLayer {
  func outputShape(_ inputs: [[Int]]) throws -> [Int] { try Self.single(inputs) }
  func makeStep(_ site: StepSite) -> PlanStep? { ActivationStep(site, activation) }
  var configuration: [(key: String, value: JSON)] { [] }
  init(configuration: ConfigurationReader) throws { self.init() }
}

/// 1 / (1 + e⁻ˣ). Shapes: any, the result's is the input's.
public struct Sigmoid: Layer, ActivationLayer {
  public static let kind = "sigmoid"
  public init() {}
  var activation: Activation { .sigmoid }
}

/// tanh x. Shapes: any, the result's is the input's.
public struct Tanh: Layer, ActivationLayer {
  public static let kind = "tanh"
  public init() {}
  var activation: Activation { .tanh }
}

/// max(x, 0); a NaN stays one. Shapes: any, the result's is the input's.
public struct ReLU: Layer, ActivationLayer {
  public static let kind = "relu"
  public init() {}
  var activation: Activation { .relu }
}

final class ActivationStep: PlanStep {
  private let activation: Activation

  init(_ site: StepSite, _ activation: Activation) {
    self.activation = activation
    super.init(site)
  }

  override var keepsOutput: Bool { true }

  override func forward(_ run: Executor) {
    run.compute.activate(
      activation, run.floats(inputs[0]), count: run.rows * site.outputLength, into: run.floats(output))
  }

  override func backward(_ run: Executor) {
    guard let grad = gradOutput.map(run.floats), let target = gradInputs[0] else { return }
    run.compute.activationGradient(
      activation, gradOutput: grad, output: run.floats(output), count: run.rows * site.outputLength,
      into: run.floats(target.buffer), accumulate: target.accumulates)
  }
}
