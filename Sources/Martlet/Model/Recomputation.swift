// Outputs that are made twice, so that they need not be kept from the forward to the backward pass.
import MartletRuntime

/// A step of the backward pass that makes the output of an earlier step again, right before it is needed.
///
/// Scheme: of Convolution → BatchNorm → ReLU the convolution's output is kept, for batch norm's gradient needs it. What batch norm makes of it
/// is one multiply-add and a maximum a value, with coefficients that are kept anyway: to make it again costs one read and one
/// write, to keep it costs as much memory as the convolution's output. So it is forgotten after its last reader forward, and
/// made again for the gradient of the weights behind it; a Concatenate of such outputs likewise.
final class Recomputation: PlanStep {
  /// Outputs of fewer bytes are kept: they lie in a near cache until they are needed, and a small network is quick to the last microsecond.
  static let leastByteCount = 2 << 20

  private let step: PlanStep

  init(_ step: PlanStep, from inputs: [BufferID], into output: BufferID) {
    self.step = step
    super.init(step.site)
    title = step.title + " again"
    self.inputs = inputs
    self.output = output
  }

  override var hasTrainableVariables: Bool { false }
  override func backward(_ run: Executor) { step.recompute(run, from: inputs, into: output) }
  override func clearGradients() {}
}
