// Inference, from any number of threads.
import MartletRuntime

extension Model {
  /// Rows that run together where the caller does not say.
  static let standardBatchSize = 256

  /// Inference over any number of rows, `batchSize` at a time, written to the caller's contiguous Float32 arrays.
  ///
  /// A row's result does not depend on the rows beside it. Nothing of the model changes.
  ///
  /// - Throws: ``MartletError/Kind/shapeMismatch`` naming the argument that does not fit; ``MartletError/Kind/invalidState`` while
  ///   another thread changes the model.
  public func predict(_ inputs: [ArrayView], batchSize: Int = 0, into outputs: [ArrayView]) throws {
    let rows = try checkInputs(inputs)
    try checkOutputArrays(outputs, rows: rows, what: "outputs")
    let targets = try outputs.enumerated().map { place, array in
      guard array.count > 0 else { return UnsafeMutablePointer<Float>?.none }
      guard let floats = array.contiguousFloats else {
        throw MartletError.invalidArgument(
          "outputs[\(place)]: contiguous float32 memory is needed; \(array.dataType.name) with the strides \(Shape.text(array.strides)) came."
        )
      }
      return floats
    }
    try ArrayView.checkSeparate(outputs, "outputs", from: inputs, "inputs")
    let lengths = outputLengths
    try run(rows: rows, batchSize: batchSize) { executor, first, count in
      defer {
        executor.releaseInputs()
        executor.releaseOutputs()
      }
      for (place, target) in targets.enumerated() { executor.write(place, to: target.map { $0 + first * lengths[place] }) }
      try executor.load(inputs, from: first, count: count)
      executor.forward()
      for (place, target) in targets.enumerated() {
        executor.copyOutput(place, to: target.map { $0 + first * lengths[place] }, count: count * lengths[place])
      }
    }
  }

  /// Inference of one input, one output.
  ///
  /// - Returns: `[rows, …]`.
  public func predict(_ x: Tensor, batchSize: Int = 0) throws -> Tensor {
    guard outputNodes.count == 1 else {
      throw MartletError.invalidArgument("The model has \(outputNodes.count) outputs; use predict(_:batchSize:into:).")
    }
    return try MartletError.naming(["inputs[0]": "x"]) {
      let view = try x.view("x")
      let rows = try checkInputs([view])
      let result = try Tensor(uninitialized: [rows] + outputShapes[0])
      try predict([view], batchSize: batchSize, into: [result.view("result")])
      return withExtendedLifetime(x) { result }
    }
  }

  /// Runs inference batch by batch; `body` sees each batch's outputs in the executor.
  func run(
    _ inputs: [ArrayView], rows: Int, batchSize: Int, _ body: (Executor, _ first: Int, _ count: Int) throws -> Void
  ) throws {
    try run(rows: rows, batchSize: batchSize) { executor, first, count in
      // An output may be an input under another name, so after the body.
      defer { executor.releaseInputs() }
      try executor.load(inputs, from: first, count: count)
      executor.forward()
      try body(executor, first, count)
    }
  }

  /// Hands an executor out for each batch; `body` loads it, runs it and reads it.
  ///
  /// - Throws: ``MartletError/Kind/invalidState`` while another thread changes the model.
  func run(rows: Int, batchSize: Int, _ body: (Executor, _ first: Int, _ count: Int) throws -> Void) throws {
    guard batchSize >= 0 else {
      throw MartletError.invalidArgument("batch_size must be 1 or more, or 0 for a chosen one; \(batchSize) came.")
    }
    // Rows without values can be more than anybody could go through.
    guard rows > 0, inputLengths.contains(where: { $0 > 0 }) || outputLengths.contains(where: { $0 > 0 }) else { return }
    try network.exclusivity.reading {
      try runBatches(rows: rows, size: min(batchSize == 0 ? Model.standardBatchSize : batchSize, rows), body)
    }
  }

  private func runBatches(
    rows: Int, size: Int, _ body: (Executor, _ first: Int, _ count: Int) throws -> Void
  ) throws {
    let executor = try takeExecutor(capacity: size)
    defer { idleExecutors.give(executor) }
    var first = 0
    while first < rows {
      let count = min(size, rows - first)
      try executor.prepare(rows: count)
      try body(executor, first, count)
      first += count
    }
  }

  /// An idle executor that holds `capacity` rows, or a new one.
  private func takeExecutor(capacity: Int) throws -> Executor {
    if let idle = idleExecutors.take(capacity: capacity, version: network.version) { return idle }
    let compute = try Compute.shared
    let plan = try Plan(
      network, inputs: inputNodes, outputs: outputNodes, capacity: capacity, training: false, wantsInputGradient: false,
      compute: compute)
    return try Executor(plan, compute)
  }
}

extension Executor {
  /// Has an output written to the caller's memory, where the plan can do that.
  func write(_ index: Int, to target: UnsafeMutablePointer<Float>?) { if let target { _ = writeOutput(index, at: target) } }

  /// After the run, copies an output that could not be written there.
  func copyOutput(_ index: Int, to target: UnsafeMutablePointer<Float>?, count: Int) {
    let source = outputFloats(index)
    if let target, source != target { target.update(from: source, count: count) }
  }

  /// The caller's memory is the caller's alone again: when every output has been copied, for two may be one value.
  func releaseOutputs() {
    for place in plan.outputs.indices { _ = writeOutput(place, at: nil) }
  }
}
