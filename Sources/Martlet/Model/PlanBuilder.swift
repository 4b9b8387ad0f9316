// From a network to a plan: steps, then the lifetimes of values, then those of gradients.
//
// Time, for lifetimes: forward step i runs at i, its backward counterpart at 2·steps − 1 − i; inputs come at −1, and output
// gradients between the passes.
import MartletRuntime

struct PlanBuilder {
  /// A step with the values it reads and writes, by node.
  struct Place {
    let step: PlanStep
    let sources: [Int]
    let output: Int
  }

  private let network: Network
  private let inputNodes: [Int]
  private let outputNodes: [Int]
  private let capacity: Int
  private let isTraining: Bool
  private let isMeasuring: Bool
  private(set) var places: [Place] = []
  private(set) var backwardSteps: [PlanStep] = []
  private(set) var planner = BufferPlanner()
  /// The node whose buffer holds a node's value: its own, or that of the node it is another name for.
  private var root: [Int: Int] = [:]
  private var values: [Int: BufferID] = [:]
  private var gradients: [Int: BufferID] = [:]
  /// Outputs of at least so many bytes are made again where that can be done.
  private let leastRecomputedByteCount: Int
  /// The places whose output is made again in the backward pass, by node; and where it then lies.
  private var recomputed: [Int: Int] = [:]
  private var remade: [Int: BufferID] = [:]

  init(
    _ network: Network, inputs: [Int], outputs: [Int], capacity: Int, training: Bool, measures: Bool = false,
    leastRecomputedByteCount: Int = Recomputation.leastByteCount
  ) {
    self.leastRecomputedByteCount = leastRecomputedByteCount
    self.network = network
    inputNodes = inputs
    outputNodes = outputs
    self.capacity = capacity
    isTraining = training
    isMeasuring = measures
  }

  /// After the last step of all.
  private var end: Int { 2 * places.count }
  private func backwardTime(_ time: Int) -> Int { end - 1 - time }

  func value(_ node: Int) throws -> BufferID {
    guard let buffer = values[root[node] ?? node] else {
      throw MartletError.invalidArgument(
        "outputs: \(excerpt(network.nodes[node].name)) is needed for them and is not among the model's inputs.")
    }
    return buffer
  }

  func gradient(_ node: Int) -> BufferID? { gradients[root[node] ?? node] }

  /// Values of one node in the largest batch; too large to address where that overflows, which the planner refuses.
  private func floatCount(_ node: Int) -> Int {
    let (count, overflows) = network.nodes[node].shape.reduce(1, *).multipliedReportingOverflow(by: capacity)
    return overflows ? Int.max : count
  }

  /// Values that a step may count with: more than any machine holds, and few enough that their bytes, those of workspaces and sums of some
  /// of them are never too large for an Int.
  private static let mostValues = 1 << 46

  private func checkCapacity(valuesPerRow: Int) throws {
    guard capacity <= Self.mostValues / max(valuesPerRow, 1) else {
      throw MartletError.shapeMismatch("A batch of this size needs more memory than can be addressed. Use a smaller batch.")
    }
  }

  /// One step for each fused group; a layer without a step gives its input another name.
  ///
  /// - Throws: ``MartletError/Kind/shapeMismatch`` for a batch that no memory holds.
  mutating func makeSteps(_ compute: Compute) throws {
    try checkCapacity(valuesPerRow: 1)
    let nodes = network.nodesReaching(outputNodes)
    for group in Fusion.groups(nodes, of: network, visible: Set(outputNodes), training: isTraining || isMeasuring) {
      guard let head = group.nodes.first, let last = group.nodes.last, let layer = network.nodes[head].layer else { continue }
      let inputs = network.nodes[head].inputs + (group.residual.map { [$0] } ?? [])
      let sources = inputs.map { root[$0] ?? $0 }
      var site = StepSite(
        layer: layer, name: network.nodes[head].name, packed: network.packed[head],
        inputShapes: inputs.map { network.nodes[$0].shape },
        outputShape: network.nodes[last].shape, capacity: capacity, isTraining: isTraining, compute: compute)
      site.isMeasuring = isMeasuring
      site.allReduce = isTraining ? network.exchange : nil
      site.inferenceWeights = network.inferenceWeights
      site.norm = group.norm.flatMap { network.nodes[$0].layer }
      site.activation = group.activation
      site.hasResidual = group.residual != nil
      guard let step = layer.layer.makeStep(site) else {
        root[last] = sources[0]
        continue
      }
      try checkCapacity(valuesPerRow: step.valuesPerRow)
      step.title = group.nodes.map { "\(network.nodes[$0].name) \(network.nodes[$0].layer?.kind ?? "")" }
        .joined(separator: " + ")
      places.append(Place(step: step, sources: sources, output: last))
    }
  }

