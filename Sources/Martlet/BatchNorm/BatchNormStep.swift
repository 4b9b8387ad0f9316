// Batch norm in a plan, with the activation that follows it.
import MartletRuntime

final class BatchNormStep: PlanStep {
  let options: BatchNorm
  let channels: Int
  /// Values of one channel in each row.
  let inner: Int
  private let scale: Variable?
  private let shift: Variable?
  let moving: MovingStatistics
  private let batches: VirtualBatches
  /// Statistics of the batch itself are looked for: in training, and where they are measured.
  private let takesBatches: Bool
  /// Its statistics are those of all shards of the batch: where sums become sums over all of them.
  let isSynchronized: Bool
  /// The second input says how often each position counts …
  private let hasWeights: Bool
  /// … which is asked where statistics of the batch are.
  let isWeighted: Bool
  let renormalization: BatchRenormalization?

  init?(_ site: StepSite, _ options: BatchNorm) {
    guard let moving = MovingStatistics(site.layer) else { return nil }
    self.options = options
    self.moving = moving
    channels = site.inputShapes[0].last ?? 1
    inner = site.inputLength / max(channels, 1)
    takesBatches = site.isTraining || site.isMeasuring
    let followsBatches = takesBatches && (site.isMeasuring || options.normalizer == .batch || options.updatesMoving)
    batches = VirtualBatches(size: followsBatches ? options.virtualBatchSize : nil, inner: inner)
    hasWeights = site.inputShapes.count - (site.hasResidual ? 1 : 0) == 2
    isWeighted = hasWeights && followsBatches
    isSynchronized = followsBatches && site.isTraining && site.allReduce != nil
    renormalization = takesBatches && options.normalizer == .batch ? options.renormalization : nil
    scale = site.layer.variable("weight")
    shift = site.layer.variable("bias")
    super.init(site)
  }

  private var usesBatch: Bool { site.isTraining && options.normalizer == .batch }

  private func shape(rows: Int) -> ChannelShape { ChannelShape(outer: rows * inner, channels: channels) }
  var affine: ScaleShift {
    ScaleShift(scale: scale.map { UnsafePointer($0.floats) }, shift: shift.map { UnsafePointer($0.floats) })
  }

  override var keepsInput: Bool { true }
  override var readsBackwardInputs: Bool { true }
  override var recomputesOutput: Bool { !site.hasResidual }
  override func keepsInput(_ index: Int) -> Bool { index == 0 || (isWeighted && index == 1) }
  /// The residual's.
  override var gradientHeirs: Range<Int> {
    let last = site.inputShapes.count - 1
    return site.hasResidual ? last..<last + 1 : 0..<0
  }
  /// The channels of its input whose moments it needs. Those of virtual batches, or with weights, nobody gathers.
  var wantedMomentChannels: Int? { usesBatch && batches.size == nil && !isWeighted && !isSynchronized ? channels : nil }
  override var exchanges: Bool { isSynchronized }
  override var notes: [String] {
    (batches.size.map { ["virtual batches of \($0)"] } ?? []) + (isWeighted ? ["weighted"] : [])
      + (isSynchronized ? ["synchronised"] : []) + (renormalization == nil ? [] : ["renormalised"])
  }
  /// The activation's derivative is a pass of its own: before a residual takes its gradient, and where the weights take the output's
  /// place in the gradient's pass.
  private var activationIsApart: Bool { site.hasResidual || isWeighted }
  /// ReLU's derivative follows from the input, which is kept anyway.
  override var keepsOutput: Bool { site.activation != .identity && (site.activation != .relu || activationIsApart) }
  override var contextByteCount: Int {
    let (bytes, overflows) = max(batches.count(rows: site.capacity), 1).multipliedReportingOverflow(by: batchByteCount)
    return overflows ? Int.max : bytes
  }
  /// Values per channel, or the sum of their weights, are known as the batch runs, and kept for the backward pass.
  private var keepsCount: Bool { isWeighted || isSynchronized }
  /// What one virtual batch keeps: its context, its correction, its weight.
  var batchByteCount: Int { correctionOffset + correctionByteCount + (keepsCount ? Storage.alignment : 0) }
  var correctionOffset: Int { BatchNormContext.byteCount(channels: channels) }
  var correctionByteCount: Int {
    renormalization == nil ? 0 : RenormalizationCorrection.byteCount(channels: channels)
  }
  /// Scratch of the sums, then the weights of every value.
  private var workspaceByteCount: Int {
    isSynchronized ? exchangeOffset + exchangeByteCount : localWorkspaceByteCount
  }
  var localWorkspaceByteCount: Int {
    let largest = shape(rows: batches.mostRows(rows: site.capacity))
    return weightsOffset(largest) + (isWeighted ? site.compute.rowWeightsByteCount(largest) : 0)
  }
  func weightsOffset(_ shape: ChannelShape) -> Int {
    let bytes = site.compute.channelWorkspaceByteCount(shape)
    return isWeighted ? (bytes + Storage.alignment - 1) / Storage.alignment * Storage.alignment : bytes
  }
  override var forwardWorkspaceByteCount: Int { takesBatches ? workspaceByteCount : 0 }
  override var backwardWorkspaceByteCount: Int { workspaceByteCount }

