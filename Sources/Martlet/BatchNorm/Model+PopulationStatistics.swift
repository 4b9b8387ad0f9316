// Statistics of a whole data set put into a model: batch norm's population statistics, input normalisation's fit.
import MartletRuntime

extension Model {
  /// Replaces every batch norm's moving statistics by the exact ones of its inputs over a whole data set.
  ///
  /// Layer by layer, in the order they run: the layers before each are at inference, with the exact statistics they have just
  /// been given. One that stands in several places gets the pooled statistics of all of them. The result does not depend on `batchSize` (beyond Float32 rounding in the layers before). The variance is
  /// unbiased unless the
  /// layer keeps it biased. A layer's weights count as in training. `num_batches_tracked` becomes the number of batches read.
  ///
  /// Cost: one inference pass up to each batch norm. Source: Ioffe & Szegedy 2015, algorithm 2, with between-batch variance.
  ///
  /// - Throws: ``MartletError`` for inputs that do not fit or fewer than 2 values per channel; no statistic has changed then.
  public func updatePopulationStatistics(_ inputs: [ArrayView], batchSize: Int = 0) throws {
    try replaceStatistics(of: { $0 is BatchNorm }, inputs, batchSize: batchSize) { layer, statistics, batches in
      guard let moving = MovingStatistics(layer), let options = layer.layer as? BatchNorm else { return }
      let variance = try statistics.variance(unbiased: !options.biasedMovingVariance)
      for c in 0..<statistics.channels {
        moving.mean[c] = Float(statistics.mean[c])
        moving.variance[c] = Float(variance[c])
      }
      moving.batches.pointee = Int64(batches)
    }
  }

  /// Fits every ``InputNormalization`` layer on a whole data set, in one exact pass each.
  public func fitInputNormalization(_ inputs: [ArrayView], batchSize: Int = 0) throws {
    try replaceStatistics(of: { $0 is InputNormalization }, inputs, batchSize: batchSize) { layer, statistics, _ in
      guard let mean = layer.variable("mean"), let variance = layer.variable("variance"), let count = layer.variable("count")
      else { return }
      let values = try statistics.variance()
      for c in 0..<statistics.channels {
        mean.storage.doubles[c] = statistics.mean[c]
        variance.storage.doubles[c] = values[c]
      }
      count.storage.integers.pointee = Int64(statistics.count)
    }
  }

  private func replaceStatistics(
    of isWanted: (any Layer) -> Bool, _ inputs: [ArrayView], batchSize: Int,
    _ store: (ModelLayer, PopulationStatistics, _ batches: Int) throws -> Void
  ) throws {
    let rows = try checkInputs(inputs)
    guard rows > 0 else { throw MartletError.invalidArgument("inputs: statistics of no rows are undefined; 0 rows came.") }
    let compute = try Compute.shared
    let targets = layers.filter { isWanted($0.layer) }
    // What stood before, should a later layer fail.
    let saved = try targets.flatMap(\.variables).filter { $0.kind == .state }.map { variable in
      let copy = try Storage(byteCount: variable.storage.byteCount, isZeroed: false)
      copy.base.copyMemory(from: variable.storage.base, byteCount: variable.storage.byteCount)
      return (variable, copy)
    }
    do {
      for layer in targets {
        let places = network.nodes.filter { $0.layer === layer }
        guard let channels = places.first?.shape.last else { continue }
        // Of each place its values, and behind them the weights of the places that have some.
        let weighted = places.indices.filter { places[$0].inputs.count == 2 }
        let source = Model(
          network, inputs: inputNodes, outputs: places.map { $0.inputs[0] } + weighted.map { places[$0].inputs[1] }, seed: 0)
        let inner = source.outputLengths.prefix(places.count).map { $0 / channels }
        var statistics = try PopulationStatistics(channels: channels)
        var workspace: Storage?
        var batches = 0
        try source.run(inputs, rows: rows, batchSize: batchSize) { executor, _, count in
          let shapes = inner.map { ChannelShape(outer: count * $0, channels: channels) }
          let bytes = shapes.map(compute.channelWorkspaceByteCount).max() ?? 0
          let spread = weighted.map { compute.rowWeightsByteCount(shapes[$0]) }.max() ?? 0
          let start = (bytes + Storage.alignment - 1) / Storage.alignment * Storage.alignment
          let memory = try workspace ?? Storage(byteCount: start + spread, isZeroed: false)
          workspace = memory
          for (place, shape) in shapes.enumerated() {
            let weights = weighted.firstIndex(of: place).map {
              compute.spreadRowWeights(
                executor.outputFloats(places.count + $0), shape,
                into: (memory.base + start).assumingMemoryBound(to: Float.self))
            }
            statistics.add(executor.outputFloats(place), shape, weights: weights, workspace: memory.base, compute)
          }
          batches += 1
        }
        do { try store(layer, statistics, batches) } catch let error as MartletError {
          throw MartletError(error.kind, "Layer \"\(layer.name)\": \(error.message)")
        }
        for variable in layer.variables { variable.didWrite() }
      }
    } catch {
      for (variable, copy) in saved {
        variable.storage.base.copyMemory(from: copy.base, byteCount: copy.byteCount)
        variable.didWrite()
      }
      throw error
    }
  }
}
