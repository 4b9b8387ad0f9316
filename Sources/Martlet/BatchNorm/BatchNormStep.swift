// Batch norm in a plan, with the activation that follows it.
import MartletRuntime

final class BatchNormStep: PlanStep {
  private let options: BatchNorm
  private let channels: Int
  /// Values of one channel in each row.
  private let inner: Int
  private let scale: Variable?
  private let shift: Variable?
  private let moving: MovingStatistics

  init?(_ site: StepSite, _ options: BatchNorm) {
    guard let moving = MovingStatistics(site.layer) else { return nil }
    self.options = options
    self.moving = moving
    channels = site.inputShapes[0].last ?? 1
    inner = site.inputLength / max(channels, 1)
    scale = site.layer.variable("weight")
    shift = site.layer.variable("bias")
    super.init(site)
  }

  private var usesBatch: Bool { site.isTraining && options.normalizer == .batch }

  private func shape(rows: Int) -> ChannelShape { ChannelShape(outer: rows * inner, channels: channels) }
  private var affine: ScaleShift {
    ScaleShift(scale: scale.map { UnsafePointer($0.floats) }, shift: shift.map { UnsafePointer($0.floats) })
  }

  override var keepsInput: Bool { true }
  override var readsBackwardInputs: Bool { true }
  override var recomputesOutput: Bool { !site.hasResidual }
  override func keepsInput(_ index: Int) -> Bool { index == 0 }
  /// The residual's.
  override var gradientHeirs: Range<Int> { site.hasResidual ? 1..<2 : 0..<0 }
  /// The channels of its input whose moments it needs.
  var wantedMomentChannels: Int? { usesBatch ? channels : nil }
  /// ReLU's derivative follows from the input, which is kept anyway, unless there is a residual.
  override var keepsOutput: Bool {
    site.activation != .identity && (site.activation != .relu || site.hasResidual)
  }
  override var contextByteCount: Int { BatchNormContext.byteCount(channels: channels) }
  private var workspaceByteCount: Int { site.compute.channelWorkspaceByteCount(shape(rows: site.capacity)) }
  override var forwardWorkspaceByteCount: Int { site.isTraining ? workspaceByteCount : 0 }
  override var backwardWorkspaceByteCount: Int { workspaceByteCount }

  override func check(rows: Int) throws {
    guard site.isTraining, options.normalizer == .batch || options.updatesMoving else { return }
    try BatchNorm.check(
      valuesPerChannel: rows * inner, shape: [rows] + site.inputShapes[0], what: "Layer \"\(site.layer.name)\": BatchNorm",
      remedy: "Use a larger batch, or training=False.")
  }

  override func forward(_ run: Executor) {
    guard let memory = context.map(run.pointer) else { return }
    let context = BatchNormContext(memory, channels: channels)
    let shape = shape(rows: run.rows)
    // Rows without values are an empty batch.
    guard shape.valuesPerChannel > 0 else { return }
    let (x, y, residual) = (run.floats(inputs[0]), run.floats(output), residual(run))
    guard site.isTraining, let workspace = forwardWorkspace.map(run.pointer) else {
      context.load(mean: moving.mean, variance: moving.variance)
      return context.apply(
        x, shape, epsilon: options.epsilon, affine, residual: residual, activation: site.activation, into: y, run.compute)
    }
    if usesBatch {
      run.compute.normalizeBatch(
        x, shape, context, epsilon: options.epsilon, affine, residual: residual, activation: site.activation,
        moments: inputMoments.map(run.pointer), into: y, workspace: workspace)
      if options.updatesMoving { moving.follow(context, valuesPerChannel: shape.valuesPerChannel, options) }
    } else {
      // Normalise with what stood before this batch; then, if asked, let the statistics follow it.
      context.load(mean: moving.mean, variance: moving.variance)
      context.apply(
        x, shape, epsilon: options.epsilon, affine, residual: residual, activation: site.activation, into: y, run.compute)
      if options.updatesMoving { followWithoutUsing(x, shape, context, workspace, run.compute) }
    }
  }

