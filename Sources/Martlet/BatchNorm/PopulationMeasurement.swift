// All batch norms' population statistics in one pass over the data.
import MartletRuntime

/// What batch norms find in one pass over a data set, layer by layer; a layer in several places pools them.
final class PopulationCollector {
  private var statistics: [ObjectIdentifier: PopulationStatistics] = [:]

  init(_ layers: [ModelLayer]) throws {
    for layer in layers {
      guard let channels = layer.inputShapes.first?.last else { continue }
      statistics[ObjectIdentifier(layer)] = try PopulationStatistics(channels: channels)
    }
  }

  subscript(layer: ModelLayer) -> PopulationStatistics? { statistics[ObjectIdentifier(layer)] }

  /// Adds the moments that stand in `context`.
  func add(_ layer: ModelLayer, _ context: BatchNormContext, weight: Double, count: Int) {
    statistics[ObjectIdentifier(layer)]?.add(
      mean: context.mean, variance: context.variance, weight: weight, count: count)
  }

  /// Puts what was found so far into `context`; false if that is nothing.
  func load(_ layer: ModelLayer, into context: BatchNormContext) -> Bool {
    guard let found = statistics[ObjectIdentifier(layer)], let variance = try? found.variance() else { return false }
    for c in 0..<found.channels {
      context.mean[c] = found.mean[c]
      context.variance[c] = variance[c]
    }
    return true
  }
}

/// Runs batches through a model as training would, measuring every batch norm's input; of the model nothing changes.
final class PopulationMeasurement {
  let collector: PopulationCollector
  /// Batches with rows, so far.
  private(set) var batches = 0
  private let model: Model
  private let norms: [Network.Node]
  private var executor: Executor?

  init(_ model: Model) throws {
    self.model = model
    norms = model.nodes.map { model.network.nodes[$0] }.filter { $0.layer?.layer is BatchNorm }
    collector = try PopulationCollector(model.layers.filter { $0.layer is BatchNorm })
  }

  /// One batch, or `size` rows of it at a time.
  func add(_ inputs: [ArrayView], rows: Int, size: Int) throws {
    for first in stride(from: 0, to: rows, by: size) {
      let count = min(size, rows - first)
      if batches == 0 { try check(rows: count) }
      let executor = try executor(capacity: count)
      try executor.prepare(rows: count)
      defer { executor.releaseInputs() }
      try executor.load(inputs, from: first, count: count)
      executor.forward()
      batches += 1
    }
  }

  /// One value per channel is normalised by what was found before it, so it cannot be the first.
  private func check(rows: Int) throws {
    for node in norms {
      guard let layer = node.layer, let options = layer.layer as? BatchNorm, options.normalizer == .batch,
        rows == 1, node.shape.dropLast().reduce(1, *) == 1
      else { continue }
      throw MartletError.invalidArgument(
        "Layer \"\(layer.name)\": the first batch has one value per channel, whose variance is undefined. Begin with a larger batch "
          + "(batch_size), or measure by the method \"sequential\".")
    }
  }

  private func executor(capacity: Int) throws -> Executor {
    if let executor, executor.plan.capacity >= capacity { return executor }
    let compute = try Compute.shared
    let plan = try Plan(
      model.network, inputs: model.inputNodes, outputs: model.outputNodes, capacity: capacity, training: false, measures: true,
      wantsInputGradient: false, compute: compute)
    let new = try Executor(plan, compute)
    new.population = collector
    executor = new
    return new
  }
}
