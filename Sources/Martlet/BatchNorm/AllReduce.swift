// Training one batch in shards, on several threads or machines: what they tell one another.

/// Replaces every number by its sum over all shards. All of them call it the same number of times, in the same order, with as many
/// numbers, and get the same bits back; it returns when the sums are there. What it throws ends the call that needed it, on this shard.
/// The model is in the middle of a run then: its own forward, backward and training refuse to be called from here.
public typealias AllReduce = (_ sums: UnsafeMutableBufferPointer<Double>) throws -> Void

extension Model {
  /// Has the model train as one shard of a larger batch; nil: alone, as at first. Submodels share it, clones and files have none.
  ///
  /// A training ``forward(_:training:)`` exchanges for each batch norm that follows batches 2·C + 1 sums (the values per channel, Σx, Σx²),
  /// ``backward(_:accumulate:)`` 2·C (Σg, Σg·(x − center)) where the input's gradient is wanted. So every shard normalises with the
  /// statistics of all, moves its moving statistics alike, and has the gradient of its own rows; those of parameters are this shard's part,
  /// whose sum over the shards is the whole batch's. ``Trainer/step(_:_:)`` adds them up, too.
  ///
  /// Shards may have any number of rows, none as well. The result differs from that of one large batch by rounding: sums are in
  /// Float64, of which the variance loses a few times 2⁻⁵³·(1 + mean²/variance).
  ///
  /// After a failure of `allReduce` the statistics, parameters and gradients are as before the call; on the other shards their own
  /// call of it must fail, too, or they wait.
  ///
  /// - Throws: ``MartletError/Kind/unsupported`` for a batch norm with virtual batches, whose statistics are of few rows on purpose.
  public func setAllReduce(_ allReduce: AllReduce?) throws {
    try network.refuseDuringExchange("set_all_reduce")
    if allReduce != nil,
      let layer = network.layers.first(where: { ($0.layer as? BatchNorm).map { $0.virtualBatchSize != nil } ?? false })
    {
      throw MartletError(
        .unsupported, "Layer \"\(layer.name)\": a batch norm with virtual_batch_size cannot be synchronised over shards.")
    }
    try network.exclusivity.changing { network.allReduce = allReduce }
  }
}

extension Executor {
  /// Sums over all shards in the middle of a step; false if that failed, which ends the run.
  func sumOverShards(_ sums: UnsafeMutablePointer<Double>, count: Int, _ site: StepSite) -> Bool {
    guard failure == nil, let allReduce = site.allReduce else { return false }
    do {
      try allReduce(UnsafeMutableBufferPointer(start: sums, count: count))
      return true
    } catch {
      fail(error)
      return false
    }
  }

  /// ``forward()`` of a plan whose steps may exchange sums, which an empty shard does as well.
  ///
  /// - Throws: what an exchange threw; the state is as before.
  func forwardShard() throws {
    guard plan.exchanges else { return forward() }
    let before = try StateSnapshot(of: plan.movedVariables)
    do { try forwardExchanging() } catch {
      before.restore()
      throw error
    }
  }

  /// Without putting anything back: for a step that does so itself.
  func forwardExchanging() throws {
    clearFailure()
    for step in plan.steps where rows > 0 || step.exchanges {
      step.forward(self)
      if let failure { throw failure }
    }
    for variable in plan.movedVariables { variable.didWrite() }
  }

  /// ``backward()``, likewise; after a throw the gradients are as before.
  func backwardShard() throws {
    guard plan.exchanges else { return backward() }
    let before = try GradientSnapshot(of: plan.backwardSteps.flatMap(\.site.layer.variables))
    do { try backwardExchanging() } catch {
      before.restore()
      throw error
    }
  }

  /// Likewise without putting anything back.
  func backwardExchanging() throws {
    clearFailure()
    if rows == 0, !accumulatesGradients { for step in plan.backwardSteps { step.clearGradients() } }
    for step in plan.backwardSteps where rows > 0 || step.exchanges {
      step.backward(self)
      if let failure { throw failure }
    }
  }
}

/// Copies of some variables' gradients.
struct GradientSnapshot {
  private let copies: [(gradient: UnsafeMutablePointer<Float>, count: Int, values: Storage)]

  init(of variables: [Variable]) throws {
    copies = try variables.compactMap { variable in
      guard variable.isTrainable, variable.count > 0, let gradient = variable.gradient else { return nil }
      let copy = try Storage(byteCount: variable.count * 4, isZeroed: false)
      copy.floats.update(from: gradient, count: variable.count)
      return (gradient, variable.count, copy)
    }
  }

  func restore() { for copy in copies { copy.gradient.update(from: copy.values.floats, count: copy.count) } }
}