  override func check(rows: Int) throws {
    guard site.isTraining, !isSynchronized, options.normalizer == .batch || options.updatesMoving, options.singleValue == .error
    else { return }
    try BatchNorm.check(
      valuesPerChannel: rows * inner, shape: [rows] + site.inputShapes[0], what: "Layer \"\(site.layer.name)\": BatchNorm",
      remedy: "Use a larger batch, or turn training off. With single_value \"moving\" or \"skip\" the layer takes such a batch."
    )
  }

  /// One virtual batch of a run, which mostly is all of it.
  struct Batch {
    /// What normalises it, and what its gradients follow.
    enum Course {
      /// Its own statistics.
      case own
      /// The moving statistics, as constants.
      case moving
      /// The same; scale and shift have no gradient of it.
      case skipped
    }

    let shape: ChannelShape
    let context: BatchNormContext
    /// Rows before its first, and values.
    let rows: Int
    let offset: Int
    let memory: UnsafeMutableRawPointer
    /// Values per channel; with weights their sum.
    var count: Double

    /// Where the sum of the weights is kept for the backward pass.
    func weight(at offset: Int) -> UnsafeMutablePointer<Double> { (memory + offset).assumingMemoryBound(to: Double.self) }
  }

  func batch(_ number: Int, of rows: Int, _ memory: UnsafeMutableRawPointer) -> Batch {
    let range = batches.range(number, rows: rows)
    let start = memory + number * batchByteCount
    let shape = shape(rows: range.count)
    return Batch(
      shape: shape, context: BatchNormContext(start, channels: channels), rows: range.lowerBound,
      offset: range.lowerBound * site.inputLength, memory: start, count: Double(shape.valuesPerChannel))
  }

  func course(of batch: Batch) -> Batch.Course {
    // Nothing counts: an empty batch, which changes nothing.
    if batch.count == 0 { return .skipped }
    if batch.count < 2 { return options.singleValue == .skip ? .skipped : .moving }
    return options.normalizer == .batch ? .own : .moving
  }

  /// The weights of a batch's rows, spread out in the workspace.
  func weights(
    _ run: Executor, _ batch: Batch, _ input: BufferID, _ workspace: UnsafeMutableRawPointer
  ) -> RowWeights {
    let spread = (workspace + weightsOffset(batch.shape)).assumingMemoryBound(to: Float.self)
    return run.compute.spreadRowWeights(run.floats(input) + batch.rows * inner, batch.shape, into: spread)
  }

  func correction(_ batch: Batch) -> RenormalizationCorrection? {
    guard let renormalization else { return nil }
    let limits = renormalization.limits(after: moving.batches.pointee)
    return RenormalizationCorrection(
      batch.memory + correctionOffset, channels: channels, movingMean: moving.mean, movingVariance: moving.variance,
      ratioLimit: limits.ratio, distanceLimit: limits.distance)
  }

