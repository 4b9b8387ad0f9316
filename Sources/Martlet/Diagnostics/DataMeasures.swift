// Runs a model on data, in training (on a copy) and at inference, and measures what a check needs.
import MartletRuntime

/// What a batch norm's inputs, a ReLU's outputs and the loss are on the data.
struct DataMeasures {
  let rows: Int
  /// Rows that the training pass saw: all, or all but a last batch of one row. 0: none.
  let trainingRows: Int
  /// Of each batch norm by name, in training: the batches' own statistics normalise the layers before, nothing is dropped
  /// out.
  private(set) var trainingInputs: [Name: PopulationStatistics] = [:]
  /// Of each batch norm by name, at inference.
  private(set) var inferenceInputs: [Name: PopulationStatistics] = [:]
  /// Rows for which an output is NaN or infinite at inference, and the first of them; one for each output.
  private(set) var nonfiniteRows: [(count: Int, first: Int)] = []
  /// Of each ReLU by name, the channels that some row opens.
  private(set) var opened: [Name: [Bool]] = [:]
  /// Mean over `trainingRows`; nil without targets.
  private(set) var trainingLoss: Double?
  private(set) var inferenceLoss: Double?
  /// Mean of the squared distances of all targets from their mean: what mean squared error is measured by.
  private(set) var targetVariance = 0.0

  /// Floats of one training batch's values, where the caller does not choose its size: 256 MB.
  private static let mostFloats = 64 << 20

  init(_ model: Model, _ data: [ArrayView], _ targets: [ArrayView]?, rows: Int, _ options: CheckOptions) throws {
    self.rows = rows
    let lengths = model.nodes.map { model.network.nodes[$0].shape.reduce(1, *) }
    let floats = lengths.reduce(1) { $0.addingReportingOverflow($1).partialValue }
    let fitting = min(max(Self.mostFloats / max(floats, 1), 2), Model.standardBatchSize)
    let batchSize = min(max(options.batchSize ?? fitting, 2), rows)
    trainingRows = rows == 1 ? 0 : rows % batchSize == 1 ? rows - 1 : rows
    let losses = try targets.map { try LossSum(model, $0, options.loss, rows: rows) }
    if let losses, options.loss == .meanSquaredError { targetVariance = try losses.targetVariance(rows: rows) }

    let compute = try Compute.shared
    let copy = try model.clone()
    for layer in copy.layers {
      if layer.layer is Dropout { layer.layer = Dropout(0) }
      if var norm = layer.layer as? BatchNorm {
        norm.updatesMoving = false
        layer.layer = norm
      }
    }
    copy.network.inferenceWeights = .float32
    copy.network.didChange()
    let check = StructureCheck(copy)
    let normPlaces = check.norms.map { norm in norm.places.map { copy.network.nodes[$0].inputs[0] } }
    let lossNodes = targets == nil ? [] : Trainer.lossModel(copy, options.loss).outputNodes

    if trainingRows > 0, !(normPlaces.isEmpty && lossNodes.isEmpty) {
      let seen = Model(copy.network, inputs: copy.inputNodes, outputs: normPlaces.flatMap { $0 } + lossNodes, seed: 0)
      var statistics = try Self.statistics(check.norms)
      let workspaces = Workspaces(compute)
      try seen.runTraining(data, rows: trainingRows, batchSize: batchSize, compute) { executor, first, count in
        try Self.add(executor, count, normPlaces, seen.outputLengths, to: &statistics, workspaces)
        try losses?.add(executor, from: seen.outputNodes.count - lossNodes.count, first: first, count: count, compute)
      }
      for (norm, found) in zip(check.norms, statistics) { trainingInputs[Name(norm.layer.name)] = found }
      trainingLoss = losses?.takeMean(rows: trainingRows)
    }

    let relus = check.layers(ReLU.self)
    let reluPlaces = relus.flatMap(\.places)
    let nodes = normPlaces.flatMap { $0 } + reluPlaces + lossNodes
    let seen = Model(copy.network, inputs: copy.inputNodes, outputs: nodes + copy.outputNodes, seed: 0)
    var nonfinite = copy.outputNodes.map { _ in (count: 0, first: 0) }
    var statistics = try Self.statistics(check.norms)
    let workspaces = Workspaces(compute)
    var open = relus.map { relu in relu.places.map { [Bool](repeating: false, count: copy.network.nodes[$0].shape.last ?? 0) } }
    let (inputLengths, outputLengths) = (seen.inputLengths, seen.outputLengths)
    try seen.run(rows: rows, batchSize: min(fitting, rows)) { executor, first, count in
      defer { executor.releaseInputs() }
      try executor.load(data, from: first, count: count)
      for (place, length) in inputLengths.enumerated() {
        let values = executor.inputFloats(place)
        for i in 0..<count * length where !values[i].isFinite {
          throw MartletError.invalidArgument(
            "data: all values must be finite for a check; row \(first + i / length) has \(values[i]).")
        }
      }
      executor.forward()
      try Self.add(executor, count, normPlaces, outputLengths, to: &statistics, workspaces)
      var place = normPlaces.reduce(0) { $0 + $1.count }
      for relu in open.indices {
        for position in open[relu].indices {
          Self.open(&open[relu][position], executor.outputFloats(place), count * outputLengths[place])
          place += 1
        }
      }
      for output in nonfinite.indices {
        let (values, length) = (executor.outputFloats(nodes.count + output), outputLengths[nodes.count + output])
        for row in 0..<count where !Self.isFinite(values + row * length, length) {
          if nonfinite[output].count == 0 { nonfinite[output].first = first + row }
          nonfinite[output].count += 1
        }
      }
      // The loss is compared on the rows that training saw.
      try losses?.add(executor, from: place, first: first, count: min(count, trainingRows - first), compute)
    }
    nonfiniteRows = nonfinite
    for (norm, found) in zip(check.norms, statistics) { inferenceInputs[Name(norm.layer.name)] = found }
    for (relu, places) in zip(relus, open) {
      // A layer in several places is on where one of them is.
      opened[Name(relu.layer.name)] = places.dropFirst().reduce(places[0]) { a, b in
        a.count == b.count ? zip(a, b).map { $0 || $1 } : a.map { _ in true }
      }
    }
    if trainingRows > 0 { inferenceLoss = losses?.takeMean(rows: trainingRows) }
  }

