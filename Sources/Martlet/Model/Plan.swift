// How one batch runs: the steps, in order, and every buffer's place in one arena.
import MartletRuntime

/// Made once per (network, outputs, capacity, training or inference). Any batch of at most `capacity` rows runs on it.
///
/// Time, for lifetimes: forward step i runs at i, its backward counterpart at 2·steps − 1 − i; inputs come at −1, and
/// output gradients
/// between the passes.
final class Plan {
  let capacity: Int
  let isTraining: Bool
  let steps: [PlanStep]
  /// The steps that take part in the backward pass, in its order.
  let backwardSteps: [PlanStep]
  let inputs: [BufferID]
  let outputs: [BufferID]
  let outputGradients: [BufferID?]
  let inputGradients: [BufferID?]
  let layout: BufferPlanner.Layout
  /// The network's version it was made for.
  let version: Int

  /// - Parameter wantsInputGradient: whether backward reaches the inputs (loops by hand), or only the variables (trainers).
  init(
    _ network: Network, inputs inputNodes: [Int], outputs outputNodes: [Int], capacity: Int, training: Bool,
    wantsInputGradient: Bool, compute: Compute
  ) throws {
    self.capacity = capacity
    isTraining = training
    version = network.version
    let nodes = network.nodesReaching(outputNodes)
    let groups = Fusion.groups(nodes, of: network, visible: Set(outputNodes), training: training)

    // Steps, and the names under which values go: the root of a value is the node whose buffer holds it.
    var root: [Int: Int] = [:]
    for node in nodes + inputNodes where network.nodes[node].layer == nil { root[node] = node }
    var steps: [PlanStep] = []
    var stepNodes: [(inputs: [Int], output: Int)] = []
    for group in groups {
      guard let head = group.nodes.first, let last = group.nodes.last, let layer = network.nodes[head].layer else { continue }
      let sources = network.nodes[head].inputs.map { root[$0] ?? $0 }
      var site = StepSite(
        layer: layer, inputShapes: network.nodes[head].inputs.map { network.nodes[$0].shape },
        outputShape: network.nodes[last].shape, capacity: capacity, isTraining: training, compute: compute)
      site.norm = group.norm.flatMap { network.nodes[$0].layer }
      site.activation = group.activation
      guard let step = layer.layer.makeStep(site) else {
        root[last] = sources[0]
        continue
      }
      step.title = group.nodes.map { "\(network.nodes[$0].name) \(network.nodes[$0].layer?.kind ?? "")" }.joined(
        separator: " + ")
      root[last] = last
      steps.append(step)
      stepNodes.append((sources, last))
    }

    // Forward buffers.
    var planner = BufferPlanner()
    var values: [Int: BufferID] = [:]
    let end = 2 * steps.count
    func floats(_ node: Int) throws -> Int {
      let (count, overflows) = network.nodes[node].shape.reduce(1, *).multipliedReportingOverflow(by: capacity)
      return overflows ? Int.max : count
    }
    for node in inputNodes {
      values[node] = try planner.request(floats: floats(node), from: -1, through: -1)
    }
    func value(_ node: Int) throws -> BufferID {
      guard let buffer = values[node] else {
        throw MartletError.invalidArgument(
          "outputs: \"\(network.nodes[node].name)\" is needed for them and is not among the model's inputs.")
      }
      return buffer
    }
    for (time, (step, (sources, output))) in zip(steps, stepNodes).enumerated() {
      let backwardTime = end - 1 - time
      step.inputs = try sources.map(value)
      for input in step.inputs {
        planner.extend(input, through: training && step.keepsInput ? backwardTime : time)
      }
      step.output = try planner.request(
        floats: floats(output), from: time, through: training && step.keepsOutput ? backwardTime : time)
      values[output] = step.output
      if step.forwardWorkspaceByteCount > 0 {
        step.forwardWorkspace = try planner.request(byteCount: step.forwardWorkspaceByteCount, from: time, through: time)
      }
      if step.contextByteCount > 0 {
        step.context = try planner.request(
          byteCount: step.contextByteCount, from: time, through: training ? backwardTime : time)
      }
    }
    // Outputs stay readable after the whole run.
    let outputRoots = outputNodes.map { root[$0] ?? $0 }
    outputs = try outputRoots.map(value)
    for output in outputs { planner.extend(output, through: end) }
    inputs = try inputNodes.map(value)

    // Backward buffers: which values want a gradient, and who writes it first.
    var wanted: Set<Int> = wantsInputGradient && training ? Set(inputNodes) : []
    if training {
      for (step, (sources, output)) in zip(steps, stepNodes)
      where step.hasTrainableVariables || sources.contains(where: wanted.contains) {
        wanted.insert(output)
      }
    }
    var gradients: [Int: BufferID] = [:]
    for node in outputRoots where wanted.contains(node) && gradients[node] == nil {
      gradients[node] = try planner.request(floats: floats(node), from: steps.count, through: end)
    }
    outputGradients = outputRoots.map { gradients[$0] }
    var backward: [PlanStep] = []
    var seenLayers: Set<ObjectIdentifier> = []
    for time in steps.indices.reversed() {
      let (step, (sources, output)) = (steps[time], stepNodes[time])
      let backwardTime = end - 1 - time
      guard let gradOutput = gradients[output] else { continue }
      planner.extend(gradOutput, through: backwardTime)
      step.gradOutput = gradOutput
      step.gradInputs = try sources.map { source in
        guard wanted.contains(source) else { return nil }
        if let existing = gradients[source] {
          planner.extend(existing, through: backwardTime)
          return GradientTarget(buffer: existing, accumulates: true)
        }
        let isInput = network.nodes[source].layer == nil
        let new = try planner.request(floats: floats(source), from: backwardTime, through: isInput ? end : backwardTime)
        gradients[source] = new
        return GradientTarget(buffer: new, accumulates: false)
      }
      if step.backwardWorkspaceByteCount > 0 {
        step.backwardWorkspace = try planner.request(
          byteCount: step.backwardWorkspaceByteCount, from: backwardTime, through: backwardTime)
      }
      step.addsToGradients = !seenLayers.insert(ObjectIdentifier(step.site.layer)).inserted
      backward.append(step)
    }
    inputGradients = inputNodes.map { gradients[$0] }
    self.steps = steps
    backwardSteps = backward
    layout = try planner.layout()
  }
}