  /// Moves the statistics by the batch's own, then puts back what backward needs.
  private func followWithoutUsing(
    _ x: UnsafePointer<Float>, _ shape: ChannelShape, _ context: BatchNormContext, _ workspace: UnsafeMutableRawPointer,
    _ compute: Compute
  ) {
    // Backward with constant statistics reads the map and the inverse deviation, and of mean only its distance from the map's
    // centre, which is 0 for a Float32 statistic.
    compute.channelMoments(x, shape, mean: context.mean, variance: context.variance, workspace: workspace)
    moving.follow(context, valuesPerChannel: shape.valuesPerChannel, options)
    for c in 0..<channels { context.mean[c] = Double(context.map.center[c]) }
  }

  override func recompute(_ run: Executor, from inputs: [BufferID], into output: BufferID) {
    guard let memory = context.map(run.pointer) else { return }
    run.compute.applyChannelMap(
      BatchNormContext(memory, channels: channels).map, run.floats(inputs[0]), shape(rows: run.rows),
      activation: site.activation,
      into: run.floats(output))
  }

  override func backward(_ run: Executor) {
    guard let memory = context.map(run.pointer), let gradOutput = gradOutput.map(run.floats),
      let workspace = backwardWorkspace.map(run.pointer)
    else { return }
    let shape = shape(rows: run.rows)
    guard shape.valuesPerChannel > 0 else {
      if !(run.accumulatesGradients || addsToGradients) { clearGradients() }
      return
    }
    if site.hasResidual { differentiateActivation(run, gradOutput) }
    let target = gradInputs[0]
    run.compute.batchNormGradients(
      BatchNormGradientOperands(
        gradOutput: gradOutput, output: keepsOutput && !site.hasResidual ? run.floats(output) : nil,
        input: run.floats(backwardInputs[0]),
        gradInput: target.map { run.floats($0.buffer) }, accumulates: target?.accumulates ?? false),
      shape, BatchNormContext(memory, channels: channels), activation: site.hasResidual ? .identity : site.activation,
      statisticsAreConstant: !usesBatch,
      ScaleShiftGradients(
        scale: scale.flatMap { $0.isTrainable ? $0.gradient : nil },
        shift: shift.flatMap { $0.isTrainable ? $0.gradient : nil },
        accumulates: run.accumulatesGradients || addsToGradients),
      workspace: workspace)
    if site.hasResidual { passResidualGradient(run, gradOutput) }
  }
}

extension BatchNormStep {
  /// In place: nobody else reads this gradient. What results is the gradient of the residual and of the normalised value.
  private func differentiateActivation(_ run: Executor, _ grad: UnsafeMutablePointer<Float>) {
    if site.activation == .identity { return }
    run.compute.activationGradient(
      site.activation, gradOutput: grad, output: run.floats(output), count: run.rows * site.outputLength, into: grad,
      accumulate: false)
  }

  /// After the normalised value's: where both inputs are one, this adds to it.
  private func passResidualGradient(_ run: Executor, _ grad: UnsafeMutablePointer<Float>) {
    guard let target = gradInputs[1], target.buffer != gradOutput else { return }
    run.compute.activationGradient(
      .identity, gradOutput: grad, output: grad, count: run.rows * site.outputLength, into: run.floats(target.buffer),
      accumulate: target.accumulates)
  }
}

extension BatchNorm {
  /// One value has no variance: refused before anything runs.
  static func check(
    valuesPerChannel: Int, shape: @autoclosure () -> [Int], what: @autoclosure () -> String, remedy: String
  ) throws {
    guard valuesPerChannel != 1 else {
      throw MartletError.invalidArgument(
        "\(what()) needs 2 or more values per channel while training; x has shape \(Shape.text(shape())) (1 value per channel), "
          + "whose variance is undefined. \(remedy)")
    }
  }
}
