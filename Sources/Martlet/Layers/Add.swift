// Where branches of a network meet: their sum.
import MartletRuntime

/// The sum of two or more inputs, element by element, in the order given.
///
/// Shapes: all inputs the same; the result has it too. One node may be given twice.
public struct Add: Layer, BuildableLayer {
  public static let kind = "add"
  public init() {}

  func outputShape(_ inputs: [[Int]]) throws -> [Int] {
    let shapes = try Self.several(inputs)
    for (place, shape) in shapes.enumerated() where shape != shapes[0] {
      throw MartletError.shapeMismatch(
        "add takes inputs of one shape; a row of the first has \(Shape.text(shapes[0])), of input \(place) \(Shape.text(shape))."
      )
    }
    return shapes[0]
  }
  func makeStep(_ site: StepSite) -> PlanStep? { AddStep(site) }
  var configuration: [(key: String, value: JSON)] { [] }
  init(configuration: ConfigurationReader) throws { self.init() }
}

/// With the activation behind it: the sum itself is not kept.
final class AddStep: PlanStep {
  override var keepsOutput: Bool { site.activation != .identity }
  override var gradientHeirs: Range<Int> { site.inputShapes.indices }

  override func forward(_ run: Executor) {
    let count = run.rows * site.outputLength
    let y = run.floats(output)
    run.compute.binary(
      .add, run.floats(inputs[0]), run.floats(inputs[1]), rows: 1, columns: count, broadcast: .none, swapped: false, into: y)
    for input in inputs.dropFirst(2) { run.compute.add(run.floats(input), count: count, to: y) }
    if site.activation != .identity { run.compute.activate(site.activation, y, count: count, into: y) }
  }

  override func backward(_ run: Executor) {
    guard let buffer = gradOutput else { return }
    let count = run.rows * site.outputLength
    let grad = run.floats(buffer)
    if site.activation != .identity {
      // In place: nobody else reads this gradient.
      run.compute.activationGradient(
        site.activation, gradOutput: grad, output: run.floats(output), count: count, into: grad, accumulate: false)
    }
    for case let target? in gradInputs where target.buffer != buffer {
      run.compute.activationGradient(
        .identity, gradOutput: grad, output: grad, count: count, into: run.floats(target.buffer), accumulate: target.accumulates
      )
    }
  }
}
