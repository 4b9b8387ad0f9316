// Gradient accumulation: one update by the gradient of several micro-batches.
import MartletRuntime

/// Whose statistics normalise a micro-batch.
public enum MicroBatchStatistics: Int32, Sendable, CaseIterable {
  /// Its own; the moving statistics follow one micro-batch after the other.
  case own = 0
  /// Those of all micro-batches together: the step is that of one large batch, to the bit.
  case whole = 1
}

extension Trainer {
  /// Sets how many rows of a batch run at a time in ``step(_:_:)`` and ``fit(_:_:_:onEvent:)``; nil: all of them.
  ///
  /// The micro-batches of a batch are consecutive rows; a single row left over joins the one before it. Each is normalised by its own
  /// statistics, and there is one update by the mean gradient over all rows. So memory is that of a micro-batch, and a network without
  /// batch norm and dropout learns as from the whole batch, beyond rounding.
  ///
  /// - Throws: ``MartletError/Kind/invalidArgument`` unless size ≥ 1.
  public func setMicroBatchSize(_ size: Int?) throws {
    if let size, size < 1 {
      throw MartletError.invalidArgument("micro_batch_size must be 1 or more rows; \(size) came.")
    }
    try optimizer.exclusivity.changing { microBatchSize = size }
  }

  /// One step on a batch that comes in parts: one update by the mean gradient over the rows of all of them.
  ///
  /// - Parameters:
  ///   - microBatches: inputs and targets as in ``step(_:_:)``; those without rows do not count.
  ///   - statistics: by `.whole`, batch norms see all parts as one batch. That takes the memory of one: every part's values must be there
  ///     until the backward pass.
  /// - Throws: ``MartletError`` naming the part that does not fit; nothing has changed then.
  @discardableResult
  public func step(
    microBatches: [(inputs: [ArrayView], targets: [ArrayView])], statistics: MicroBatchStatistics = .own
  ) throws -> TrainingResult {
    try model.network.refuseDuringExchange("A trainer's step")
    return try optimizer.changing { try runStep(microBatches, statistics) }
  }

  private func runStep(
    _ microBatches: [(inputs: [ArrayView], targets: [ArrayView])], _ statistics: MicroBatchStatistics
  ) throws -> TrainingResult {
    try refuseShards()
    var parts: [Part] = []
    var total = 0
    for (number, batch) in microBatches.enumerated() {
      let rows = try model.checkInputs(batch.inputs, what: "micro_batches[\(number)].inputs")
      let targets = try checkTargets(batch.targets, rows: rows, what: "micro_batches[\(number)].targets")
      if rows == 0 { continue }
      parts.append(Part(inputs: batch.inputs, targets: targets, first: total, rows: rows))
      let (sum, overflows) = total.addingReportingOverflow(rows)
      guard !overflows else {
        throw MartletError.shapeMismatch(
          "micro_batches: expected rows that can be counted; got too many in \(number + 1) parts.")
      }
      total = sum
    }
    guard let first = parts.first else { return loss.result(sum: 0, correct: 0, rows: 0) }
    if statistics == .own {
      let memory = try stepMemory(capacity: parts.map(\.rows).max() ?? 1)
      for part in parts { try memory.executor.prepare(rows: part.rows) }
      return try explainingRefusal("The step") {
        try run(memory, rows: total, pieces: parts.count) { piece in
          try parts[piece].loadTargets(memory, at: 0)
          return (parts[piece].rows, parts[piece].targets)
        } inputs: {
          try parts[$0].loadInputs(memory, at: 0)
        }
      }
    }
    for part in parts where zip(part.targets, first.targets).contains(where: { $0.areLabels != $1.areLabels }) {
      throw MartletError.invalidArgument(
        "micro_batches: with the statistics of the whole, the targets of all must be of one kind: labels, or values.")
    }
    let memory = try stepMemory(capacity: total)
    try memory.executor.prepare(rows: total)
    return try explainingRefusal("The step") {
      try run(memory, rows: total, pieces: 1) { _ in
        for part in parts { try part.loadTargets(memory, at: part.first) }
        return (total, first.targets)
      } inputs: { _ in
        for part in parts { try part.loadInputs(memory, at: part.first) }
      }
    }
  }

  private struct Part {
    let inputs: [ArrayView]
    let targets: [Targets]
    /// Rows before its first.
    let first: Int
    let rows: Int

    func loadTargets(_ memory: StepMemory, at row: Int) throws {
      for (place, target) in targets.enumerated() {
        try target.load(from: 0, count: rows, into: memory.targets[place].base + row * target.bytesPerRow)
      }
    }

    func loadInputs(_ memory: StepMemory, at row: Int) throws { try memory.executor.load(inputs, count: rows, at: row) }
  }

  /// How a batch is cut.
  var microBatches: VirtualBatches { VirtualBatches(size: microBatchSize, inner: 1) }

  /// The memory of a step over `rows` rows, whose micro-batches are checked.
  ///
  /// - Parameter largest: the most rows that other steps have; nil: as many.
  func stepMemory(rows: Int, of largest: Int? = nil) throws -> StepMemory {
    let cut = microBatches
    if cut.size != nil { try refuseShards() }
    let memory = try stepMemory(capacity: max(cut.mostRows(rows: largest ?? rows), 1))
    let count = cut.count(rows: rows)
    if count > 1 { try memory.executor.prepare(rows: cut.range(count - 1, rows: rows).count) }
    try memory.executor.prepare(rows: count == 0 ? 0 : cut.range(0, rows: rows).count)
    return memory
  }
}

extension Executor {
  /// Has some rows of a prepared batch read: where they lie, if they are the whole of it, else as a copy that begins on a cache line.
  func readInput(_ index: Int, from batch: UnsafeMutableRawPointer, first: Int, count: Int, isWhole: Bool) {
    if isWhole { return readInput(index, at: batch) }
    let length = plan.inputLengths[index]
    inputFloats(index).update(from: batch.assumingMemoryBound(to: Float.self) + first * length, count: count * length)
  }
}
