// Header sections: losses and optimizers, training.
import CMartlet
import Martlet
import MartletRuntime

@_cdecl("martlet_loss") @implementation
public func martlet_loss(
  _ kind: Int32, _ output: UnsafePointer<martlet_array>!, _ target: UnsafePointer<martlet_array>!,
  _ out_loss: UnsafeMutablePointer<Double>!, _ out_correct: UnsafeMutablePointer<Int64>!,
  _ gradient: UnsafePointer<martlet_array>!
) -> martlet_status {
  boundary {
    let loss: Loss = try choice(kind, "kind")
    let outLoss = try require(out_loss, "out_loss")
    let result = try loss(
      ArrayView(output, "output"), ArrayView(target, "target"), gradient: ArrayView.optional(gradient, "gradient"))
    outLoss.pointee = result.loss
    out_correct?.pointee = Int64(result.correct ?? -1)
  }
}

@_cdecl("martlet_optimizer_create") @implementation
public func martlet_optimizer_create(
  _ out: UnsafeMutablePointer<OpaquePointer?>!, _ handle: OpaquePointer!,
  _ options: UnsafePointer<martlet_optimizer_options>!
) -> martlet_status {
  boundary { try create(out) { try Optimizer(model(handle), OptimizerOptions(options)) } }
}

@_cdecl("martlet_optimizer_destroy") @implementation
public func martlet_optimizer_destroy(_ optimizer: OpaquePointer!) { destroy(optimizer, as: Optimizer.self) }

@_cdecl("martlet_optimizer_step") @implementation
public func martlet_optimizer_step(_ optimizer: OpaquePointer!) -> martlet_status {
  boundary { try object(optimizer, "optimizer", as: Optimizer.self).step() }
}

@_cdecl("martlet_optimizer_learning_rate") @implementation
public func martlet_optimizer_learning_rate(_ optimizer: OpaquePointer!) -> Double {
  (try? object(optimizer, "optimizer", as: Optimizer.self).learningRate) ?? .nan
}

@_cdecl("martlet_optimizer_set_learning_rate") @implementation
public func martlet_optimizer_set_learning_rate(_ optimizer: OpaquePointer!, _ learning_rate: Double) -> martlet_status {
  boundary { try object(optimizer, "optimizer", as: Optimizer.self).setLearningRate(learning_rate) }
}

private func trainer(_ handle: OpaquePointer?) throws -> Trainer { try object(handle, "trainer") }

/// Inputs and targets: one of each for every input and output of the trainer's model.
private func data(
  _ trainer: Trainer, _ inputs: UnsafePointer<martlet_array>?, _ inputCount: Int32,
  _ targets: UnsafePointer<martlet_array>?, _ targetCount: Int32, _ prefix: String = ""
) throws -> (inputs: [ArrayView], targets: [ArrayView]) {
  let model = trainer.model
  return try (
    ArrayView.list(inputs, inputCount, of: model.inputCount, prefix + "inputs"),
    ArrayView.list(targets, targetCount, of: model.outputCount, prefix + "targets")
  )
}

extension martlet_result {
  init(_ result: TrainingResult) {
    self.init(loss: result.loss, correct: Int64(result.correct ?? -1), rows: Int64(result.rows))
  }
}

@_cdecl("martlet_trainer_create") @implementation
public func martlet_trainer_create(
  _ out: UnsafeMutablePointer<OpaquePointer?>!, _ handle: OpaquePointer!, _ loss: Int32,
  _ optimizer: UnsafePointer<martlet_optimizer_options>!, _ seed: UInt64
) -> martlet_status {
  boundary {
    try create(out) {
      try Trainer(model(handle), loss: choice(loss, "loss"), optimizer: OptimizerOptions(optimizer), seed: seed)
    }
  }
}

@_cdecl("martlet_trainer_destroy") @implementation
public func martlet_trainer_destroy(_ trainer: OpaquePointer!) { destroy(trainer, as: Trainer.self) }

@_cdecl("martlet_trainer_learning_rate") @implementation
public func martlet_trainer_learning_rate(_ handle: OpaquePointer!) -> Double { (try? trainer(handle).learningRate) ?? .nan }

@_cdecl("martlet_trainer_set_learning_rate") @implementation
public func martlet_trainer_set_learning_rate(_ handle: OpaquePointer!, _ learning_rate: Double) -> martlet_status {
  boundary { try trainer(handle).setLearningRate(learning_rate) }
}

@_cdecl("martlet_trainer_epoch") @implementation
public func martlet_trainer_epoch(_ handle: OpaquePointer!) -> Int64 {
  (try? trainer(handle)).map { Int64($0.epochCount) } ?? 0
}

@_cdecl("martlet_trainer_skipped_steps") @implementation
public func martlet_trainer_skipped_steps(_ handle: OpaquePointer!) -> Int64 {
  (try? trainer(handle)).map { Int64($0.skippedStepCount) } ?? 0
}

@_cdecl("martlet_trainer_step") @implementation
public func martlet_trainer_step(
  _ handle: OpaquePointer!, _ inputs: UnsafePointer<martlet_array>!, _ input_count: Int32,
  _ targets: UnsafePointer<martlet_array>!, _ target_count: Int32, _ out: UnsafeMutablePointer<martlet_result>!
) -> martlet_status {
  boundary {
    let trainer = try trainer(handle)
    let (inputs, targets) = try data(trainer, inputs, input_count, targets, target_count)
    let result = try trainer.step(inputs, targets)
    out?.pointee = martlet_result(result)
  }
}

@_cdecl("martlet_trainer_set_micro_batch_size") @implementation
public func martlet_trainer_set_micro_batch_size(_ handle: OpaquePointer!, _ size: Int64) -> martlet_status {
  boundary { try trainer(handle).setMicroBatchSize(size == 0 ? nil : Int(size)) }
}

