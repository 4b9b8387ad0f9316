// What one batch runs, as text for people.
import MartletRuntime

extension Model {
  /// The steps of a batch, what was fused, and the bytes it takes.
  ///
  /// - Throws: ``MartletError/Kind/invalidArgument`` unless batchSize ≥ 1.
  public func planDescription(batchSize: Int, training: Bool) throws -> String {
    guard batchSize >= 1 else { throw MartletError.invalidArgument("batch_size must be 1 or more; \(batchSize) came.") }
    let compute = try Compute.shared
    let plan = try Plan(
      network, inputs: inputNodes, outputs: outputNodes, capacity: batchSize, training: training, wantsInputGradient: false,
      compute: compute)
    var lines = [
      "\(training ? "training" : "inference"), \(batchSize) rows, \(compute.kernels.name): \(plan.steps.count) steps"
        + (training ? " forward, \(plan.backwardSteps.count) backward" : "")
    ]
    let width = plan.steps.map(\.title.count).max() ?? 0
    for step in plan.steps {
      let shape = Shape.text([batchSize] + step.site.outputShape)
      lines.append("  " + step.title + String(repeating: " ", count: width - step.title.count + 2) + "-> " + shape)
    }
    lines.append(
      "memory: \(plan.layout.byteCount) bytes in one arena (\(plan.layout.unsharedByteCount) without sharing), "
        + "\(parameterCount) parameters")
    return lines.joined(separator: "\n")
  }
}
