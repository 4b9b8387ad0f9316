// Dense in a plan: one product forward, two backward.
import MartletRuntime

/// Forward: the product with bias and activation in its tail; at inference a batch norm behind it too, as a multiplier and
/// an offset.
final class DenseStep: PlanStep {
  private let weight: Variable?
  private let bias: Variable?
  private let normOptions: BatchNorm?
  private let moving: MovingStatistics?
  /// What the folded tail is made from.
  private let tailSources: [Variable]
  private let inCount: Int
  private let outCount: Int

  override init(_ site: StepSite) {
    weight = site.layer.variable("weight")
    bias = site.layer.variable("bias")
    normOptions = site.norm?.layer as? BatchNorm
    moving = site.norm.flatMap(MovingStatistics.init)
    inCount = site.inputLength
    outCount = site.outputLength
    tailSources = (bias.map { [$0] } ?? []) + (site.norm?.variables ?? [])
    super.init(site)
  }

  override var keepsInput: Bool { true }
  override var keepsOutput: Bool { site.activation != .identity }

  /// The tail's per-column numbers when a batch norm stands in it: bias less mean, multiplier, shift; before them, in a cache line
  /// of their own, the version of what they were made from, plus one.
  override var keptByteCount: Int { moving == nil ? 0 : Storage.alignment + 3 * outCount * 4 }

  override var forwardWorkspaceByteCount: Int {
    let compute = site.compute
    let unpacked = compute.multiplyWorkspaceByteCount(rows: site.capacity, columns: outCount, depth: inCount)
    return site.isTraining
      ? unpacked
      : max(
        unpacked,
        compute.packedMultiplyWorkspaceByteCount(
          rows: site.capacity, columns: outCount, depth: inCount, areHalves: site.inferenceWeights == .float16),
        compute.packedMultiplyWorkspaceByteCount(rows: site.capacity, columns: outCount, depth: inCount))
  }

  override var backwardWorkspaceByteCount: Int {
    let compute = site.compute
    return max(
      compute.multiplyWorkspaceByteCount(rows: site.capacity, columns: inCount, depth: outCount),
      compute.multiplyWorkspaceByteCount(rows: outCount, columns: inCount, depth: site.capacity),
      compute.reductionWorkspaceByteCount(outer: 1, axis: site.capacity, inner: outCount))
  }

  override func forward(_ run: Executor) {
    guard let weight, let workspace = forwardWorkspace.map(run.pointer) else { return }
    let input = MatrixView(run.floats(inputs[0]), rowStride: inCount, columnStride: 1)
    if !site.isTraining,
      let packed = site.layer.packed(
        weight, as: site.inferenceWeights, outCount: outCount, inCount: inCount, run.compute)
    {
      return run.compute.multiply(
        rows: run.rows, input, packed, into: run.floats(output), rowStride: outCount, tail: tail(run), workspace: workspace)
    }
    run.compute.multiply(
      rows: run.rows, columns: outCount, depth: inCount, input,
      MatrixView(weight.floats, rowStride: 1, columnStride: inCount),
      into: run.floats(output), rowStride: outCount, tail: tail(run), workspace: workspace)
  }

  private func tail(_ run: Executor) -> MatrixTail {
    guard let moving, let normOptions, let norm = site.norm, let memory = kept.map(run.pointer) else {
      return MatrixTail(bias: bias?.floats, activation: site.activation)
    }
    let numbers = (memory + Storage.alignment).assumingMemoryBound(to: Float.self)
    let tail = MatrixTail(
      bias: numbers, multiplier: numbers + outCount, offset: numbers + 2 * outCount, activation: site.activation)
    var (version, isExposed) = (1, false)
    for source in tailSources {
      version &+= source.version
      isExposed = isExposed || source.isExposed
    }
    let made = memory.assumingMemoryBound(to: Int.self)
    if made.pointee != version || isExposed {
      fold(norm, normOptions, moving, into: numbers)
      made.pointee = version
    }
    return tail
  }

  private func fold(
    _ norm: ModelLayer, _ options: BatchNorm, _ moving: MovingStatistics, into numbers: UnsafeMutablePointer<Float>
  ) {
    // (x + bias − mean)·multiplier + shift: subtracting the mean before multiplying keeps precision where the mean is large.
    let (less, multiplier, offset) = (numbers, numbers + outCount, numbers + 2 * outCount)
    let (scale, shift) = (norm.variable("weight")?.floats, norm.variable("bias")?.floats)
    for c in 0..<outCount {
      let deviation = (Double(moving.variance[c]) + options.epsilon).squareRoot()
      less[c] = Float(Double(bias?.floats[c] ?? 0) - Double(moving.mean[c]))
      multiplier[c] = Float(Double(scale?[c] ?? 1) / deviation)
      offset[c] = shift?[c] ?? 0
    }
  }

  override func backward(_ run: Executor) {
    guard let weight, let workspace = backwardWorkspace.map(run.pointer), let grad = gradOutput.map(run.floats) else { return }
    let compute = run.compute
    let rows = run.rows
    let accumulates = run.accumulatesGradients || addsToGradients
    if site.activation != .identity {
      // In place: nobody else reads this gradient.
      compute.activationGradient(
        site.activation, gradOutput: grad, output: run.floats(output), count: rows * outCount, into: grad, accumulate: false)
    }
    let gradMatrix = MatrixView(grad, rowStride: outCount, columnStride: 1)
    if weight.isTrainable, let target = weight.gradient {
      compute.multiply(
        rows: outCount, columns: inCount, depth: rows, MatrixView(grad, rowStride: 1, columnStride: outCount),
        MatrixView(run.floats(inputs[0]), rowStride: inCount, columnStride: 1),
        into: target, rowStride: inCount, accumulate: accumulates, workspace: workspace)
    }
    if let bias, bias.isTrainable, let target = bias.gradient {
      compute.columnSums(
        grad, rows: rows, columns: outCount, into: target, accumulate: accumulates, workspace: workspace)
    }
    if let target = gradInputs[0] {
      compute.multiply(
        rows: rows, columns: inCount, depth: outCount, gradMatrix,
        MatrixView(weight.floats, rowStride: inCount, columnStride: 1),
        into: run.floats(target.buffer), rowStride: inCount, accumulate: target.accumulates, workspace: workspace)
    }
  }
}