  override func forward(_ run: Executor) {
    guard let memory = context.map(run.pointer) else { return }
    if isSynchronized { return trainSynchronized(run, memory) }
    // Rows without values are an empty batch.
    guard run.rows * inner > 0 else { return }
    guard takesBatches, let workspace = forwardWorkspace.map(run.pointer) else {
      return applyMoving(run, batch(0, of: run.rows, memory))
    }
    for number in 0..<batches.count(rows: run.rows) {
      var batch = batch(number, of: run.rows, memory)
      let weights = isWeighted ? weights(run, batch, inputs[1], workspace) : nil
      if let weights {
        batch.count = weights.total
        batch.weight(at: correctionOffset + correctionByteCount).pointee = weights.total
      }
      if site.isMeasuring {
        measure(run, batch, weights, workspace)
      } else {
        train(run, batch, weights, workspace)
      }
    }
  }

  private func train(_ run: Executor, _ batch: Batch, _ weights: RowWeights?, _ workspace: UnsafeMutableRawPointer) {
    if course(of: batch) == .own {
      run.compute.normalizeBatch(
        run.floats(inputs[0]) + batch.offset, batch.shape, batch.context, epsilon: options.epsilon, affine,
        residual: residual(run).map { $0 + batch.offset }, activation: site.activation,
        moments: inputMoments.map(run.pointer), weights: weights, renormalization: correction(batch),
        into: run.floats(output) + batch.offset, workspace: workspace)
      if options.updatesMoving { moving.follow(batch.context, count: batch.count, options) }
      return
    }
    // Normalise with what stood before this batch; then, if asked, let the statistics follow it.
    applyMoving(run, batch)
    guard options.updatesMoving, batch.count > 0 else { return }
    if batch.count < 2 { return moving.skip() }
    followWithoutUsing(run, batch, weights, workspace)
  }

  /// Tells what the batch's statistics are, then normalises as training would. Of the layer nothing changes.
  private func measure(
    _ run: Executor, _ batch: Batch, _ weights: RowWeights?, _ workspace: UnsafeMutableRawPointer
  ) {
    let (x, y, context) = (run.floats(inputs[0]) + batch.offset, run.floats(output) + batch.offset, batch.context)
    run.compute.channelMoments(
      x, batch.shape, mean: context.mean, variance: context.variance, exactly: true, weights: weights, workspace: workspace)
    run.population?.add(
      site.layer, context, weight: batch.count, count: weights?.countedRows ?? batch.shape.valuesPerChannel)
    if options.normalizer == .moving { return applyMoving(run, batch) }
    if batch.count < 2 {
      // No variance of its own: by all that was found up to it.
      guard run.population?.load(site.layer, into: context) == true else { return applyMoving(run, batch) }
    } else if let correction = correction(batch) {
      return run.compute.applyRenormalized(
        x, batch.shape, context, epsilon: options.epsilon, affine, correction,
        residual: residual(run).map { $0 + batch.offset },
        activation: site.activation, into: y)
    }
    context.apply(
      x, batch.shape, epsilon: options.epsilon, affine, residual: residual(run).map { $0 + batch.offset },
      activation: site.activation, into: y, run.compute)
  }

  /// Normalises with the moving statistics as they stand.
  func applyMoving(_ run: Executor, _ batch: Batch) {
    batch.context.load(mean: moving.mean, variance: moving.variance)
    batch.context.apply(
      run.floats(inputs[0]) + batch.offset, batch.shape, epsilon: options.epsilon, affine,
      residual: residual(run).map { $0 + batch.offset }, activation: site.activation, into: run.floats(output) + batch.offset,
      run.compute)
  }

  /// Moves the statistics by the batch's own, then puts back what backward needs.
  private func followWithoutUsing(
    _ run: Executor, _ batch: Batch, _ weights: RowWeights?, _ workspace: UnsafeMutableRawPointer
  ) {
    // Backward with constant statistics reads the map and the inverse deviation, and of mean only its distance from the map's
    // centre, which is 0 for a Float32 statistic.
    let context = batch.context
    run.compute.channelMoments(
      run.floats(inputs[0]) + batch.offset, batch.shape, mean: context.mean, variance: context.variance, weights: weights,
      workspace: workspace)
    moving.follow(context, count: batch.count, options)
    for c in 0..<channels { context.mean[c] = Double(context.map.center[c]) }
  }

