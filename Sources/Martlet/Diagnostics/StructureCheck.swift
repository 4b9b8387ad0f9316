// Findings that need no data: what the layers are, in which order, and what their tensors hold.

/// The part of a network that a model's outputs need, seen by its batch norms.
struct StructureCheck {
  /// A batch norm and where it stands.
  struct Norm {
    let layer: ModelLayer
    let options: BatchNorm
    let places: [Int]
    let moving: MovingStatistics

    /// Nothing ever touched the moving statistics: no batch is counted, and they are what a new layer's are.
    var isUntouched: Bool {
      guard moving.batches.pointee == 0 else { return false }
      let channels = layer.outputShape.last ?? 0
      return (0..<channels).allSatisfy { moving.mean[$0] == 0 && moving.variance[$0] == 1 }
    }
    var parameters: [Variable] { layer.variables.filter { $0.kind == .parameter } }
    /// What it does to a training batch depends on the batch, now or later.
    var followsBatches: Bool { options.normalizer == .batch || options.updatesMoving }
  }

  /// A scale below this makes a channel that says almost nothing beside scales of about 1.
  static let leastScale: Float = 1e-3

  let network: Network
  let norms: [Norm]
  private let order: [Int]
  private let outputs: Set<Int>
  private let readers: [Int: [Int]]
  /// The layers that the outputs need, in the order they run, with their places.
  private let reachedLayers: [(layer: ModelLayer, places: [Int])]
  /// Of each place of a norm, its place in ``norms``.
  private let normAt: [Int: Int]

  init(_ model: Model) {
    network = model.network
    order = network.nodesReaching(model.outputNodes)
    outputs = Set(model.outputNodes)
    var readers: [Int: [Int]] = [:]
    var places: [ObjectIdentifier: [Int]] = [:]
    for node in order {
      for input in network.nodes[node].inputs { readers[input, default: []].append(node) }
      if let layer = network.nodes[node].layer { places[ObjectIdentifier(layer), default: []].append(node) }
    }
    self.readers = readers
    reachedLayers = network.layers.compactMap { layer in places[ObjectIdentifier(layer)].map { (layer, $0) } }
    norms = reachedLayers.compactMap { layer, places in
      guard let options = layer.layer as? BatchNorm, let moving = MovingStatistics(layer) else { return nil }
      return Norm(layer: layer, options: options, places: places, moving: moving)
    }
    normAt = Dictionary(
      norms.enumerated().flatMap { number, norm in norm.places.map { ($0, number) } }, uniquingKeysWith: { first, _ in first })
  }

  func findings(_ options: CheckOptions, rows: Int?) -> [Finding] {
    nonfiniteTensors() + unfittedInputs() + batchesOfOne(options, rows: rows) + dropoutsBeforeNorms() + biasesBeforeNorms()
      + decayOnScale(options)
      + neverUpdated() + movingThoughFrozen() + scalesNearZero()
  }

  /// The layers of one kind that the outputs need, each once with its places.
  func layers<Kind>(_: Kind.Type) -> [(layer: ModelLayer, places: [Int])] {
    reachedLayers.filter { $0.layer.layer is Kind }
  }

  // MARK: - The order of layers

  private func dropoutsBeforeNorms() -> [Finding] {
    let reachedFrom = normsReached()
    return layers(Dropout.self).compactMap { layer, places in
      guard let dropout = layer.layer as? Dropout, dropout.rate > 0 else { return nil }
      let reached = Set(places.flatMap { reachedFrom[$0] ?? [] }).sorted().map { norms[$0] }
      guard let first = reached.first else { return nil }
      let count = reached.count > Self.mostReached ? "\(Self.mostReached) or more" : "\(reached.count - 1) more"
      let others = reached.count > 1 ? " and \(count) behind" : ""
      return Finding(
        .dropoutBeforeBatchNorm, .warning, layer.name,
        "\(excerpt(layer.name)) (dropout, rate \(dropout.rate.short)) comes before \(excerpt(first.layer.name)) "
          + "(batch_norm)\(others): training shows the norm up to \((1 / (1 - dropout.rate)).short) times the variance "
          + "that inference does.",
        advice: "Put the dropout behind the last batch norm, or update the population statistics after training (Li et "
          + "al. 2018).",
        value: dropout.rate)
    }
  }

