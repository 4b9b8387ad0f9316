// Whole epochs: shuffling, batching and steps inside the library.
import MartletRuntime

/// How ``Trainer/fit(_:_:_:onEvent:)`` goes through the data.
public struct FitOptions {
  /// ≥ 0.
  public var epochs = 1
  /// ≥ 1.
  public var batchSize = 32
  /// A new order each epoch, drawn from the seed and the epoch's number.
  public var shuffles = true
  /// Leaves out a last batch that is not full.
  public var dropsLast = false
  /// Of the order and the augmentation. Nil: the trainer's seed, and its count of epochs goes on, so that several fits are one long fit.
  /// A number: the sequence of that seed, from its epoch 0.
  public var seed: UInt64?
  /// Evaluated after each epoch, 1 row or more; nil: nothing.
  public var validation: (inputs: [ArrayView], targets: [ArrayView])?
  /// Random changes of the training images; nil: none. For models with one input of images `[H, W, C]`.
  public var augmentation: Augmentation?
  /// Of the images, those of validation included; the model keeps it (``Model/imageNormalization``) and applies it from then on. Nil: the
  /// model's own, if it has one. For models with one input of images `[H, W, C]`.
  public var normalization: ImageNormalization?
  /// What becomes of a step whose loss or gradient is not finite.
  public var onNonfinite = NonfinitePolicy.error

  public init(
    epochs: Int = 1, batchSize: Int = 32, shuffles: Bool = true, dropsLast: Bool = false, seed: UInt64? = nil,
    augmentation: Augmentation? = nil, normalization: ImageNormalization? = nil, onNonfinite: NonfinitePolicy = .error
  ) {
    self.epochs = epochs
    self.batchSize = batchSize
    self.shuffles = shuffles
    self.dropsLast = dropsLast
    self.seed = seed
    self.augmentation = augmentation
    self.normalization = normalization
    self.onNonfinite = onNonfinite
  }
}

/// What a fit tells while it runs.
public struct TrainingEvent {
  /// The numbers are the C API's.
  public enum Kind: Int32, Sendable {
    /// After each step.
    case step = 0
    /// After each epoch and its validation.
    case epoch = 1
  }

  public var kind: Kind
  /// This one within the fit, from 0. ``Trainer/epochCount`` counts those of all fits.
  public var epoch: Int
  public var epochs: Int
  /// Steps done in this fit.
  public var step: Int
  /// In all its epochs.
  public var steps: Int
  /// Of this step, or of the whole epoch. A step that was skipped has its loss and 0 rows, and no part in the epoch's figures.
  public var training: TrainingResult
  public var validation: TrainingResult?
}

extension Trainer {
  /// Trains for whole epochs.
  ///
  /// With an augmentation or a normalisation, images of uint8 or float32 stay where they are, and a thread prepares the next
  /// batch while a step runs; the caller leaves them alone until the fit is over.
  ///
  /// - Parameter onEvent: called after each step and each epoch, on this thread; false stops the fit there, with the model
  ///   usable.
  /// Order and augmentation of an epoch depend on the trainer's seed and ``epochCount`` alone, which goes on from fit to fit (an epoch
  /// counts when it begins, also if the fit is stopped in it): three fits of 3 epochs are one of 9, to the bit. See ``FitOptions/seed``.
  ///
  /// - Returns: the last epoch's training figures, each step's before its update.
  /// - Throws: ``MartletError/Kind/cancelled`` if `onEvent` stopped it; errors of what does not fit, before anything
  ///   changes. That includes a last batch of one row where batch norm needs two. ``MartletError/Kind/notFinite`` at the first step
  ///   whose loss or gradient is not finite, which changes nothing, with epoch, step and row (see ``FitOptions/onNonfinite``); for an
  ///   epoch whose every step was skipped; and where the last update made a parameter infinite.
  @discardableResult
  public func fit(
    _ inputs: [ArrayView], _ targets: [ArrayView], _ options: FitOptions = FitOptions(),
    onEvent: ((TrainingEvent) -> Bool)? = nil
  ) throws -> TrainingResult {
    try model.network.refuseDuringExchange("A trainer's fit")
    return try optimizer.changing { try runFit(inputs, targets, options, onEvent) }
  }

