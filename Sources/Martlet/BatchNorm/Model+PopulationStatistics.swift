// Statistics of a whole data set put into a model: batch norm's population statistics, input normalisation's fit.
import MartletRuntime

/// How the layers before a batch norm run while its population statistics are measured.
public enum PopulationMethod: Int32, Sendable, CaseIterable {
  /// Layer by layer, the batch norms before it at inference with the population statistics they have just been given: a fixed point, which
  /// inference reproduces. One pass over the data for each layer.
  case sequential = 0
  /// As in training, by each batch's own statistics: what the layers saw as the weights were learned. One pass over the data in all.
  case onePass = 1
}

/// Goes through a data set once: hands its batches to `take` in order, and throws on what `take` throws.
///
/// `pass` counts from 0; every pass must give the same rows.
public typealias BatchSource = (_ pass: Int, _ take: (_ inputs: [ArrayView]) throws -> Void) throws -> Void

extension Model {
  /// Replaces every batch norm's moving statistics by the exact ones of its inputs over a whole data set.
  ///
  /// Batches are pooled by their size, the variance between batches included. A layer that stands in several places gets the pooled
  /// statistics of all of them. The variance is unbiased unless the layer keeps it biased. A layer's weights count as in training; dropout
  /// does nothing. `num_batches_tracked` becomes the number of batches read.
  ///
  /// By the method `.sequential` the result does not depend on `batchSize` (beyond Float32 rounding in the layers before). By `.onePass`
  /// it does, as training does: virtual batches, renormalisation and frozen layers are what they are there. A batch of one value per
  /// channel, mostly a last row left over, is normalised by what was found up to it, itself included.
  ///
  /// Cost: sequential, one inference pass up to each batch norm; one pass, one inference pass.
  /// Source: Ioffe & Szegedy 2015, algorithm 2, with between-batch variance.
  ///
  /// - Parameter batchSize: rows at a time; 0: chosen.
  /// - Throws: ``MartletError`` for inputs that do not fit, fewer than 2 values per channel, or a first batch of one value per
  ///   channel by `.onePass`; no statistic has changed then.
  public func updatePopulationStatistics(
    _ inputs: [ArrayView], method: PopulationMethod = .sequential, batchSize: Int = 0
  ) throws {
    try network.exclusivity.changing { try replacePopulation(PopulationData(self, inputs, batchSize: batchSize), method) }
  }

  private func replacePopulation(_ data: PopulationData, _ method: PopulationMethod) throws {
    switch method {
    case .sequential: try replaceStatistics(of: { $0 is BatchNorm }, data, storePopulation)
    case .onePass: try measureInOnePass(data)
    }
  }

  /// The same over batches as they come.
  ///
  /// - Parameter batches: called once for each pass: by `.sequential` one for every batch norm, by `.onePass` a single one. An empty batch does
  ///   not count.
  /// - Throws: what `batches` throws, too; no statistic has changed then.
  public func updatePopulationStatistics(method: PopulationMethod = .sequential, batches: BatchSource) throws {
    try withoutActuallyEscaping(batches) { batches in
      try network.exclusivity.changing { try replacePopulation(PopulationData(self, batches), method) }
    }
  }

  /// Fits every ``InputNormalization`` layer on a whole data set, in one exact pass each.
  ///
  /// A layer directly behind an input measures the caller's numbers themselves, and normalises them in every run: Float64 and integers
  /// far from zero are not rounded to Float32 first.
  public func fitInputNormalization(_ inputs: [ArrayView], batchSize: Int = 0) throws {
    try network.exclusivity.changing { try replaceInputNormalization(inputs, batchSize: batchSize) }
  }

  private func replaceInputNormalization(_ inputs: [ArrayView], batchSize: Int) throws {
    let data = try PopulationData(self, inputs, batchSize: batchSize)
    try replaceStatistics(of: { $0 is InputNormalization }, data) { layer, statistics, _ in
      guard let mean = layer.variable("mean"), let variance = layer.variable("variance"), let count = layer.variable("count")
      else { return }
      let (means, values) = (statistics.mean, try statistics.variance())
      for c in 0..<statistics.channels {
        mean.storage.doubles[c] = means[c]
        variance.storage.doubles[c] = values[c]
      }
      count.storage.integers.pointee = Int64(statistics.count)
    }
  }