  /// Norms counted behind a dropout: the first of them is named, and one more than these are "or more".
  private static let mostReached = 16

  /// Of each node, the norms that follow batches and that its value goes into without another norm in between: the first few, as
  /// numbers in ``norms``. One pass from the outputs back.
  private func normsReached() -> [Int: [Int]] {
    var reached: [Int: [Int]] = [:]
    for node in order.reversed() {
      var found: Set<Int> = []
      for reader in readers[node] ?? [] {
        if let norm = normAt[reader] {
          if norms[norm].followsBatches { found.insert(norm) }
        } else if network.nodes[reader].layer?.layer is BatchNorm == false {
          found.formUnion(reached[reader] ?? [])
        }
      }
      if !found.isEmpty { reached[node] = Array(found.sorted().prefix(Self.mostReached + 1)) }
    }
    return reached
  }

  private func biasesBeforeNorms() -> [Finding] {
    layers((any FoldableLayer).self).compactMap { layer, places in
      guard let foldable = layer.layer as? any FoldableLayer, foldable.bias else { return nil }
      let behind = places.compactMap { place -> Norm? in
        guard !outputs.contains(place), let reader = readers[place], reader.count == 1 else { return nil }
        return normAt[reader[0]].map { norms[$0] }.flatMap { $0.options.takesMeanOut ? $0 : nil }
      }
      guard behind.count == places.count, let norm = behind.first else { return nil }
      let count = layer.variable("bias")?.count ?? 0
      return Finding(
        .biasBeforeBatchNorm, .note, layer.name,
        "the bias of \(excerpt(layer.name)) (\(layer.kind), \(count) numbers) does nothing while training: "
          + "\(excerpt(norm.layer.name)) (batch_norm) takes each channel's mean out "
          + "again" + (norm.options.shift ? ", and its shift takes the bias's place." : "."),
        advice: norm.options.shift
          ? "Make the layer without a bias." : "Make the layer without a bias; a shift of the norm would have an effect.",
        value: Double(count))
    }
  }

  // MARK: - Training

  private func batchesOfOne(_ options: CheckOptions, rows: Int?) -> [Finding] {
    let isSingle = options.batchSize.map { $0 == 1 } ?? (rows == 1)
    let isLast = options.batchSize.map { size in size > 1 && rows.map { $0 > 1 && $0 % size == 1 } ?? false } ?? false
    guard isSingle || isLast else { return [] }
    return norms.compactMap { norm in
      let hasOne = norm.places.contains { place in
        let shape = network.nodes[network.nodes[place].inputs[0]].shape
        return shape.dropLast().reduce(1, *) == 1
      }
      guard norm.followsBatches, hasOne else { return nil }
      let which =
        isSingle
        ? "a batch of 1 row" : "the last of \(rows ?? 0) rows in batches of \(options.batchSize ?? 0), a batch of 1 row,"
      return Finding(
        .oneValuePerChannel, .error, norm.layer.name,
        "\(which) gives \(excerpt(norm.layer.name)) (batch_norm) one value per channel, which has no variance: training refuses it.",
        advice: isSingle
          ? "Train on batches of 2 rows or more; one row alone is for inference."
          : "Leave out the last batch (drop_last; dropsLast in Swift), or choose another batch size.",
        value: 1)
    }
  }

  private func decayOnScale(_ options: CheckOptions) -> [Finding] {
    guard let optimizer = options.optimizer, optimizer.weightDecay > 0, optimizer.decaysScaleShiftBias else { return [] }
    let decayed = norms.filter { $0.parameters.contains { $0.isTrainable } }
    guard let first = decayed.first else { return [] }
    let which = "\(decayed.count) batch norm\(decayed.count == 1 ? "" : "s") (\(list(decayed.map(\.layer.name))))"
    return [
      Finding(
        .weightDecayOnScale, .warning, first.layer.name,
        "weight decay \(optimizer.weightDecay.short) takes scale and shift of \(which) too: it pulls every normalised "
          + "channel towards 0, while the weights before it can make up for a decay of their own.",
        advice: "Decay the weights alone: leave decays_scale_shift_bias off.", value: optimizer.weightDecay)
    ]
  }

