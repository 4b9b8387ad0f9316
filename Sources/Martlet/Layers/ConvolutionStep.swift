// A convolution in a plan.
import MartletRuntime

/// Forward: the convolution with bias and activation in its tail; at inference a batch norm behind it too, and filters that were packed
/// once. While training filters are packed in every step, for they change in every step.
final class ConvolutionStep: PlanStep {
  private let weight: Variable?
  private let bias: Variable?
  private let tail: FoldedTail
  /// Of the largest batch.
  private let shape: ConvolutionShape
  private let algorithm: ConvolutionAlgorithm

  init(_ site: StepSite, _ shape: ConvolutionShape, _ algorithm: ConvolutionAlgorithm) {
    weight = site.layer.variable("weight")
    bias = site.layer.variable("bias")
    tail = FoldedTail(site, channels: shape.outChannels)
    self.shape = shape
    self.algorithm = algorithm
    super.init(site)
  }

  private func shape(_ run: Executor) -> ConvolutionShape {
    var shape = shape
    shape.samples = run.rows
    return shape
  }

  override var valuesPerRow: Int {
    max(
      (shape.padTop + shape.height + shape.padBottom) * (shape.padLeft + shape.width + shape.padRight) * shape.inChannels,
      site.outputLength)
  }
  override var keepsInput: Bool { true }
  override var readsBackwardInputs: Bool { true }
  override var keepsOutput: Bool { site.activation != .identity }
  override var keptByteCount: Int { tail.keptByteCount }

  /// Room for the packed filters, up to a cache line.
  private var packedByteCount: Int {
    (site.compute.convolutionPackedByteCount(shape, algorithm: algorithm) + Storage.alignment - 1) & ~(Storage.alignment - 1)
  }
  override var forwardWorkspaceByteCount: Int {
    packedByteCount + site.compute.convolutionWorkspaceByteCount(shape, algorithm: algorithm)
  }
  override var backwardWorkspaceByteCount: Int {
    let compute = site.compute
    return max(
      compute.convolutionGradInputWorkspaceByteCount(shape, algorithm: algorithm),
      compute.convolutionGradWeightWorkspaceByteCount(shape),
      compute.reductionWorkspaceByteCount(outer: 1, axis: positions(shape), inner: shape.outChannels))
  }

  override var momentChannels: Int? { shape.outChannels }
  override var momentsByteCount: Int { site.compute.convolutionMomentsByteCount(shape, algorithm: algorithm) }

  private func positions(_ shape: ConvolutionShape) -> Int { shape.samples * shape.outHeight * shape.outWidth }

  override func forward(_ run: Executor) {
    guard let weight, let workspace = forwardWorkspace.map(run.pointer) else { return }
    run.compute.convolve(
      run.floats(inputs[0]), packed: packed(weight, workspace, run.compute), shape(run), algorithm: algorithm,
      tail: tail.current(kept.map(run.pointer), residual: residual(run)), into: run.floats(output),
      workspace: workspace + packedByteCount, moments: moments.map(run.pointer))
  }

  /// The copy that all inference shares, or one made here and now.
  private func packed(
    _ weight: Variable, _ workspace: UnsafeMutableRawPointer, _ compute: Compute
  ) -> UnsafeRawPointer {
    func pack(_ target: UnsafeMutableRawPointer) -> Bool {
      compute.packConvolution(weight.floats, shape, algorithm: algorithm, into: target)
      return true
    }
    let byteCount = compute.convolutionPackedByteCount(shape, algorithm: algorithm)
    if !site.isTraining, let copy = site.packed?.floats.current(weight, byteCount: byteCount, pack) { return copy }
    _ = pack(workspace)
    return UnsafeRawPointer(workspace)
  }

  override func backward(_ run: Executor) {
    guard let weight, let workspace = backwardWorkspace.map(run.pointer), let grad = gradOutput.map(run.floats) else { return }
    let (compute, shape) = (run.compute, shape(run))
    let accumulates = run.accumulatesGradients || addsToGradients
    if site.activation != .identity {
      // In place: nobody else reads this gradient.
      compute.activationGradient(
        site.activation, gradOutput: grad, output: run.floats(output), count: run.rows * site.outputLength, into: grad,
        accumulate: false)
    }
    if weight.isTrainable, let target = weight.gradient {
      compute.convolutionGradWeight(
        run.floats(backwardInputs[0]), gradOutput: grad, shape, into: target, accumulate: accumulates, workspace: workspace)
    }
    if let bias, bias.isTrainable, let target = bias.gradient {
      compute.columnSums(
        grad, rows: positions(shape), columns: shape.outChannels, into: target, accumulate: accumulates, workspace: workspace)
    }
    if let target = gradInputs[0] {
      compute.convolutionGradInput(
        grad, weights: weight.floats, shape, algorithm: algorithm, into: run.floats(target.buffer),
        accumulate: target.accumulates, workspace: workspace)
    }
  }
}