@_cdecl("martlet_trainer_micro_batch_size") @implementation
public func martlet_trainer_micro_batch_size(_ handle: OpaquePointer!) -> Int64 {
  (try? trainer(handle).microBatchSize).map { Int64($0) } ?? 0
}

@_cdecl("martlet_trainer_step_micro_batches") @implementation
public func martlet_trainer_step_micro_batches(
  _ handle: OpaquePointer!, _ count: Int32, _ inputs: UnsafePointer<martlet_array>!,
  _ targets: UnsafePointer<martlet_array>!, _ statistics: Int32, _ out: UnsafeMutablePointer<martlet_result>!
) -> martlet_status {
  boundary {
    let trainer = try trainer(handle)
    let chosen: MicroBatchStatistics = try choice(statistics, "statistics")
    guard count >= 0 else { throw MartletError(.invalidArgument, "count must be 0 or more; \(count) came.") }
    let (inputCount, targetCount) = (trainer.model.inputCount, trainer.model.outputCount)
    let result = try trainer.step(
      microBatches: (0..<Int(count)).map { part in
        try data(
          trainer, require(inputs, "inputs") + part * inputCount, Int32(clamping: inputCount),
          require(targets, "targets") + part * targetCount, Int32(clamping: targetCount), "micro_batches[\(part)].")
      }, statistics: chosen)
    out?.pointee = martlet_result(result)
  }
}

@_cdecl("martlet_trainer_evaluate") @implementation
public func martlet_trainer_evaluate(
  _ handle: OpaquePointer!, _ inputs: UnsafePointer<martlet_array>!, _ input_count: Int32,
  _ targets: UnsafePointer<martlet_array>!, _ target_count: Int32, _ batch_size: Int64,
  _ out: UnsafeMutablePointer<martlet_result>!
) -> martlet_status {
  boundary {
    let out = try require(out, "out")
    let trainer = try trainer(handle)
    let (inputs, targets) = try data(trainer, inputs, input_count, targets, target_count)
    out.pointee = martlet_result(try trainer.evaluate(inputs, targets, batchSize: Int(batch_size)))
  }
}

@_cdecl("martlet_trainer_evaluate_normalized") @implementation
public func martlet_trainer_evaluate_normalized(
  _ handle: OpaquePointer!, _ inputs: UnsafePointer<martlet_array>!, _ input_count: Int32,
  _ targets: UnsafePointer<martlet_array>!, _ target_count: Int32, _ batch_size: Int64,
  _ normalization: UnsafePointer<martlet_image_normalization>!, _ out: UnsafeMutablePointer<martlet_result>!
) -> martlet_status {
  boundary {
    let out = try require(out, "out")
    let trainer = try trainer(handle)
    let (inputs, targets) = try data(trainer, inputs, input_count, targets, target_count)
    out.pointee = martlet_result(
      try trainer.evaluate(
        inputs, targets, batchSize: Int(batch_size),
        normalization: ImageNormalization.optional(normalization, "normalization")))
  }
}

@_cdecl("martlet_trainer_fit") @implementation
public func martlet_trainer_fit(
  _ handle: OpaquePointer!, _ inputs: UnsafePointer<martlet_array>!, _ input_count: Int32,
  _ targets: UnsafePointer<martlet_array>!, _ target_count: Int32, _ options: UnsafePointer<martlet_fit_options>!,
  _ out: UnsafeMutablePointer<martlet_result>!
) -> martlet_status {
  boundary {
    let trainer = try trainer(handle)
    let given = try MartletC.options(options, "options")
    let (inputs, targets) = try data(trainer, inputs, input_count, targets, target_count)
    let fitOptions = try FitOptions(given, trainer)
    let callback = given?.callback
    let payload = given?.payload
    let result = try trainer.fit(
      inputs, targets, fitOptions,
      onEvent: callback.map { callback in
        { event in
          var record = martlet_training_event(event)
          return FloatingPointEnvironment.callers { callback(&record, payload) == 0 }
        }
      })
    out?.pointee = martlet_result(result)
  }
}

extension FitOptions {
  init(_ given: martlet_fit_options?, _ trainer: Trainer) throws {
    self.init()
    guard let given else { return }
    epochs = Int(given.epochs)
    batchSize = Int(given.batch_size)
    shuffles = try flag(given.shuffle, "options.shuffle")
    dropsLast = try flag(given.drop_last, "options.drop_last")
    seed = given.seed?.pointee
    onNonfinite = try choice(given.on_nonfinite, "options.on_nonfinite")
    guard given.reserved == 0 else {
      throw MartletError(.invalidArgument, "options.reserved: expected 0; got \(given.reserved). Start from the INIT macro.")
    }
    guard (given.validation_inputs == nil) == (given.validation_targets == nil) else {
      throw MartletError(
        .invalidArgument, "options.validation_inputs and options.validation_targets come together: give both, or NULL for both."
      )
    }
    if given.validation_inputs != nil {
      validation = try data(
        trainer, given.validation_inputs, Int32(trainer.model.inputCount), given.validation_targets,
        Int32(trainer.model.outputCount), "options.validation_")
    }
    augmentation = try Augmentation.optional(given.augmentation, "options.augmentation")
    normalization = try ImageNormalization.optional(given.normalization, "options.normalization")
  }
}

extension martlet_training_event {
  init(_ event: TrainingEvent) {
    self.init(
      kind: event.kind.rawValue, has_validation: event.validation == nil ? 0 : 1, epoch: Int64(event.epoch),
      epochs: Int64(event.epochs), step: Int64(event.step), steps: Int64(event.steps),
      training: martlet_result(event.training), validation: martlet_result(event.validation ?? TrainingResult()))
  }
}
