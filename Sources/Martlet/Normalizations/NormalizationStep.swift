// Any of batch norm's relatives in a plan.
import MartletRuntime

final class NormalizationStep: PlanStep {
  private let method: NormalizationMethod
  private let scale: Variable?
  private let shift: Variable?
  private let threshold: Variable?
  private let learnedEpsilon: Variable?

  init(_ site: StepSite, _ method: NormalizationMethod) {
    self.method = method
    scale = site.layer.variable("weight")
    shift = site.layer.variable("bias")
    threshold = site.layer.variable("threshold")
    learnedEpsilon = site.layer.variable("learned_epsilon")
    super.init(site)
  }

  override var keepsInput: Bool { true }
  override var readsBackwardInputs: Bool { true }
  override var contextByteCount: Int { method.contextByteCount(samples: site.capacity) }
  override var forwardWorkspaceByteCount: Int {
    method.forwardWorkspaceByteCount(samples: site.capacity, site.compute)
  }
  override var backwardWorkspaceByteCount: Int {
    method.backwardWorkspaceByteCount(samples: site.capacity, site.compute)
  }

  private func call(_ run: Executor, _ input: BufferID, _ context: UnsafeMutableRawPointer) -> NormalizationCall {
    func values(_ variable: Variable?) -> UnsafePointer<Float>? { variable.map(\.floats) }
    return NormalizationCall(
      method: method, samples: run.rows, capacity: site.capacity, input: run.floats(input),
      parameters: FilterResponseParameters(
        scale: values(scale), shift: values(shift), threshold: values(threshold), learnedEpsilon: values(learnedEpsilon)),
      context: context, compute: run.compute)
  }

  override func forward(_ run: Executor) {
    guard let memory = context.map(run.pointer), site.outputLength > 0 else { return }
    // Rows need no workspace: then any place will do.
    call(run, inputs[0], memory).forward(
      into: run.floats(output), workspace: forwardWorkspace.map(run.pointer) ?? memory)
  }

  override func backward(_ run: Executor) {
    guard let memory = context.map(run.pointer), let gradOutput = gradOutput.map(run.floats),
      let workspace = backwardWorkspace.map(run.pointer), site.outputLength > 0
    else {
      if !(run.accumulatesGradients || addsToGradients) { clearGradients() }
      return
    }
    func gradient(_ variable: Variable?) -> UnsafeMutablePointer<Float>? {
      variable.flatMap { $0.isTrainable ? $0.gradient : nil }
    }
    let target = gradInputs[0]
    call(run, backwardInputs[0], memory).backward(
      gradOutput: gradOutput, into: target.map { run.floats($0.buffer) }, accumulate: target?.accumulates ?? false,
      FilterResponseGradients(
        scale: gradient(scale), shift: gradient(shift), threshold: gradient(threshold),
        learnedEpsilon: gradient(learnedEpsilon),
        accumulates: run.accumulatesGradients || addsToGradients),
      workspace: workspace)
  }
}
