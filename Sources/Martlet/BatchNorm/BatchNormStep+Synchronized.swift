// Batch norm over all shards of a batch: where the statistics are needed, sums are exchanged.
import MartletRuntime

extension BatchNormStep {
  /// Forward: the values per channel n, Σx and Σx² of each channel, in Float64.
  private var forwardSumCount: Int { 1 + 2 * channels }
  var exchangeByteCount: Int { 8 * forwardSumCount }
  var exchangeOffset: Int { (localWorkspaceByteCount + Storage.alignment - 1) / Storage.alignment * Storage.alignment }

  private func sums(_ workspace: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Double> {
    (workspace + exchangeOffset).assumingMemoryBound(to: Double.self)
  }

  /// This shard's part, then everybody's; an empty shard adds nothing and follows all the same.
  func trainSynchronized(_ run: Executor, _ memory: UnsafeMutableRawPointer) {
    guard let workspace = forwardWorkspace.map(run.pointer) else { return }
    var batch = batch(0, of: run.rows, memory)
    let (x, context, sums) = (run.floats(inputs[0]), batch.context, sums(workspace))
    let hasValues = batch.shape.valuesPerChannel > 0
    let weights = isWeighted && hasValues ? weights(run, batch, inputs[1], workspace) : nil
    let local = weights?.total ?? batch.count
    sums.update(repeating: 0, count: forwardSumCount)
    if local > 0 {
      run.compute.channelMoments(
        x, batch.shape, mean: context.mean, variance: context.variance, exactly: true, weights: weights, workspace: workspace)
      sums[0] = local
      for c in 0..<channels {
        sums[1 + c] = local * context.mean[c]
        sums[1 + channels + c] = local * (context.variance[c] + context.mean[c] * context.mean[c])
      }
    }
    let own = sums[0]
    guard run.sumOverShards(sums, count: forwardSumCount, site) else { return }
    do { try checkCount(sums[0], own: own) } catch { return run.fail(error) }
    batch.count = sums[0]
    batch.weight(at: correctionOffset + correctionByteCount).pointee = batch.count
    if batch.count > 0, batch.count < 2, options.singleValue == .error, !isWeighted {
      return run.fail(
        MartletError.invalidArgument(
          "Layer \"\(site.layer.name)\": BatchNorm needs 2 or more values per channel while training; all shards together have "
            + "\(batch.count), whose variance is undefined. Use a larger batch, or turn training off."))
    }
    if course(of: batch) == .own {
      load(sums, into: context)
      if hasValues { normalize(run, batch) }
      if options.updatesMoving { moving.follow(context, count: batch.count, options) }
      return
    }
    if hasValues { applyMoving(run, batch) }
    guard options.updatesMoving, batch.count > 0 else { return }
    if batch.count < 2 { return moving.skip() }
    load(sums, into: context)
    moving.follow(context, count: batch.count, options)
    // What backward reads of the mean, see followWithoutUsing.
    if hasValues { for c in 0..<channels { context.mean[c] = Double(context.map.center[c]) } }
  }

  /// Refuses what cannot be the sum of the values per channel, or of their weights.
  private func checkCount(_ sum: Double, own: Double) throws {
    do {
      if isWeighted { return try ShardSum.weight(sum, own: own, "weights") }
      _ = try ShardSum.whole(sum, own: Int(own), "values per channel")
    } catch let error as MartletError {
      throw MartletError(error.kind, "Layer \"\(site.layer.name)\": \(error.message)")
    }
  }

  /// Mean and variance of all shards. The variance loses a few times 2⁻⁵³·(1 + mean²/variance): about what the data lost as Float32.
  private func load(_ sums: UnsafePointer<Double>, into context: BatchNormContext) {
    let n = sums[0]
    for c in 0..<channels {
      let mean = sums[1 + c] / n
      let variance = sums[1 + channels + c] / n - mean * mean
      context.mean[c] = mean
      // Not max: a NaN stays one.
      context.variance[c] = variance < 0 ? 0 : variance
    }
  }

  private func normalize(_ run: Executor, _ batch: Batch) {
    let (x, y) = (run.floats(inputs[0]), run.floats(output))
    if let correction = correction(batch) {
      return run.compute.applyRenormalized(
        x, batch.shape, batch.context, epsilon: options.epsilon, affine, correction, residual: residual(run),
        activation: site.activation, into: y)
    }
    batch.context.apply(
      x, batch.shape, epsilon: options.epsilon, affine, residual: residual(run), activation: site.activation, into: y,
      run.compute)
  }

  /// Gradients of scale and shift are this shard's; the input's follows from the sums of all.
  func differentiateSynchronized(
    _ run: Executor, _ batch: Batch, _ operands: BatchNormGradientOperands, activation: Activation,
    _ affine: ScaleShiftGradients, _ workspace: UnsafeMutableRawPointer
  ) {
    let sums = sums(workspace)
    run.compute.batchNormGradientSums(
      operands, batch.shape, batch.context, activation: activation, affine, count: batch.count,
      renormalization: correction(batch), into: sums, workspace: workspace)
    guard run.sumOverShards(sums, count: 2 * channels, site) else { return }
    run.compute.batchNormGradientInput(
      operands, batch.shape, batch.context, activation: activation, sums: sums, count: batch.count,
      weights: isWeighted ? weights(run, batch, backwardInputs[1], workspace) : nil)
  }

  /// An empty shard's part: nothing, said to those that wait for it.
  func differentiateNothing(_ run: Executor, _ memory: UnsafeMutableRawPointer, _ workspace: UnsafeMutableRawPointer) {
    var batch = batch(0, of: 0, memory)
    batch.count = batch.weight(at: correctionOffset + correctionByteCount).pointee
    guard course(of: batch) == .own, gradInputs[0] != nil else { return }
    let sums = sums(workspace)
    sums.update(repeating: 0, count: 2 * channels)
    _ = run.sumOverShards(sums, count: 2 * channels, site)
  }
}