  private func storePopulation(_ layer: ModelLayer, _ statistics: PopulationStatistics, batches: Int) throws {
    guard let moving = MovingStatistics(layer), let options = layer.layer as? BatchNorm else { return }
    let variance = try statistics.variance(unbiased: !options.biasedMovingVariance)
    let mean = statistics.mean
    for c in 0..<statistics.channels {
      guard let roundedMean = Float(ifInRange: mean[c]), let roundedVariance = Float(ifInRange: variance[c]) else {
        throw MartletError.invalidArgument(
          "expected statistics within float32's range, up to \(Float.greatestFiniteMagnitude); got the mean \(mean[c]) and the variance "
            + "\(variance[c]) in channel \(c). Scale the layer's inputs.")
      }
      moving.mean[c] = roundedMean
      moving.variance[c] = roundedVariance
    }
    moving.batches.pointee = Int64(batches)
  }

  private func measureInOnePass(_ data: PopulationData) throws {
    let targets = layers.filter { $0.layer is BatchNorm }
    let measurement = try PopulationMeasurement(self)
    try data.forEachBatch { inputs, rows, size in
      try measurement.add(inputs, rows: rows, size: size == 0 ? Model.standardBatchSize : size)
    }
    try keepingStateOnFailure(of: targets) {
      for layer in targets {
        guard let found = measurement.collector[layer] else { continue }
        try store(layer, found, measurement.batches, storePopulation)
      }
    }
  }

  private func replaceStatistics(
    of isWanted: (any Layer) -> Bool, _ data: PopulationData,
    _ body: (ModelLayer, PopulationStatistics, _ batches: Int) throws -> Void
  ) throws {
    let targets = layers.filter { isWanted($0.layer) }
    try keepingStateOnFailure(of: targets) {
      for layer in targets {
        let (statistics, batches) = try measure(layer, data)
        try store(layer, statistics, batches, body)
      }
    }
  }

  /// Puts the layers' state back if the body throws.
  private func keepingStateOnFailure(of layers: [ModelLayer], _ body: () throws -> Void) throws {
    let before = try StateSnapshot(of: layers.flatMap(\.variables).filter { $0.kind == .state })
    do { try body() } catch {
      before.restore()
      throw error
    }
  }

  private func store(
    _ layer: ModelLayer, _ statistics: PopulationStatistics, _ batches: Int,
    _ body: (ModelLayer, PopulationStatistics, _ batches: Int) throws -> Void
  ) throws {
    do { try body(layer, statistics, batches) } catch let error as MartletError {
      throw MartletError(error.kind, "Layer \"\(layer.name)\": \(error.message)")
    }
    for variable in layer.variables { variable.didWrite() }
  }

  /// The place of the input whose values, in their order, a node has; nil for a node that computes something.
  private func inputPlace(behind node: Int) -> Int? {
    var node = node
    while true {
      if let place = inputNodes.firstIndex(of: node) { return place }
      guard let layer = network.nodes[node].layer?.layer, layer is Flatten || layer is Reshape else { return nil }
      node = network.nodes[node].inputs[0]
    }
  }