  /// A buffer for each value, from the step that writes it to the last that reads it, forward or backward.
  mutating func placeValues() throws {
    if isTraining { chooseRecomputed() }
    let momentReaders = isTraining ? readersOfMoments() : [:]
    for node in inputNodes { values[node] = try planner.request(floats: floatCount(node), from: -1, through: -1) }
    let inputPlaces = Dictionary(inputNodes.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    for (time, place) in places.enumerated() {
      let step = place.step
      func last(_ isKept: Bool) -> Int { isTraining && isKept ? backwardTime(time) : time }
      step.inputs = try place.sources.map(value)
      step.backwardInputs = step.inputs
      for (index, (input, source)) in zip(step.inputs, place.sources).enumerated() {
        planner.extend(input, through: last(step.keepsInput(index) && recomputed[source] == nil))
      }
      if step.takesSources { step.inputPlace = inputPlaces[place.sources[0]] }
      // Such a step runs as the inputs are loaded.
      let begin = step.inputPlace == nil ? time : -1
      step.output = try planner.request(floats: floatCount(place.output), from: begin, through: last(step.keepsOutput))
      values[place.output] = step.output
      if let readers = momentReaders[time] {
        let moments = try planner.request(byteCount: step.momentsByteCount, from: time, through: readers.last ?? time)
        step.moments = moments
        for reader in readers { places[reader].step.inputMoments = moments }
      }
      if step.forwardWorkspaceByteCount > 0 {
        step.forwardWorkspace = try planner.request(byteCount: step.forwardWorkspaceByteCount, from: time, through: time)
      }
      if step.keptByteCount > 0 {
        step.kept = try planner.request(byteCount: step.keptByteCount, from: -1, through: end)
      }
      if step.contextByteCount > 0 {
        step.context = try planner.request(byteCount: step.contextByteCount, from: begin, through: last(true))
      }
    }
    // Outputs stay readable after the whole run.
    for node in outputNodes { planner.extend(try value(node), through: end) }
  }

  /// Of each place that can gather its output's moments, the batch norms that want them.
  private func readersOfMoments() -> [Int: [Int]] {
    var writers: [Int: Int] = [:]
    var readers: [Int: [Int]] = [:]
    for (number, place) in places.enumerated() {
      if let norm = place.step as? BatchNormStep, let channels = norm.wantedMomentChannels,
        let writer = writers[place.sources[0]], places[writer].step.momentChannels == channels,
        places[writer].step.momentsByteCount > 0
      {
        readers[writer, default: []].append(number)
      }
      writers[place.output] = number
    }
    return readers
  }

  /// Outputs that nobody outside the plan sees, that can be made again, and that no step behind them needs where forward put them.
  private mutating func chooseRecomputed() {
    var readers: [Int: [PlanStep]] = [:]
    for place in places { for source in place.sources { readers[source, default: []].append(place.step) } }
    let visible = Set(outputNodes.map { root[$0] ?? $0 })
    /// How many outputs in a row are made again to make this one.
    var depths: [Int: Int] = [:]
    for (number, place) in places.enumerated() where place.step.recomputesOutput && !place.step.keepsOutput {
      // A size that overflows is refused by the planner.
      guard floatCount(place.output) >= leastRecomputedByteCount / 4, !visible.contains(place.output),
        (readers[place.output] ?? []).allSatisfy({ !$0.keepsInput || $0.readsBackwardInputs })
      else { continue }
      let depth = (place.sources.compactMap { depths[$0] }.max() ?? 0) + 1
      // Making one again recurses as deep; behind so many in a row one is kept.
      guard depth <= Self.deepestRecomputation else { continue }
      depths[place.output] = depth
      recomputed[place.output] = number
    }
  }

  private static let deepestRecomputation = 64

  /// Where the value of a node is found at a time of the backward pass; made again first, if it is one of those.
  private mutating func backwardValue(_ node: Int, _ time: Int) throws -> BufferID {
    guard let number = recomputed[node] else {
      let buffer = try value(node)
      planner.extend(buffer, through: time)
      return buffer
    }
    if let buffer = remade[node] {
      planner.extend(buffer, through: time)
      return buffer
    }
    let place = places[number]
    let sources = try place.sources.map { try backwardValue($0, time) }
    let buffer = try planner.request(floats: floatCount(node), from: time, through: time)
    backwardSteps.append(Recomputation(place.step, from: sources, into: buffer))
    remade[node] = buffer
    return buffer
  }

  /// A buffer for each gradient that is wanted, from the step that first writes it to the one that uses it up.
  mutating func placeGradients(wantsInputGradient: Bool) throws {
    let wanted = nodesWithGradient(wantsInputGradient: wantsInputGradient)
    for node in outputNodes.map({ root[$0] ?? $0 }) where wanted.contains(node) && gradients[node] == nil {
      gradients[node] = try planner.request(floats: floatCount(node), from: places.count, through: end)
    }
    var seenLayers: Set<ObjectIdentifier> = []
    for time in places.indices.reversed() {
      let (step, place, now) = (places[time].step, places[time], backwardTime(time))
      guard let gradOutput = gradients[place.output] else { continue }
      planner.extend(gradOutput, through: now)
      step.gradOutput = gradOutput
      let heir = heir(of: place, wanted)
      step.gradInputs = try place.sources.enumerated().map { index, source in
        guard wanted.contains(source) else { return nil }
        if index == heir {
          if network.nodes[source].layer == nil { planner.extend(gradOutput, through: end) }
          gradients[source] = gradOutput
          return GradientTarget(buffer: gradOutput, accumulates: false)
        }
        if let existing = gradients[source] {
          planner.extend(existing, through: now)
          return GradientTarget(buffer: existing, accumulates: true)
        }
        let isInput = network.nodes[source].layer == nil
        let new = try planner.request(floats: floatCount(source), from: now, through: isInput ? end : now)
        gradients[source] = new
        return GradientTarget(buffer: new, accumulates: false)
      }
      if step.backwardWorkspaceByteCount > 0 {
        step.backwardWorkspace = try planner.request(byteCount: step.backwardWorkspaceByteCount, from: now, through: now)
      }
      if step.keepsInput {
        step.backwardInputs = try place.sources.enumerated().map {
          step.keepsInput($0) ? try backwardValue($1, now) : step.inputs[$0]
        }
      }
      step.addsToGradients = !seenLayers.insert(ObjectIdentifier(step.site.layer)).inserted
      backwardSteps.append(step)
    }
  }

  /// The first input whose gradient has no buffer yet and comes from this place alone as far as it is known: the buffer of the output's
  /// gradient, which nobody reads after this step, becomes that of the input's.
  private func heir(of place: Place, _ wanted: Set<Int>) -> Int? {
    guard !place.step.gradientHeirs.isEmpty else { return nil }
    var counts: [Int: Int] = [:]
    for source in place.sources { counts[source, default: 0] += 1 }
    return place.step.gradientHeirs.first { index in
      let source = place.sources[index]
      return wanted.contains(source) && gradients[source] == nil && counts[source] == 1
    }
  }

  /// Values that trainable variables, or wanted inputs, stand behind.
  private func nodesWithGradient(wantsInputGradient: Bool) -> Set<Int> {
    var wanted: Set<Int> = wantsInputGradient ? Set(inputNodes) : []
    for place in places where place.step.hasTrainableVariables || place.sources.contains(where: wanted.contains) {
      wanted.insert(place.output)
    }
    return wanted
  }
}
