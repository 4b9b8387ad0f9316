// From channels first to channels last, and back.
import MartletRuntime

/// `[rows, C, …]` becomes `[rows, …, C]`: for data that comes channels first, once, behind the input.
public struct ChannelsLast: Layer, BuildableLayer {
  public static let kind = "channels_last"
  public init() {}

  func outputShape(_ inputs: [[Int]]) throws -> [Int] {
    _ = try Self.channels(inputs)
    return Array(inputs[0].dropFirst() + inputs[0].prefix(1))
  }
  func makeStep(_ site: StepSite) -> PlanStep? {
    let channels = site.inputShapes[0][0]
    return TransposeStep.make(site, height: channels, width: site.inputLength / max(channels, 1))
  }
  var configuration: [(key: String, value: JSON)] { [] }
  init(configuration: ConfigurationReader) throws { self.init() }
}

/// `[rows, …, C]` becomes `[rows, C, …]`: before a ``Flatten`` whose order must be that of a channels-first model.
public struct ChannelsFirst: Layer, BuildableLayer {
  public static let kind = "channels_first"
  public init() {}

  func outputShape(_ inputs: [[Int]]) throws -> [Int] {
    _ = try Self.channels(inputs)
    return Array(inputs[0].suffix(1) + inputs[0].dropLast())
  }
  func makeStep(_ site: StepSite) -> PlanStep? {
    let channels = site.outputShape[0]
    return TransposeStep.make(site, height: site.inputLength / max(channels, 1), width: channels)
  }
  var configuration: [(key: String, value: JSON)] { [] }
  init(configuration: ConfigurationReader) throws { self.init() }
}

/// Each row seen as a matrix `[height, width]`, transposed.
final class TransposeStep: PlanStep {
  private let height: Int
  private let width: Int

  private init(_ site: StepSite, height: Int, width: Int) {
    self.height = height
    self.width = width
    super.init(site)
  }

  /// Nil where nothing would move.
  static func make(_ site: StepSite, height: Int, width: Int) -> TransposeStep? {
    height > 1 && width > 1 ? TransposeStep(site, height: height, width: width) : nil
  }

  override func forward(_ run: Executor) {
    run.compute.transpose(
      run.floats(inputs[0]), matrices: run.rows, height: height, width: width, into: run.floats(output), accumulate: false)
  }

  override func backward(_ run: Executor) {
    guard let grad = gradOutput.map(run.floats), let target = gradInputs[0] else { return }
    run.compute.transpose(
      grad, matrices: run.rows, height: width, width: height, into: run.floats(target.buffer), accumulate: target.accumulates)
  }
}