  private func runFit(
    _ inputs: [ArrayView], _ targets: [ArrayView], _ options: FitOptions, _ onEvent: ((TrainingEvent) -> Bool)?
  ) throws -> TrainingResult {
    let rows = try model.checkInputs(inputs)
    let checked = try checkTargets(targets, rows: rows)
    for target in checked { try target.checkValues(rows: rows) }
    guard options.epochs >= 0 else { throw MartletError.invalidArgument("epochs must be 0 or more; \(options.epochs) came.") }
    guard options.batchSize >= 1 else {
      throw MartletError.invalidArgument("batch_size must be 1 or more; \(options.batchSize) came.")
    }
    if let validation = options.validation {
      let validationRows = try model.checkInputs(validation.inputs, what: "validation_inputs")
      guard validationRows > 0 else {
        throw MartletError.invalidArgument(
          "validation_inputs: expected 1 row or more; got 0, whose loss is not a number. Leave the validation data out.")
      }
      for target in try checkTargets(validation.targets, rows: validationRows, what: "validation_targets") {
        try target.checkValues(rows: validationRows)
      }
      _ = try imageReader(validation.inputs, nil, options.normalization, what: "validation_inputs")
    }
    let reader = try imageReader(inputs, options.augmentation, options.normalization)
    let batchSize = min(options.batchSize, max(rows, 1))
    let lastRows = rows % batchSize
    let stepsPerEpoch = rows / batchSize + (lastRows > 0 && !options.dropsLast ? 1 : 0)
    guard rows > 0, options.epochs > 0 else { return loss.result(sum: 0, correct: 0, rows: 0) }
    let (steps, overflows) = stepsPerEpoch.multipliedReportingOverflow(by: options.epochs)
    guard !overflows else {
      throw MartletError.invalidArgument("epochs: \(options.epochs) times \(stepsPerEpoch) steps is too many.")
    }

    var memory = try stepMemory(rows: batchSize)
    if lastRows > 0 && !options.dropsLast {
      do { memory = try stepMemory(rows: lastRows, of: batchSize) } catch let error as MartletError {
        throw MartletError(
          error.kind,
          "The last batch of each epoch has \(lastRows) of \(rows) rows at batch_size \(batchSize). \(error.message) "
            + "Or leave it out (drop_last; dropsLast in Swift), or choose another batch size.")
      }
    }

    // From here on the model has been trained on normalized images, and predictions must see the same.
    if let normalization = options.normalization, model.imageNormalization == nil {
      try model.setImageNormalization(normalization)
    }
    let schedule = BatchSchedule(
      rows: rows, batchSize: batchSize, epochs: options.epochs, stepsPerEpoch: stepsPerEpoch, shuffles: options.shuffles,
      seed: options.seed ?? seed, firstEpoch: options.seed == nil ? epochCount : 0)
    let loader = try reader.map { try ImageLoader($0, schedule) }
    defer { loader?.finish() }
    let order = try Storage(byteCount: loader == nil ? rows * MemoryLayout<Int>.size : 0)
    let indices = UnsafeMutableBufferPointer(
      start: order.base.assumingMemoryBound(to: Int.self), count: loader == nil ? rows : 0)
    var done = 0
    var epochResult = loss.result(sum: 0, correct: 0, rows: 0)
    for epoch in 0..<options.epochs {
      epochCount += 1
      schedule.fill(indices, epoch: epoch)
      var total = (loss: 0.0, correct: 0, rows: 0)
      for number in 0..<stepsPerEpoch {
        let range = schedule.range(step: number)
        let count = range.count
        // A callback may have changed the model's switches.
        memory = try stepMemory(rows: count, of: batchSize)
        let next = loader?.next()
        let batch = next?.rows ?? UnsafeBufferPointer(rebasing: indices[range])
        let cut = microBatches
        let pieces = cut.count(rows: count)
        let executor = memory.executor
        var result: TrainingResult
        do {
          // Also where an exchange fails: the loader's memory ends with the fit, the executor does not.
          defer { if loader != nil { executor.readInput(0, at: nil) } }
          result = try run(memory, rows: count, pieces: pieces, explains: options.onNonfinite == .error) { piece in
            let rows = UnsafeBufferPointer(rebasing: batch[cut.range(piece, rows: count)])
            // A callback may have written to them.
            for (place, target) in checked.enumerated() {
              try target.load(rows, into: memory.targets[place].base, executor.compute)
            }
            return (rows.count, checked)
          } inputs: { piece in
            let range = cut.range(piece, rows: count)
            if let next {
              executor.readInput(0, from: next.pixels, first: range.lowerBound, count: range.count, isWhole: pieces == 1)
            } else {
              try executor.load(inputs, rows: UnsafeBufferPointer(rebasing: batch[range]))
            }
          }
        } catch let refusal as NonfiniteStep {
          guard options.onNonfinite == .skip else {
            throw refusal.error("Step \(number + 1) of epoch \(epoch + 1) of the fit") { "row \(batch[$0])" }
          }
          skippedStepCount += 1
          result = TrainingResult(loss: refusal.loss / Double(count), correct: 0, rows: 0)
        }
        loader?.release()
        // The rows of all shards, where there are some.
        if result.rows > 0 {
          total.loss += result.loss * Double(result.rows)
          total.correct &+= result.correct ?? 0
          total.rows &+= result.rows
        }
        done += 1
        if let onEvent,
          !onEvent(
            TrainingEvent(
              kind: .step, epoch: epoch, epochs: options.epochs, step: done, steps: steps, training: result))
        {
          throw MartletError(.cancelled, "The callback stopped the fit after step \(done) of \(steps).")
        }
      }
      guard total.rows > 0 || stepsPerEpoch == 0 else {
        throw MartletError.notFinite(
          "on_nonfinite: expected a step with a finite loss in each epoch; got none in epoch \(epoch + 1) of the fit, whose "
            + "\(stepsPerEpoch) steps were skipped. Look for NaN or infinity in the data and the parameters.")
      }
      epochResult = loss.result(sum: total.loss, correct: total.correct, rows: total.rows)
      let validation = try options.validation.map {
        try evaluate($0.inputs, $0.targets, batchSize: 0, normalization: options.normalization, what: "validation_")
      }
      if let onEvent,
        !onEvent(
          TrainingEvent(
            kind: .epoch, epoch: epoch, epochs: options.epochs, step: done, steps: steps, training: epochResult,
            validation: validation))
      {
        throw MartletError(.cancelled, "The callback stopped the fit after epoch \(epoch + 1) of \(options.epochs).")
      }
    }
    // Each step before has shown that what the update before it left is finite; nothing has looked at the last one's.
    if let (variable, count) = model.network.firstNonfiniteVariable() {
      throw MartletError.notFinite(
        "model: expected finite parameters and statistics after the fit; got NaN or infinity in \(count) of \(variable.count) "
          + "values of \"\(variable.name)\". Lower the learning rate, and load the tensors anew.")
    }
    return epochResult
  }
  /// What reads a fit's or an evaluation's images; nil if neither option is there.
  func imageReader(
    _ inputs: [ArrayView], _ augmentation: Augmentation?, _ normalization: ImageNormalization?, what: String = "inputs"
  ) throws -> ImageReader? {
    guard augmentation != nil || normalization != nil else { return nil }
    if let normalization { try model.checkAgrees(normalization) }
    guard inputs.count == 1 else {
      throw MartletError(
        .unsupported, "augmentation and normalization are for models with one input; this one has \(inputs.count).")
    }
    return try ImageReader(
      inputs[0], rowShape: model.inputShapes[0], augmentation, normalization ?? model.imageNormalization,
      argument: "\(what)[0]")
  }
}
