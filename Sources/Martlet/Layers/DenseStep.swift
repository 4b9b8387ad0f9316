// Dense in a plan: one product forward, two backward.
import MartletRuntime

/// Forward: the product with bias and activation in its tail; at inference a batch norm behind it too, as a multiplier and
/// an offset.
final class DenseStep: PlanStep {
  private let weight: Variable?
  private let bias: Variable?
  private let tail: FoldedTail
  private let inCount: Int
  private let outCount: Int

  override init(_ site: StepSite) {
    weight = site.layer.variable("weight")
    bias = site.layer.variable("bias")
    inCount = site.inputLength
    outCount = site.outputLength
    tail = FoldedTail(site, channels: outCount)
    super.init(site)
  }

  override var keepsInput: Bool { true }
  override var readsBackwardInputs: Bool { true }
  override var keepsOutput: Bool { site.activation != .identity }

  private var isHalf: Bool { !site.isTraining && site.inferenceWeights == .float16 }
  private var halves: HalfPrecisionWeights { HalfPrecisionWeights(columns: outCount, depth: inCount, site.compute) }

  /// The tail's numbers, and behind them those for weights in half precision.
  override var keptByteCount: Int {
    tail.keptByteCount + (isHalf ? HalfPrecisionWeights.tailByteCount(columns: outCount) : 0)
  }

  /// Where half precision is asked for, what the weights are kept in.
  override var notes: [String] {
    guard isHalf, let weight else { return [] }
    let numbers = try? Storage(byteCount: max(keptByteCount, 1))
    guard let numbers, halfOperands(weight, tail.current(numbers.base, residual: nil), numbers.base) != nil else {
      return ["float32 weights"]
    }
    return ["float16 weights"]
  }

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

  override var momentChannels: Int? { outCount }
  override var momentsByteCount: Int {
    site.compute.multiplyMomentsByteCount(rows: site.capacity, columns: outCount, depth: inCount)
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
    let tail = tail.current(kept.map(run.pointer), residual: residual(run))
    if isHalf, let numbers = kept.map(run.pointer), let (packed, tail) = halfOperands(weight, tail, numbers) {
      return run.compute.multiply(
        rows: run.rows, input, packed, into: run.floats(output), rowStride: outCount, tail: tail, workspace: workspace)
    }
    if !site.isTraining, let packed = packed(weight, run.compute) {
      return run.compute.multiply(
        rows: run.rows, input, packed, into: run.floats(output), rowStride: outCount, tail: tail, workspace: workspace)
    }
    run.compute.multiply(
      rows: run.rows, columns: outCount, depth: inCount, input,
      MatrixView(weight.floats, rowStride: 1, columnStride: inCount),
      into: run.floats(output), rowStride: outCount, tail: tail, workspace: workspace, moments: moments.map(run.pointer))
  }

  /// The weights in half precision and the tail that goes with them; nil where they do not fit the format, or as in ``PackedWeights``.
  private func halfOperands(
    _ weight: Variable, _ tail: MatrixTail, _ kept: UnsafeMutableRawPointer
  ) -> (PackedMatrix, MatrixTail)? {
    let halves = halves
    guard let copy = site.packed?.halves.current(weight, byteCount: halves.byteCount, { halves.pack(weight, into: $0) }),
      let tail = halves.tail(
        tail, copy, kept: kept + self.tail.keptByteCount, version: self.tail.version.map { $0 &+ weight.version })
    else { return nil }
    return (halves.matrix(copy), tail)
  }

  /// The packed copy of the weights `[out, in]` as the matrix `[in, out]`; nil as in ``PackedWeights``.
  private func packed(_ weight: Variable, _ compute: Compute) -> PackedMatrix? {
    let byteCount = compute.packedByteCount(columns: outCount, depth: inCount)
    return site.packed?.floats.current(
      weight, byteCount: byteCount,
      { target in
        compute.pack(
          MatrixView(weight.floats, rowStride: 1, columnStride: inCount), columns: outCount, depth: inCount,
          into: target.assumingMemoryBound(to: Float.self))
        return true
      }
    ).map { PackedMatrix(panels: $0.assumingMemoryBound(to: Float.self), columns: outCount, depth: inCount) }
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
        MatrixView(run.floats(backwardInputs[0]), rowStride: inCount, columnStride: 1),
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