  private static func statistics(_ norms: [StructureCheck.Norm]) throws -> [PopulationStatistics] {
    try norms.map { try PopulationStatistics(channels: $0.layer.outputShape.last ?? 1) }
  }

  private static func add(
    _ executor: Executor, _ count: Int, _ normPlaces: [[Int]], _ lengths: [Int], to statistics: inout [PopulationStatistics],
    _ workspaces: Workspaces
  ) throws {
    var place = 0
    for norm in normPlaces.indices {
      for _ in normPlaces[norm] {
        let channels = statistics[norm].channels
        let shape = ChannelShape(outer: count * (lengths[place] / channels), channels: channels)
        if shape.valuesPerChannel > 0 {
          statistics[norm].add(executor.outputFloats(place), shape, workspace: try workspaces.base(shape), workspaces.compute)
        }
        place += 1
      }
    }
  }

  private static func isFinite(_ values: UnsafePointer<Float>, _ count: Int) -> Bool {
    for i in 0..<count where !values[i].isFinite { return false }
    return true
  }

  /// Marks the channels that have a value above 0, or one that is no number.
  private static func open(_ channels: inout [Bool], _ values: UnsafePointer<Float>, _ count: Int) {
    guard !channels.isEmpty else { return }
    channels.withUnsafeMutableBufferPointer { channels in
      var c = 0
      for i in 0..<count {
        if !(values[i] <= 0) { channels[c] = true }
        c += 1
        if c == channels.count { c = 0 }
      }
    }
  }
}

/// Memory for channel moments, as much as was asked for so far.
private final class Workspaces {
  let compute: Compute
  private var storage: Storage?
  init(_ compute: Compute) { self.compute = compute }

  func base(_ shape: ChannelShape) throws -> UnsafeMutableRawPointer {
    let bytes = compute.channelWorkspaceByteCount(shape)
    if let storage, storage.byteCount >= bytes { return storage.base }
    let new = try Storage(byteCount: bytes, isZeroed: false)
    storage = new
    return new.base
  }
}

/// A loss summed batch by batch.
private final class LossSum {
  private let targets: [Targets]
  private var memory: LossMemory?
  private var memoryRows = 0
  private var sum = 0.0

  init(_ model: Model, _ arrays: [ArrayView], _ loss: Loss, rows: Int) throws {
    try Trainer.checkOutputs(model, loss)
    let shapes = Trainer.lossModel(model, loss).outputShapes
    guard arrays.count == shapes.count else {
      throw MartletError.shapeMismatch(
        "targets: one for each of the model's \(shapes.count) outputs is needed; \(arrays.count) came.")
    }
    targets = try zip(arrays, shapes).enumerated().map { place, pair in
      try Targets(pair.0, loss, rows: rows, outputShape: pair.1, argument: "targets", place: place)
    }
  }

  func add(_ executor: Executor, from output: Int, first: Int, count: Int, _ compute: Compute) throws {
    guard count > 0 else { return }
    if memoryRows < count {
      memory = try LossMemory(targets, rows: count, compute)
      memoryRows = count
    }
    guard let memory else { return }
    for (place, target) in targets.enumerated() {
      try target.load(from: first, count: count, into: memory.targets[place].base)
      let result = target.evaluate(
        executor.outputFloats(output + place), memory.targets[place].base, rows: count, gradient: nil, gradientScale: 0,
        workspace: memory.workspace.base, compute)
      sum += result.sum
    }
  }

  /// The mean over the rows; the sum starts anew.
  func takeMean(rows: Int) -> Double {
    defer { sum = 0 }
    return sum / Double(rows)
  }

  func targetVariance(rows: Int) throws -> Double {
    var (count, mean, squares) = (0.0, 0.0, 0.0)
    for target in targets {
      let row = try Storage(byteCount: max(target.byteCount(rows: 1), 4), isZeroed: false)
      for r in 0..<rows {
        try target.load(from: r, count: 1, into: row.base)
        for column in 0..<target.columns {
          let value = Double(row.floats[column])
          count += 1
          let difference = value - mean
          mean += difference / count
          squares += difference * (value - mean)
        }
      }
    }
    return count > 0 ? squares / count : 0
  }
}

extension Model {
  /// Runs batches in training; `body` sees each one's outputs. The moving statistics move unless the layers say otherwise.
  fileprivate func runTraining(
    _ inputs: [ArrayView], rows: Int, batchSize: Int, _ compute: Compute,
    _ body: (Executor, _ first: Int, _ count: Int) throws -> Void
  ) throws {
    let plan = try Plan(
      network, inputs: inputNodes, outputs: outputNodes, capacity: batchSize, training: true, wantsInputGradient: false,
      compute: compute)
    let executor = try Executor(plan, compute)
    for first in stride(from: 0, to: rows, by: batchSize) {
      let count = min(batchSize, rows - first)
      try executor.prepare(rows: count)
      defer { executor.releaseInputs() }
      try executor.load(inputs, from: first, count: count)
      executor.forward()
      try body(executor, first, count)
    }
  }
}
