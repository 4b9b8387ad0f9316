// Targets that change while they are in use: what a step copied is what it checks and what its kernels read.
import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct ChangedTargetsTests {
  private let classes: Int32 = 5

  private func network() throws -> Model {
    try Model.sequential([Dense(6), BatchNorm(), ReLU(), Dense(Int(classes))], inputShape: [3], seed: 4)
  }

  /// A callback writes other labels: the next step throws before anything changes, and the fit ends with its error.
  @Test(arguments: [5, 7, 1_000_000, -1, Int32.min]) func aCallbackWritesLabels(_ wrong: Int32) throws {
    let x = try randomTensor([12, 3], seed: 1)
    var labels = (0..<12).map { Int32($0) % classes }
    try labels.withUnsafeMutableBufferPointer { buffer in
      let target = try ArrayView(buffer.baseAddress, .int32, shape: [12])
      let (model, base) = (try network(), buffer)
      let trainer = try Trainer(model, loss: .crossEntropy)
      var (after, steps): ([[UInt8]], Int) = ([], 0)
      expectError(.invalidArgument, "targets[0]: expected labels in 0..<5", "got \(wrong) in row") {
        try trainer.fit([x.view()], [target], FitOptions(epochs: 2, batchSize: 4)) { event in
          after = model.allBytes
          steps = event.step
          if event.step == 2 { base.update(repeating: wrong) }
          return true
        }
      }
      #expect(steps == 2 && model.allBytes == after)
      // The trainer is usable again.
      buffer.update(repeating: 1)
      #expect(try trainer.step([x.view()], [target]).rows == 12)
    }
    withExtendedLifetime(x) {}
  }

  /// The labels of the validation, too.
  @Test func aCallbackWritesValidationLabels() throws {
    let x = try randomTensor([8, 3], seed: 1)
    var (labels, others) = ([Int32](repeating: 1, count: 8), [Int32](repeating: 2, count: 8))
    try labels.withUnsafeMutableBufferPointer { buffer in
      try others.withUnsafeMutableBufferPointer { validation in
        let base = validation
        var options = FitOptions(batchSize: 4)
        options.validation = ([try x.view()], [try ArrayView(base.baseAddress, .int32, shape: [8])])
        let trainer = try Trainer(network(), loss: .crossEntropy)
        let target = try ArrayView(buffer.baseAddress, .int32, shape: [8])
        expectError(.invalidArgument, "validation_targets[0]: expected labels", "got 99 in row 0") {
          try trainer.fit([x.view()], [target], options) { _ in
            base.update(repeating: 99)
            return true
          }
        }
      }
    }
    withExtendedLifetime(x) {}
  }

  /// Values of the other losses are checked where they were copied to, at each step.
  @Test func aCallbackWritesValues() throws {
    let x = try randomTensor([8, 3], seed: 1)
    for (loss, wrong) in [(Loss.meanSquaredError, Float.nan), (.binaryCrossEntropy, 2), (.crossEntropy, 0.5)] {
      var values = (0..<40).map { $0 % 5 == 0 ? Float(1) : 0 }
      try values.withUnsafeMutableBufferPointer { buffer in
        let base = buffer
        let target = try ArrayView(base.baseAddress, .float32, shape: [8, 5])
        let trainer = try Trainer(network(), loss: loss)
        expectError(.invalidArgument, "targets[0]: expected", "in row") {
          try trainer.fit([x.view()], [target], FitOptions(batchSize: 4)) { _ in
            base.update(repeating: wrong)
            return true
          }
        }
      }
    }
    withExtendedLifetime(x) {}
  }

  /// In micro-batches all rows are checked before the first is run.
  @Test func microBatchesAreCheckedFirst() throws {
    let x = try randomTensor([12, 3], seed: 1)
    let model = try network()
    let trainer = try Trainer(model, loss: .crossEntropy)
    try trainer.setMicroBatchSize(4)
    let before = model.allBytes
    var labels = (0..<12).map { Int32($0) % classes }
    labels[11] = classes
    expectError(.invalidArgument, "got 5 in row 11") { _ = try trainer.step(x, labels: labels) }
    #expect(model.allBytes == before)
  }

  /// A fit in micro-batches, too: the labels that are wrong may be those of a later one.
  @Test func microBatchesOfAFitAreCheckedFirst() throws {
    let x = try randomTensor([12, 3], seed: 1)
    let model = try network()
    let trainer = try Trainer(model, loss: .crossEntropy)
    try trainer.setMicroBatchSize(2)
    var labels = (0..<12).map { Int32($0) % classes }
    try labels.withUnsafeMutableBufferPointer { buffer in
      let (target, base) = (try ArrayView(buffer.baseAddress, .int32, shape: [12]), buffer)
      var after: [[UInt8]] = []
      expectError(.invalidArgument, "got 9 in row 11") {
        try trainer.fit([x.view()], [target], FitOptions(batchSize: 6, shuffles: false)) { _ in
          after = model.allBytes
          base[11] = 9
          return true
        }
      }
      #expect(model.allBytes == after)
    }
    withExtendedLifetime(x) {}
  }

  @Test func validationNeedsRows() throws {
    let x = try randomTensor([8, 3], seed: 1)
    let labels = [Int32](repeating: 1, count: 8)
    try labels.withUnsafeBufferPointer { buffer in
      let target = try ArrayView(UnsafeMutableRawPointer(mutating: buffer.baseAddress), .int32, shape: [8])
      var options = FitOptions()
      options.validation = ([try Tensor(shape: [0, 3]).view()], [try ArrayView(nil, .int32, shape: [0])])
      let model = try network()
      let before = model.allBytes
      expectError(.invalidArgument, "validation_inputs: expected 1 row or more; got 0") {
        try Trainer(model, loss: .crossEntropy).fit([x.view()], [target], options)
      }
      #expect(model.allBytes == before)
    }
    withExtendedLifetime(x) {}
  }
}
