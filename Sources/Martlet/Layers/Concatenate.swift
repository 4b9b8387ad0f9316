// Where branches of a network meet: their channels side by side.
import MartletRuntime

/// The inputs' channels (last axis) side by side, in the order given.
///
/// Shapes: two or more inputs `[rows, …, C₀]`, `[rows, …, C₁]`, …, equal but for the last axis; result `[rows, …, C₀ + C₁ + …]`.
public struct Concatenate: Layer, BuildableLayer {
  public static let kind = "concatenate"
  public init() {}

  func outputShape(_ inputs: [[Int]]) throws -> [Int] {
    let shapes = try Self.several(inputs)
    guard var result = shapes.first, !result.isEmpty else {
      throw MartletError.shapeMismatch(
        "concatenate needs at least one axis beside the rows; each row of its first input is a single number.")
    }
    for (place, shape) in shapes.enumerated().dropFirst() {
      guard shape.count == result.count, shape.dropLast() == result.dropLast() else {
        throw MartletError.shapeMismatch(
          "concatenate takes inputs that differ in the last axis alone; a row of the first has \(Shape.text(shapes[0])), "
            + "of input \(place) \(Shape.text(shape)).")
      }
      let (sum, overflows) = result[result.count - 1].addingReportingOverflow(shape[shape.count - 1])
      guard !overflows else {
        throw MartletError.shapeMismatch("concatenate: the channels of all inputs are too many to count.")
      }
      result[result.count - 1] = sum
    }
    return result
  }
  func makeStep(_ site: StepSite) -> PlanStep? { ConcatenateStep(site) }
  var configuration: [(key: String, value: JSON)] { [] }
  init(configuration: ConfigurationReader) throws { self.init() }
}

final class ConcatenateStep: PlanStep {
  private let channels: Int
  /// Values of one channel in each row.
  private let inner: Int
  /// Of each input, its channels and the place of its first in the output.
  private let parts: [(first: Int, count: Int)]

  override init(_ site: StepSite) {
    channels = site.outputShape.last ?? 0
    inner = site.outputShape.dropLast().reduce(1, *)
    var first = 0
    parts = site.inputShapes.map { shape in
      defer { first += shape.last ?? 0 }
      return (first, shape.last ?? 0)
    }
    super.init(site)
  }

  override var recomputesOutput: Bool { true }

  override func forward(_ run: Executor) { recompute(run, from: inputs, into: output) }

  override func recompute(_ run: Executor, from inputs: [BufferID], into output: BufferID) {
    for (input, part) in zip(inputs, parts) {
      run.compute.copyColumns(
        run.floats(input), rowStride: part.count, rows: run.rows * inner, columns: part.count,
        into: run.floats(output) + part.first, rowStride: channels, accumulate: false)
    }
  }

  override func backward(_ run: Executor) {
    guard let grad = gradOutput.map(run.floats) else { return }
    for (target, part) in zip(gradInputs, parts) {
      guard let target else { continue }
      run.compute.copyColumns(
        grad + part.first, rowStride: channels, rows: run.rows * inner, columns: part.count,
        into: run.floats(target.buffer), rowStride: part.count, accumulate: target.accumulates)
    }
  }
}
