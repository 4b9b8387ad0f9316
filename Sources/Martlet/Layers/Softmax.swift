// Softmax as a layer.
import MartletRuntime

/// e^(x − max) / Σ e^(x − max) over the last axis.
///
/// As the last layer of a model trained with cross-entropy it is taken together with the loss (see ``Trainer``).
/// Shapes: `[rows, …, classes]`; the result has the same.
public struct Softmax: Layer, BuildableLayer {
  public static let kind = "softmax"
  public init() {}

  func outputShape(_ inputs: [[Int]]) throws -> [Int] {
    _ = try Self.channels(inputs)
    return inputs[0]
  }
  func makeStep(_ site: StepSite) -> PlanStep? { SoftmaxStep(site) }
  var configuration: [(key: String, value: JSON)] { [] }
  init(configuration: ConfigurationReader) throws { self.init() }
}

final class SoftmaxStep: PlanStep {
  private var columns: Int { site.outputShape.last ?? 1 }
  private func rowCount(_ run: Executor) -> Int { run.rows * (site.outputLength / columns) }

  override var keepsOutput: Bool { true }

  override func forward(_ run: Executor) {
    run.compute.softmaxRows(run.floats(inputs[0]), rows: rowCount(run), columns: columns, into: run.floats(output))
  }

  override func backward(_ run: Executor) {
    guard let grad = gradOutput.map(run.floats), let target = gradInputs[0] else { return }
    run.compute.softmaxGradientRows(
      gradOutput: grad, output: run.floats(output), rows: rowCount(run), columns: columns, into: run.floats(target.buffer),
      accumulate: target.accumulates)
  }
}
