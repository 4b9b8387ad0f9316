// A training step whose loss or gradient is not finite: nothing of it is kept, and the error says where it came from.
import MartletRuntime

/// What a fit does with a step whose loss or gradient is not finite. The step itself changes nothing in either case.
public enum NonfinitePolicy: Int32, Sendable, CaseIterable {
  /// The fit throws ``MartletError/Kind/notFinite``.
  case error = 0
  /// The fit goes on with the next batch; ``Trainer/skippedStepCount`` counts the step.
  case skip = 1
}

/// Why a step was refused.
struct NonfiniteStep: Error {
  /// The first of these that was found, in this order.
  enum Cause {
    /// A parameter or statistic was not finite before the step.
    case variable(Variable, count: Int)
    /// A row of an input holds such a value.
    case input(Int, row: Int, value: Float)
    /// Input and target are finite; the loss of this row is not.
    case row(Int, loss: Double)
    /// The loss is finite; a parameter's gradient is not.
    case gradient(Variable)
    /// Another shard's rows, or a sum of finite losses beyond the range of numbers; or nobody looked.
    case unknown
  }

  /// Sum over the rows so far.
  let loss: Double
  var cause = Cause.unknown

  /// - Parameters:
  ///   - place: the step in words, such as "step 3 of epoch 1".
  ///   - name: a row of the batch in words.
  func error(_ place: String, row name: (Int) -> String) -> MartletError {
    let kept = "\(place) was not taken: parameters, optimizer and statistics are as before it."
    switch cause {
    case .variable(let variable, let count):
      return .notFinite(
        "model: expected finite parameters and statistics; got NaN or infinity in \(count) of \(variable.count) values of "
          + "\"\(variable.name)\". \(kept) Load the tensor anew, or make the model anew.")
    case .input(let index, let row, let value):
      return .notFinite(
        "inputs[\(index)]: expected finite values; got \(value) in \(name(row)). \(kept) Repair or remove such rows, or have fit "
          + "skip their steps with on_nonfinite.")
    case .row(let row, let loss):
      return .notFinite(
        "loss: expected a finite number; got \(loss) in \(name(row)), whose input and target are finite. \(kept) Lower the "
          + "learning rate, or bring inputs and targets to a scale of about 1.")
    case .gradient(let variable):
      return .notFinite(
        "gradients: expected finite numbers; got NaN or infinity in the gradient of \"\(variable.name)\", while the loss is finite. "
          + "\(kept) Lower the learning rate, or bring inputs and targets to a scale of about 1.")
    case .unknown:
      return .notFinite(
        "loss: expected a finite number; got \(loss) as the sum over the rows. \(kept) Each row by itself is finite here: with "
          + "shards look at the rows of the others, else bring targets to a scale of about 1.")
    }
  }
}

extension Trainer {
  /// Finds out why a step was refused, after what it moved was put back. May run the model once more.
  ///
  /// - Parameters:
  ///   - pieces: how many ran.
  ///   - runsAgain: whether the forward pass may be repeated to see each row's loss.
  func cause(
    _ memory: StepMemory, pieces: Int, runsAgain: Bool, key: UInt64,
    _ load: (_ piece: Int) throws -> (rows: Int, targets: [Targets])
  ) -> NonfiniteStep.Cause {
    if let (variable, count) = model.network.firstNonfiniteVariable() { return .variable(variable, count: count) }
    let executor = memory.executor
    var first = 0
    for piece in 0..<pieces {
      guard let count = try? load(piece).rows else { return .unknown }
      for (place, length) in executor.plan.inputLengths.enumerated() {
        if let (i, value) = firstNonfinite(executor.inputFloats(place), count: count * length) {
          return .input(place, row: first + i / length, value: value)
        }
      }
      first += count
    }
    guard runsAgain else { return .unknown }
    defer { memory.stateBefore.restore() }
    first = 0
    for piece in 0..<pieces {
      guard let (count, targets) = try? load(piece), (try? executor.prepare(rows: count)) != nil else { return .unknown }
      executor.randomKey = Trainer.dropoutKey(key, piece: piece)
      executor.forward()
      for row in 0..<count {
        for (place, target) in targets.enumerated() {
          let loss = target.evaluate(
            executor.outputFloats(place) + row * target.columns, memory.targets[place].base + row * target.bytesPerRow, rows: 1,
            gradient: nil, gradientScale: 0, workspace: memory.workspace.base, executor.compute
          ).sum
          if !loss.isFinite { return .row(first + row, loss: loss) }
        }
      }
      first += count
    }
    return .unknown
  }

  private func firstNonfinite(_ values: UnsafePointer<Float>, count: Int) -> (index: Int, value: Float)? {
    for i in 0..<count where !values[i].isFinite { return (i, values[i]) }
    return nil
  }
}

extension Network {
  /// The first variable that holds a NaN or an infinity, and how many.
  func firstNonfiniteVariable() -> (Variable, count: Int)? {
    for layer in layers {
      for variable in layer.variables {
        let count = variable.nonfiniteCount
        if count > 0 { return (variable, count) }
      }
    }
    return nil
  }
}

extension Variable {
  /// How many of its values are NaN or infinite.
  var nonfiniteCount: Int {
    var found = 0
    switch dataType {
    case .float32: for i in 0..<count where !storage.floats[i].isFinite { found += 1 }
    case .float64: for i in 0..<count where !storage.doubles[i].isFinite { found += 1 }
    default: break
    }
    return found
  }
}