  override func recompute(_ run: Executor, from inputs: [BufferID], into output: BufferID) {
    guard let memory = context.map(run.pointer) else { return }
    for number in 0..<batches.count(rows: run.rows) {
      let batch = batch(number, of: run.rows, memory)
      run.compute.applyChannelMap(
        batch.context.map, run.floats(inputs[0]) + batch.offset, batch.shape, activation: site.activation,
        into: run.floats(output) + batch.offset)
    }
  }

  override func backward(_ run: Executor) {
    guard let memory = context.map(run.pointer), let gradOutput = gradOutput.map(run.floats),
      let workspace = backwardWorkspace.map(run.pointer)
    else { return }
    let accumulates = run.accumulatesGradients || addsToGradients
    guard run.rows * inner > 0 else {
      if !accumulates { clearGradients() }
      if isSynchronized { differentiateNothing(run, memory, workspace) }
      return
    }
    if activationIsApart { differentiateActivation(run, gradOutput) }
    // The first batch with a part in the gradients of scale and shift replaces them, those behind it add.
    var adds = accumulates
    for number in 0..<batches.count(rows: run.rows) {
      var batch = batch(number, of: run.rows, memory)
      if keepsCount { batch.count = batch.weight(at: correctionOffset + correctionByteCount).pointee }
      let course = course(of: batch)
      differentiate(run, batch, course, gradOutput, addsToAffine: adds, workspace)
      adds = adds || course != .skipped
    }
    if !adds { clearGradients() }
    if site.hasResidual { passResidualGradient(run, gradOutput) }
    if hasWeights { clearGradientOfWeights(run) }
  }

  private func differentiate(
    _ run: Executor, _ batch: Batch, _ course: Batch.Course, _ gradOutput: UnsafeMutablePointer<Float>, addsToAffine: Bool,
    _ workspace: UnsafeMutableRawPointer
  ) {
    let target = gradInputs[0]
    func gradient(_ variable: Variable?) -> UnsafeMutablePointer<Float>? {
      guard let variable, variable.isTrainable, course != .skipped else { return nil }
      return variable.gradient
    }
    let operands = BatchNormGradientOperands(
      gradOutput: gradOutput + batch.offset,
      output: keepsOutput && !activationIsApart ? run.floats(output) + batch.offset : nil,
      input: run.floats(backwardInputs[0]) + batch.offset,
      gradInput: target.map { run.floats($0.buffer) + batch.offset }, accumulates: target?.accumulates ?? false)
    if isSynchronized, course == .own, target != nil {
      return differentiateSynchronized(
        run, batch, operands, activation: activationIsApart ? .identity : site.activation,
        ScaleShiftGradients(scale: gradient(scale), shift: gradient(shift), accumulates: addsToAffine), workspace)
    }
    run.compute.batchNormGradients(
      operands, batch.shape, batch.context, activation: activationIsApart ? .identity : site.activation,
      statisticsAreConstant: course != .own,
      ScaleShiftGradients(scale: gradient(scale), shift: gradient(shift), accumulates: addsToAffine),
      weights: course == .own && isWeighted ? weights(run, batch, backwardInputs[1], workspace) : nil,
      renormalization: course == .own ? correction(batch) : nil, workspace: workspace)
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
    guard let last = gradInputs.last, let target = last, target.buffer != gradOutput else { return }
    run.compute.activationGradient(
      .identity, gradOutput: grad, output: grad, count: run.rows * site.outputLength, into: run.floats(target.buffer),
      accumulate: target.accumulates)
  }

  /// Weights are constants to the gradient.
  private func clearGradientOfWeights(_ run: Executor) {
    guard let target = gradInputs[1], !target.accumulates else { return }
    run.floats(target.buffer).update(repeating: 0, count: run.rows * inner)
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