  private func neverUpdated() -> [Finding] {
    norms.filter(\.isUntouched).map { norm in
      Finding(
        .statisticsNeverUpdated, .warning, norm.layer.name,
        "the moving statistics of \(excerpt(norm.layer.name)) (batch_norm) are still means of 0 and variances of 1, and "
          + "num_batches_tracked is 0: inference does not normalise.",
        advice: "Train, load weights with their statistics, or update the population statistics, before predicting.", value: 0)
    }
  }

  private func movingThoughFrozen() -> [Finding] {
    guard reachedLayers.contains(where: { $0.layer.variables.contains { $0.isTrainable } }) else { return [] }
    let before = parametersBefore()
    return norms.compactMap { norm in
      guard norm.options.updatesMoving else { return nil }
      let why: String
      if norm.options.normalizer == .moving {
        why = "normalises with the moving statistics"
      } else if norm.parameters.isEmpty ? !norm.options.trainsScaleShift : !norm.parameters.contains(where: \.isTrainable) {
        why = "does not train its scale and shift"
      } else if norm.parameters.isEmpty && isBehindFrozenWeights(norm, before) {
        why = "stands behind weights that do not train"
      } else {
        return nil
      }
      return Finding(
        .statisticsMoveInFrozenLayer, .warning, norm.layer.name,
        "\(excerpt(norm.layer.name)) (batch_norm) \(why), but training goes on moving its statistics (num_batches_tracked "
          + "is \(norm.moving.batches.pointee)): inference will change all the same.",
        advice: "Freeze the whole layer (freeze, or updates_moving off), unless its statistics are to follow the new data.")
    }
  }

  /// The norm is fed by layers with parameters, none of which trains.
  private func isBehindFrozenWeights(_ norm: Norm, _ before: [Int: Parameters]) -> Bool {
    let inputs = norm.places.flatMap { network.nodes[$0].inputs }.compactMap { before[$0] }
    return inputs.contains { $0 != .none } && !inputs.contains(.training)
  }

  /// What the layers that made a value have.
  private enum Parameters: Int {
    case none, frozen, training
  }

  /// The parameters behind each node's value, its own layer's included.
  private func parametersBefore() -> [Int: Parameters] {
    var found: [Int: Parameters] = [:]
    for node in order {
      let parameters = network.nodes[node].layer?.variables.filter { $0.kind == .parameter } ?? []
      let own: Parameters =
        parameters.isEmpty ? .none : parameters.contains { $0.isTrainable } ? .training : .frozen
      found[node] = network.nodes[node].inputs.compactMap { found[$0] }.reduce(own) { $0.rawValue < $1.rawValue ? $1 : $0 }
    }
    return found
  }

  // MARK: - Tensors

  private func scalesNearZero() -> [Finding] {
    norms.compactMap { norm in
      guard let scale = norm.layer.variable("weight") else { return nil }
      let small = (0..<scale.count).filter { abs(scale.floats[$0]) < Self.leastScale }
        .sorted { abs(scale.floats[$0]) < abs(scale.floats[$1]) }
      guard let least = small.first else { return nil }
      return Finding(
        .scaleNearZero, .note, norm.layer.name,
        "\(small.count) of \(scale.count) scales of \(excerpt(norm.layer.name)) (batch_norm) are nearer to 0 than "
          + "\(Double(Self.leastScale).short), the nearest is \(Double(scale.floats[least]).short): the channels "
          + "\(list(small)) say almost nothing.",
        advice: "Fine where a scale starts at 0; else narrow the layer before it: these channels can go (Liu et al. 2017).",
        value: Double(small.count), channels: small)
    }
  }
}

/// The first few, and how many more.
func list<Item>(_ items: [Item], most: Int = 8) -> String {
  let shown = items.prefix(most).map { ($0 as? String).map { excerpt($0) } ?? "\($0)" }.joined(separator: ", ")
  return items.count > most ? "\(shown), and \(items.count - most) more" : shown
}
