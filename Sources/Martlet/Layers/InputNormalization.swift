// Raw features brought to mean 0 and deviation 1.
import MartletRuntime

/// (x − mean) / √(variance + epsilon) for each feature, with statistics fitted once on a data set by
/// ``Model/fitInputNormalization(_:batchSize:)``. Before that the model neither trains nor predicts: both throw
/// ``MartletError/Kind/invalidState``.
///
/// The feature is the last axis. A feature that never varies becomes 0 (its variance is taken as 1 where variance +
/// epsilon is 0).
/// Tensors, all state: `mean`, `variance` (Float64, biased), `count`. Shapes: `[rows, …, C]`; the result has the same.
public struct InputNormalization: Layer, BuildableLayer, Equatable {
  public static let kind = "input_normalization"
  /// Added to the variance; ≥ 0.
  public var epsilon: Double
  public init(epsilon: Double = 0) { self.epsilon = epsilon }

  func outputShape(_ inputs: [[Int]]) throws -> [Int] {
    _ = try Self.channels(inputs)
    try OptionNumber.check(epsilon, "epsilon", .zeroOrMore)
    return inputs[0]
  }

  func variables(_ inputs: [[Int]]) throws -> [VariableSpecification] {
    let channels = try Self.channels(inputs)
    return [
      VariableSpecification(name: "mean", shape: [channels], kind: .state, dataType: .float64, rule: .finite),
      VariableSpecification(
        name: "variance", shape: [channels], kind: .state, dataType: .float64, initializer: .constant(1), rule: .variance),
      VariableSpecification(name: "count", shape: [], kind: .state, dataType: .int64, rule: .counter),
    ]
  }

  func makeStep(_ site: StepSite) -> PlanStep? { InputNormalizationStep(site, epsilon: epsilon) }
  var configuration: [(key: String, value: JSON)] { [("epsilon", .number(epsilon))] }
  init(configuration reader: ConfigurationReader) throws {
    self.init(epsilon: try reader.double("epsilon"))
  }
}

/// Directly behind an input of Float64 or integers it runs as the input is loaded, on the caller's own numbers: those far from zero
/// lose nothing by being rounded to Float32 first.
final class InputNormalizationStep: PlanStep {
  private let epsilon: Double
  private let channels: Int
  private let mean: Variable?
  private let variance: Variable?
  private let fitted: Variable?

  init(_ site: StepSite, epsilon: Double) {
    self.epsilon = epsilon
    channels = site.inputShapes[0].last ?? 1
    mean = site.layer.variable("mean")
    variance = site.layer.variable("variance")
    fitted = site.layer.variable("count")
    super.init(site)
  }

  private func shape(rows: Int) -> ChannelShape {
    ChannelShape(outer: rows * (site.inputLength / channels), channels: channels)
  }

  override var contextByteCount: Int { BatchNormContext.byteCount(channels: channels) }
  override var takesSources: Bool { true }

  override func check(rows: Int) throws {
    guard let fitted, fitted.storage.integers.pointee > 0 else {
      throw MartletError.invalidState(
        "Layer \"\(site.layer.name)\": expected an InputNormalization that was fitted; got one without statistics. Call "
          + "fit_input_normalization with the training data first.")
    }
  }

  /// The context with the fitted statistics and their map.
  private func filledContext(_ run: Executor) -> BatchNormContext? {
    guard let memory = context.map(run.pointer), let mean, let variance else { return nil }
    let context = BatchNormContext(memory, channels: channels)
    for c in 0..<channels {
      let spread = variance.storage.doubles[c] + epsilon
      context.mean[c] = mean.storage.doubles[c]
      context.variance[c] = spread > 0 ? spread : 1
    }
    context.fillMap(epsilon: 0, ScaleShift(), run.compute)
    return context
  }

  override func forward(_ run: Executor) {
    // The backward pass reads the map in any case.
    guard let context = filledContext(run), !run.hasTakenSource(inputPlace) else { return }
    apply(run, context, first: 0, rows: run.rows)
  }

  private func apply(_ run: Executor, _ context: BatchNormContext, first: Int, rows: Int) {
    let offset = first * site.inputLength
    run.compute.applyChannelMap(
      context.map, run.floats(inputs[0]) + offset, shape(rows: rows), activation: .identity, into: run.floats(output) + offset)
  }

  override func takeSource(_ run: Executor, _ source: ArrayView, _ rows: SourceRows, at row: Int) {
    guard let context = filledContext(run), source.count > 0, rows.count > 0 else { return }
    guard source.dataType.exceedsFloat32 else { return apply(run, context, first: row, rows: rows.count) }
    var work = SourceNormalization(
      source: source, rows: rows, runs: ChannelRuns(everyElementOf: channels), center: context.mean,
      multiplier: context.inverseDeviation, target: run.floats(output) + row * site.inputLength)
    work.run()
  }

  override func backward(_ run: Executor) {
    guard let memory = context.map(run.pointer), let grad = gradOutput.map(run.floats), let target = gradInputs[0] else {
      return
    }
    let context = BatchNormContext(memory, channels: channels)
    run.compute.channelGradientInput(
      gradOutput: grad, output: nil, input: grad, shape(rows: run.rows), center: context.map.center,
      multiplier: context.map.multiplier,
      meanTerm: nil, slope: nil, activation: .identity, into: run.floats(target.buffer), accumulate: target.accumulates)
  }
}
