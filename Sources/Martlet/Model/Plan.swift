// How one batch runs: the steps, in order, and every buffer's place in one arena.
import MartletRuntime

/// Made once per (network, outputs, capacity, training or inference). Any batch of at most `capacity` rows runs on it.
final class Plan {
  let network: Network
  let capacity: Int
  let isTraining: Bool
  /// Steps exchange sums with other shards of the batch.
  let exchanges: Bool
  let steps: [PlanStep]
  /// The steps that take part in the backward pass, in its order.
  let backwardSteps: [PlanStep]
  let inputs: [BufferID]
  /// Values of one row of each.
  let inputLengths: [Int]
  /// Of each input the steps that can run on the caller's array.
  let sourceSteps: [[PlanStep]]
  let outputs: [BufferID]
  /// Nil where nothing wants the gradient.
  let outputGradients: [BufferID?]
  let inputGradients: [BufferID?]
  /// Whether an output has a buffer that no input and no earlier output has: another name for one of those has not.
  let ownsOutput: [Bool]
  /// Whether an output's gradient has a buffer that no earlier output's has.
  let ownsOutputGradient: [Bool]
  let layout: BufferPlanner.Layout
  /// What a forward pass changes: the state of its layers, in training.
  let movedVariables: [Variable]
  /// The network's version it was made for.
  let version: Int

  /// - Parameters:
  ///   - measures: see ``StepSite/isMeasuring``; for inference.
  ///   - wantsInputGradient: whether backward reaches the inputs (loops by hand), or only the variables (trainers).
  ///   - leastRecomputedByteCount: see ``Recomputation``.
  init(
    _ network: Network, inputs inputNodes: [Int], outputs outputNodes: [Int], capacity: Int, training: Bool,
    measures: Bool = false, wantsInputGradient: Bool, leastRecomputedByteCount: Int = Recomputation.leastByteCount,
    compute: Compute
  ) throws {
    let reserve = try MemoryReserve(nodes: network.nodes.count)
    defer { reserve.end() }
    var builder = PlanBuilder(
      network, inputs: inputNodes, outputs: outputNodes, capacity: capacity, training: training,
      measures: measures, leastRecomputedByteCount: leastRecomputedByteCount)
    try builder.makeSteps(compute)
    try builder.placeValues()
    if training { try builder.placeGradients(wantsInputGradient: wantsInputGradient) }

    self.network = network
    self.capacity = capacity
    isTraining = training
    version = network.version
    steps = builder.places.map(\.step)
    exchanges = steps.contains(where: \.exchanges)
    movedVariables = training ? steps.flatMap(\.site.layer.variables).filter { $0.kind == .state } : []
    backwardSteps = builder.backwardSteps
    inputs = try inputNodes.map(builder.value)
    inputLengths = inputNodes.map { network.nodes[$0].shape.reduce(1, *) }
    var sourceSteps = [[PlanStep]](repeating: [], count: inputNodes.count)
    for step in steps { if let place = step.inputPlace { sourceSteps[place].append(step) } }
    self.sourceSteps = sourceSteps
    outputs = try outputNodes.map(builder.value)
    outputGradients = outputNodes.map(builder.gradient)
    inputGradients = inputNodes.map(builder.gradient)
    var taken = Set(inputs)
    ownsOutput = outputs.map { taken.insert($0).inserted }
    var gradientsTaken: Set<BufferID> = []
    ownsOutputGradient = outputGradients.map { $0.map { gradientsTaken.insert($0).inserted } ?? true }
    layout = try builder.planner.layout()
  }
}
