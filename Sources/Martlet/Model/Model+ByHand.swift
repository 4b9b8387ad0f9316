// Forward and backward, one batch at a time, under the caller's control.
import MartletRuntime

/// What the last call left in the executor of loops by hand.
enum HandPhase {
  case none
  /// Outputs of an inference pass.
  case inferred
  /// Outputs of a training pass, whose gradients may be asked for.
  case trained
  /// The backward pass has run.
  case differentiated
}

extension Model {
  /// Runs one batch.
  ///
  /// Training keeps what ``backward(_:accumulate:)`` needs, normalises with the batch's statistics, drops out, and moves
  /// the moving statistics.
  /// Read the result with ``output(_:)``.
  ///
  /// - Throws: ``MartletError/Kind/shapeMismatch`` for inputs that do not fit; ``MartletError/Kind/invalidArgument`` for
  ///   one value per channel
  ///   in training. The state is unchanged after a throw.
  public func forward(_ inputs: [ArrayView], training: Bool) throws {
    try network.refuseDuringExchange("forward")
    try network.exclusivity.changing { try runForward(inputs, training: training) }
  }

  private func runForward(_ inputs: [ArrayView], training: Bool) throws {
    let rows = try checkInputs(inputs)
    let executor = try handExecutor(capacity: max(rows, 1), training: training)
    try executor.prepare(rows: rows)
    // Of a forward that fails nothing is left.
    handPhase = .none
    try executor.loadCopies(inputs, count: rows)
    handInputIsBytes = inputs.first?.dataType == .uint8
    if training { executor.randomKey = StableHash.mixed(handSeed ^ StableHash.mixed(handBatches)) }
    try executor.forwardShard()
    if training { handBatches &+= 1 }
    handExecutor = executor
    handPhase = training ? .trained : .inferred
  }

  private func handExecutor(capacity: Int, training: Bool) throws -> Executor {
    if let handExecutor, handExecutor.plan.version == network.version, handExecutor.plan.isTraining == training,
      handExecutor.plan.capacity >= capacity
    {
      return handExecutor
    }
    let compute = try Compute.shared
    let plan = try Plan(
      network, inputs: inputNodes, outputs: outputNodes, capacity: capacity, training: training,
      wantsInputGradient: training, compute: compute)
    return try Executor(plan, compute)
  }

  /// An output of the last ``forward(_:training:)``, in place; until the next forward.
  public func output(_ index: Int) throws -> ArrayView { try network.exclusivity.reading { try lastOutput(index) } }

  private func lastOutput(_ index: Int) throws -> ArrayView {
    guard let executor = handExecutor, handPhase != .none else {
      throw MartletError.invalidState("There is no output: run forward first.")
    }
    guard outputNodes.indices.contains(index) else {
      throw MartletError.invalidArgument("index: the model has \(outputNodes.count) outputs; \(index) came.")
    }
    return try ArrayView(executor.outputFloats(index), .float32, shape: [executor.rows] + outputShapes[index])
  }

  /// Gradients of the last training forward, given the gradient of the loss by each output.
  ///
  /// - Parameter accumulate: adds to the parameters' gradients instead of overwriting them.
  /// - Throws: ``MartletError/Kind/invalidState`` if the last forward was not in training, or its gradients were already
  ///   taken.
  public func backward(_ gradOutputs: [ArrayView], accumulate: Bool = false) throws {
    try network.refuseDuringExchange("backward")
    try network.exclusivity.changing { try runBackward(gradOutputs, accumulate: accumulate) }
  }

  private func runBackward(_ gradOutputs: [ArrayView], accumulate: Bool) throws {
    guard let executor = handExecutor, handPhase == .trained else {
      throw MartletError.invalidState(
        handPhase == .differentiated
          ? "backward has already run for the last forward: run forward(training) again first."
          : "backward needs a forward in training first.")
    }
    guard executor.plan.version == network.version else {
      throw MartletError.invalidState("The model's switches changed since the last forward: run forward(training) again first.")
    }
    try checkOutputArrays(gradOutputs, rows: executor.rows, what: "grad_outputs")
    handPhase = .none
    try executor.loadOutputGradients(gradOutputs)
    executor.accumulatesGradients = accumulate
    try executor.backwardShard()
    if let normalizer = network.imageNormalizer, let gradient = executor.inputGradient(0) {
      normalizer.differentiate(gradient, count: executor.rows * inputLengths[0], areBytes: handInputIsBytes)
    }
    handPhase = .differentiated
  }

  /// The gradient by an input after ``backward(_:accumulate:)``, in place; until the next forward.
  public func inputGradient(_ index: Int) throws -> ArrayView {
    try network.exclusivity.reading { try lastInputGradient(index) }
  }

  private func lastInputGradient(_ index: Int) throws -> ArrayView {
    guard let executor = handExecutor, handPhase == .differentiated else {
      throw MartletError.invalidState("There is no input gradient: run forward(training) and backward first.")
    }
    guard inputNodes.indices.contains(index) else {
      throw MartletError.invalidArgument("index: the model has \(inputNodes.count) inputs; \(index) came.")
    }
    let shape = [executor.rows] + inputShapes[index]
    guard let floats = executor.inputGradient(index) else {
      throw MartletError.invalidState("The outputs do not depend on input \(index), so it has no gradient.")
    }
    return try ArrayView(floats, .float32, shape: shape)
  }
}

extension Executor {
  /// Two outputs may be one value: the second gradient adds to the first.
  func loadOutputGradients(_ arrays: [ArrayView]) throws {
    for (place, array) in arrays.enumerated() {
      guard let target = outputGradient(place), array.count > 0 else { continue }
      if !plan.ownsOutputGradient[place] {
        let copy = try Storage(byteCount: array.count * 4, isZeroed: false)
        try array.copy(into: copy.floats, "grad_outputs[\(place)]")
        compute.add(copy.floats, count: array.count, to: target)
      } else {
        try array.copy(into: target, "grad_outputs[\(place)]")
      }
    }
  }
}

extension Model {
  /// One batch of one input, one output.
  public func forward(_ x: Tensor, training: Bool) throws -> Tensor {
    try MartletError.naming(["inputs[0]": "x"]) {
      try withExtendedLifetime(x) {
        try forward([x.view("x")], training: training)
        return try Tensor(copying: output(0))
      }
    }
  }

  /// The gradient by the only input.
  public func backward(_ gradOutput: Tensor, accumulate: Bool = false) throws -> Tensor {
    try MartletError.naming(["grad_outputs[0]": "gradOutput"]) {
      try withExtendedLifetime(gradOutput) {
        try backward([gradOutput.view("gradOutput")], accumulate: accumulate)
        return try Tensor(copying: inputGradient(0))
      }
    }
  }
}
