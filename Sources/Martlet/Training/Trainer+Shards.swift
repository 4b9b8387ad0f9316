// A training step on one shard of a batch.
import MartletRuntime

extension Trainer {
  /// One update, the same on every shard, by the gradient of the whole batch.
  ///
  /// Exchanges the number of rows, what batch norms need, then loss, hits and the gradients of the parameters. The summed loss and
  /// gradients decide whether the step is taken, so that all shards decide alike. After a throw, parameters, gradients and statistics are
  /// as before.
  func runShard(
    _ allReduce: AllReduce, _ memory: StepMemory, rows: Int, explains: Bool,
    _ load: () throws -> (rows: Int, targets: [Targets])
  ) throws -> TrainingResult {
    let executor = memory.executor
    var all = Double(rows)
    try withUnsafeMutablePointer(to: &all) { try allReduce(UnsafeMutableBufferPointer(start: $0, count: 1)) }
    let allRows = try ShardSum.whole(all, own: rows, "rows")
    guard allRows > 0 else { return loss.result(sum: 0, correct: 0, rows: 0) }
    var seen: Set<ObjectIdentifier> = []
    let variables = executor.plan.backwardSteps.flatMap(\.site.layer.variables).filter {
      $0.isTrainable && seen.insert(ObjectIdentifier($0)).inserted
    }
    let statistics = try StateSnapshot(of: executor.plan.movedVariables)
    let gradients = try GradientSnapshot(of: variables)
    do {
      let (count, targets) = try load()
      try executor.prepare(rows: count)
      executor.randomKey = StableHash.mixed(seed ^ StableHash.mixed(stepCount))
      try executor.forwardExchanging()
      var (sum, correct) = (0.0, 0)
      if count > 0 {
        for (place, target) in targets.enumerated() {
          let result = target.evaluate(
            executor.outputFloats(place), memory.targets[place].base, rows: count, gradient: memory.lossGradient(place),
            gradientScale: Float(1 / all), workspace: memory.workspace.base, executor.compute)
          memory.addLossGradient(place, rows: count)
          sum += result.sum
          correct += result.correct
        }
      }
      try executor.backwardExchanging()
      let totals = try sumOverShards(allReduce, variables, loss: sum, correct: correct)
      let nonfinite = totals.loss.isFinite ? optimizer.nonfiniteGradient(executor.compute) : nil
      guard totals.loss.isFinite, nonfinite == nil else {
        statistics.restore()
        var cause = nonfinite.map(NonfiniteStep.Cause.gradient) ?? .unknown
        if explains, nonfinite == nil {
          // Another forward pass would exchange sums that the other shards do not wait for.
          cause = self.cause(memory, pieces: count > 0 ? 1 : 0, runsAgain: false, key: 0) { _ in try load() }
        }
        throw NonfiniteStep(loss: totals.loss, cause: cause)
      }
      stepCount &+= 1
      optimizer.step(executor.compute)
      return loss.result(sum: totals.loss, correct: totals.correct, rows: allRows)
    } catch {
      statistics.restore()
      gradients.restore()
      throw error
    }
  }

  /// Makes the gradients those of the whole batch.
  private func sumOverShards(
    _ allReduce: AllReduce, _ variables: [Variable], loss: Double, correct: Int
  ) throws -> (loss: Double, correct: Int) {
    let count = variables.reduce(2) { $0 + $1.count }
    let memory = try Storage(byteCount: count * 8, isZeroed: false)
    let sums = memory.doubles
    (sums[0], sums[1]) = (loss, Double(correct))
    var next = sums + 2
    for variable in variables {
      guard let gradient = variable.gradient else { continue }
      for i in 0..<variable.count { next[i] = Double(gradient[i]) }
      next += variable.count
    }
    try allReduce(UnsafeMutableBufferPointer(start: sums, count: next - sums))
    let allCorrect = try ShardSum.whole(sums[1], own: correct, "rows predicted right")
    next = sums + 2
    for variable in variables {
      guard let gradient = variable.gradient else { continue }
      // Where the loss is not finite the gradients need not be, and the exchange is not to blame.
      for i in 0..<variable.count {
        gradient[i] = sums[0].isFinite ? try ShardSum.gradient(next[i], variable.name) : Float(next[i])
      }
      next += variable.count
    }
    return (sums[0], allCorrect)
  }

  /// Shards must exchange alike, and may have numbers of micro-batches of their own.
  func refuseShards() throws {
    guard model.network.allReduce == nil else {
      throw MartletError(.unsupported, "Micro-batches cannot be combined with an all-reduce over shards; use smaller shards.")
    }
  }
}
