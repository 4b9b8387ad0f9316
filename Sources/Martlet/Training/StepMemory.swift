// The memory of training steps and evaluations beside the plan's: targets, loss workspace.
import MartletRuntime

/// Targets of one batch and the loss's workspace.
final class LossMemory {
  let targets: [Storage]
  let workspace: Storage

  init(_ targets: [Targets], rows: Int, _ compute: Compute) throws {
    self.targets = try targets.map { try Storage(byteCount: $0.byteCount(rows: rows)) }
    let columns = targets.map(\.columns).max() ?? 1
    workspace = try Storage(byteCount: compute.lossWorkspaceByteCount(rows: rows, columns: columns), isZeroed: false)
  }
}

/// A training executor with room for the targets of its largest batch.
final class StepMemory {
  let executor: Executor
  let targets: [Storage]
  let workspace: Storage
  /// What a forward pass moves, as it stood before the step: a step that is refused puts it back.
  let stateBefore: StateSnapshot
  /// For an output whose gradient buffer an earlier output shares (one value given out twice): its gradient is added.
  private let extra: [Storage?]
  private let lengths: [Int]

  init(_ model: Model, capacity: Int, _ compute: Compute) throws {
    let plan = try Plan(
      model.network, inputs: model.inputNodes, outputs: model.outputNodes, capacity: capacity, training: true,
      wantsInputGradient: false, compute: compute)
    executor = try Executor(plan, compute)
    stateBefore = try StateSnapshot(of: plan.movedVariables)
    let lengths = model.outputShapes.map { $0.reduce(1, *) }
    self.lengths = lengths
    targets = try lengths.map { try Storage(byteCount: capacity * $0 * 4) }
    workspace = try Storage(
      byteCount: compute.lossWorkspaceByteCount(rows: capacity, columns: lengths.max() ?? 1), isZeroed: false)
    extra = try plan.ownsOutputGradient.enumerated().map { place, isOwn in
      guard !isOwn else { return nil }
      return try Storage(byteCount: capacity * lengths[place] * 4)
    }
  }

  /// Where the loss writes the gradient by an output.
  func lossGradient(_ place: Int) -> UnsafeMutablePointer<Float>? {
    extra[place]?.floats ?? executor.outputGradient(place)
  }

  func addLossGradient(_ place: Int, rows: Int) {
    guard let extra = extra[place], let target = executor.outputGradient(place) else { return }
    executor.compute.add(extra.floats, count: rows * lengths[place], to: target)
  }
}