  /// Statistics of a layer's inputs at inference, over all its places.
  private func measure(_ layer: ModelLayer, _ data: PopulationData) throws -> (PopulationStatistics, batches: Int) {
    let compute = try Compute.shared
    let places = nodes.map { network.nodes[$0] }.filter { $0.layer === layer }
    let channels = places.first?.shape.last ?? 1
    // Of each place its values, and behind them the weights of the places that have some.
    let weighted = places.indices.filter { places[$0].inputs.count == 2 }
    let source = Model(
      network, inputs: inputNodes, outputs: places.map { $0.inputs[0] } + weighted.map { places[$0].inputs[1] }, seed: 0)
    let inner = source.outputLengths.prefix(places.count).map { $0 / channels }
    // Inputs that a layer reads in the caller's arrays, where these hold what Float32 rounds.
    let sources = places.map { layer.layer is InputNormalization ? inputPlace(behind: $0.inputs[0]) : nil }
    var statistics = try PopulationStatistics(channels: channels)
    var workspace: Storage?
    var batches = 0
    try data.forEachBatch { inputs, rows, size in
      // What came out of an image normalization is measured where it is.
      let readsArrays = network.imageNormalizer == nil
      let isExact = sources.map { $0.map { readsArrays && inputs[$0].dataType.exceedsFloat32 } ?? false }
      for (place, input) in sources.enumerated() where isExact[place] {
        if let input { try statistics.add(inputs[input], ChannelRuns(everyElementOf: channels)) }
      }
      guard isExact.contains(false) else {
        batches += 1
        return
      }
      try source.run(inputs, rows: rows, batchSize: size) { executor, _, count in
        let shapes = inner.map { ChannelShape(outer: count * $0, channels: channels) }
        let bytes = shapes.map(compute.channelWorkspaceByteCount).max() ?? 0
        let spread = weighted.map { compute.rowWeightsByteCount(shapes[$0]) }.max() ?? 0
        let start = (bytes + Storage.alignment - 1) / Storage.alignment * Storage.alignment
        let memory: Storage
        if let workspace, workspace.byteCount >= start + spread {
          memory = workspace
        } else {
          memory = try Storage(byteCount: start + spread, isZeroed: false)
          workspace = memory
        }
        for (place, shape) in shapes.enumerated() where !isExact[place] {
          let weights = weighted.firstIndex(of: place).map {
            compute.spreadRowWeights(
              executor.outputFloats(places.count + $0), shape,
              into: (memory.base + start).assumingMemoryBound(to: Float.self))
          }
          statistics.add(executor.outputFloats(place), shape, weights: weights, workspace: memory.base, compute)
        }
        batches += 1
      }
    }
    return (statistics, batches)
  }
}

/// The data of one update: arrays, or batches as they come. Each pass checks what comes.
private final class PopulationData {
  private let source: (_ pass: Int, _ take: ([ArrayView]) throws -> Void) throws -> Void
  private let model: Model
  /// Rows run at a time; nil: each batch as it comes; 0: chosen.
  private let batchSize: Int?
  private var passes = 0
  private var rowsOfPass: Int?

  init(_ model: Model, _ inputs: [ArrayView], batchSize: Int) throws {
    let rows = try model.checkInputs(inputs)
    guard batchSize >= 0 else {
      throw MartletError.invalidArgument("batch_size must be 1 or more, or 0 for a chosen one; \(batchSize) came.")
    }
    guard rows > 0 else { throw MartletError.invalidArgument("inputs: statistics of no rows are undefined; 0 rows came.") }
    self.model = model
    self.batchSize = batchSize
    source = { _, take in try take(inputs) }
  }

  init(_ model: Model, _ batches: @escaping BatchSource) {
    self.model = model
    batchSize = nil
    source = batches
  }

  /// Goes through the data once.
  ///
  /// - Parameter body: takes arrays of 1 row or more, and how many to run at a time (0: chosen).
  func forEachBatch(_ body: (_ inputs: [ArrayView], _ rows: Int, _ size: Int) throws -> Void) throws {
    var total = 0
    try source(passes) { inputs in
      let rows = try model.checkInputs(inputs, what: "batch")
      if rows == 0 { return }
      let (sum, overflows) = total.addingReportingOverflow(rows)
      guard !overflows else { throw MartletError.shapeMismatch("batches: expected rows that can be counted; got too many.") }
      total = sum
      try body(inputs, rows, batchSize ?? rows)
    }
    guard total > 0 else {
      throw MartletError.invalidArgument(
        "batches: statistics of no rows are undefined; \(passes == 0 ? "0 rows came" : "pass \(passes + 1) over the data gave none")."
      )
    }
    if let rowsOfPass, rowsOfPass != total {
      throw MartletError.invalidArgument(
        "batches: every pass over the data must give the same rows; the first gave \(rowsOfPass), pass \(passes + 1) \(total).")
    }
    rowsOfPass = total
    passes += 1
  }
}
