import MartletRuntime
import MartletTestSupport
import Testing

@testable import Martlet

/// uint8 images and their labels, for as long as the object lives.
private final class Pictures {
  static let shape = [6, 5, 3]
  let count: Int
  private let memory: UnsafeMutableBufferPointer<UInt8>
  let labels: [Int32]

  init(_ count: Int, seed: UInt64) {
    self.count = count
    var random = TestRandom(seed: seed)
    memory = .allocate(capacity: count * 90)
    _ = memory.initialize(from: random.array(count * 90, 0...255.99).map { UInt8($0) })
    labels = (0..<count).map { Int32($0 * 5 % 3) }
  }
  deinit { memory.deallocate() }

  func view() throws -> ArrayView { try ArrayView(memory.baseAddress, .uint8, shape: [count] + Pictures.shape) }
  func withTargets<Result>(_ body: (ArrayView) throws -> Result) throws -> Result {
    var labels = labels
    return try labels.withUnsafeMutableBytes { try body(ArrayView($0.baseAddress, .int32, shape: [count])) }
  }
}

@Suite struct ImageFitTests {
  private let augmentation = Augmentation(cropPadding: 2, flips: true, cutout: 3)
  private let normalization = ImageNormalization(mean: [0.5, 0.4, 0.6], standardDeviation: [0.2, 0.3, 0.25])

  private func network() throws -> Model {
    try Model.sequential([Flatten(), Dense(7), BatchNorm(), ReLU(), Dense(3)], inputShape: Pictures.shape, seed: 4)
  }
  private func fitOptions(epochs: Int = 3, batchSize: Int = 8, shuffles: Bool = true, seed: UInt64 = 6) -> FitOptions {
    FitOptions(
      epochs: epochs, batchSize: batchSize, shuffles: shuffles, seed: seed, augmentation: augmentation,
      normalization: normalization)
  }

  /// A fit is its steps on images read one by one: the same bits.
  @Test func aFitIsItsSteps() throws {
    let pictures = Pictures(22, seed: 1)
    let (a, b) = (try network(), try network())
    let fitted = try Trainer(a, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.1))
    let stepped = try Trainer(b, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.1))
    _ = try pictures.withTargets { try fitted.fit([pictures.view()], [$0], fitOptions()) }
    let reader = try ImageReader(pictures.view(), rowShape: Pictures.shape, augmentation, normalization)
    var seen = Set<[Float]>()
    for epoch in 0..<3 {
      let order = UnsafeMutableBufferPointer<Int>.allocate(capacity: 22)
      defer { order.deallocate() }
      CounterRandom(seed: 6, stream: UInt64(epoch)).shuffle(order)
      for first in stride(from: 0, to: 22, by: 8) {
        let rows = Array(order[first..<min(first + 8, 22)])
        let x = try Tensor(shape: [rows.count] + Pictures.shape)
        for (place, row) in rows.enumerated() {
          let choice = reader.choice(row, ImageChoice.random(seed: 6, epoch: epoch))
          reader.read(row, choice, into: x.storage.floats + place * 90)
        }
        seen.insert(x.values)
        try stepped.step(x, labels: rows.map { pictures.labels[$0] })
      }
    }
    #expect(a.allBytes == b.allBytes)
    #expect(seen.count == 9)
    withExtendedLifetime(pictures) {}
  }

  /// Each epoch's images by number, as batches of this size bring them.
  private func images(_ pictures: Pictures, batchSize: Int, shuffles: Bool) throws -> [[Int: [Float]]] {
    let count = pictures.count
    let reader = try ImageReader(pictures.view(), rowShape: Pictures.shape, augmentation, normalization)
    let schedule = BatchSchedule(
      rows: count, batchSize: batchSize, epochs: 3, stepsPerEpoch: (count + batchSize - 1) / batchSize, shuffles: shuffles,
      seed: 9)
    let loader = try ImageLoader(reader, schedule)
    defer { loader.finish() }
    return (0..<3).map { _ in
      var epoch: [Int: [Float]] = [:]
      for _ in 0..<schedule.stepsPerEpoch {
        let (rows, pixels) = loader.next()
        let values = pixels.assumingMemoryBound(to: Float.self)
        for (place, row) in rows.enumerated() {
          epoch[row] = Array(UnsafeBufferPointer(start: values + place * 90, count: 90))
        }
        loader.release()
      }
      return epoch
    }
  }

  @Test func batchSizeAndOrderDoNotMatter() throws {
    let pictures = Pictures(23, seed: 2)
    let want = try images(pictures, batchSize: 23, shuffles: false)
    #expect(want.allSatisfy { $0.count == 23 } && want[0] != want[1] && want[1] != want[2])
    for size in [1, 4, 22] {
      #expect(try images(pictures, batchSize: size, shuffles: false) == want)
      #expect(try images(pictures, batchSize: size, shuffles: true) == want)
    }
    withExtendedLifetime(pictures) {}
  }

  @Test func reproducible() throws {
    let pictures = Pictures(40, seed: 3)
    func fit(seed: UInt64) throws -> [[UInt8]] {
      let model = try network()
      let trainer = try Trainer(model, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.1))
      _ = try pictures.withTargets { try trainer.fit([pictures.view()], [$0], fitOptions(seed: seed)) }
      return model.allBytes
    }
    let threads = Machine.threadCount
    defer { try? Machine.setThreadCount(threads) }
    try Machine.setThreadCount(1)
    let want = try fit(seed: 1)
    for count in [2, 5] {
      try Machine.setThreadCount(count)
      #expect(try fit(seed: 1) == want)
    }
    #expect(try fit(seed: 2) != want)
    withExtendedLifetime(pictures) {}
  }

  /// Validation and evaluation are normalised, not augmented: what they say is what normalised floats say.
  @Test func evaluating() throws {
    let (pictures, others) = (Pictures(20, seed: 4), Pictures(300, seed: 5))
    let model = try network()
    let trainer = try Trainer(model, loss: .crossEntropy)
    let reader = try ImageReader(others.view(), rowShape: Pictures.shape, nil, normalization)
    let x = try Tensor(shape: [300] + Pictures.shape)
    for image in 0..<300 { reader.read(image, ImageChoice(), into: x.storage.floats + image * 90) }
    try pictures.withTargets { targets in
      try others.withTargets { otherTargets in
        var options = fitOptions()
        options.validation = ([try others.view()], [otherTargets])
        var epochs = 0
        var last: TrainingResult?
        try trainer.fit([pictures.view()], [targets], options) { event in
          guard event.kind == .epoch else { return true }
          epochs += 1
          last = event.validation
          // The model keeps the normalization of the fit.
          #expect(try! trainer.evaluate([others.view()], [otherTargets]) == event.validation)
          #expect(
            try! trainer.evaluate([others.view()], [otherTargets], batchSize: 256, normalization: self.normalization)
              == event.validation)
          return true
        }
        #expect(epochs == 3)
        try model.setImageNormalization(nil)
        #expect(try trainer.evaluate(x, labels: others.labels) == last)
      }
    }
    withExtendedLifetime((pictures, others)) {}
  }

  @Test func cancelling() throws {
    let pictures = Pictures(20, seed: 1)
    let model = try network()
    let trainer = try Trainer(model, loss: .crossEntropy)
    try pictures.withTargets { targets in
      expectError(.cancelled, "after step 2 of 9") {
        _ = try trainer.fit([pictures.view()], [targets], fitOptions()) { $0.step < 2 }
      }
      #expect(trainer.optimizer.stepCount == 2)
      // Usable, with and without images of the loader's: nothing is read where they were.
      let step = try trainer.step([pictures.view()], [targets])
      let fit = try trainer.fit([pictures.view()], [targets], fitOptions(epochs: 1))
      #expect(step.rows == 20 && fit.rows == 20)
    }
    withExtendedLifetime(pictures) {}
  }

  /// A callback may make the plan anew.
  @Test func switchesChangedInACallback() throws {
    let pictures = Pictures(40, seed: 1)
    let model = try network()
    let trainer = try Trainer(model, loss: .crossEntropy)
    var tracked: [Int64] = []
    _ = try pictures.withTargets { targets in
      try trainer.fit([pictures.view()], [targets], fitOptions(epochs: 1)) { event in
        guard event.kind == .step else { return true }
        tracked.append(try! model.variable(named: "2.num_batches_tracked").integer)
        if event.step == 2 { try! model.setBatchNormSwitches(layer: nil, .frozen) }
        return true
      }
    }
    #expect(tracked == [1, 2, 2, 2, 2])
    withExtendedLifetime(pictures) {}
  }

  @Test func errorsChangeNothing() throws {
    let pictures = Pictures(20, seed: 1)
    let model = try network()
    let trainer = try Trainer(model, loss: .crossEntropy)
    let before = model.allBytes
    try pictures.withTargets { targets in
      var options = fitOptions()
      options.augmentation?.cropPadding = 5
      expectError(.invalidArgument, "crop_padding", "smaller side, 5") {
        _ = try trainer.fit([pictures.view()], [targets], options)
      }
      options.augmentation = nil
      options.normalization?.mean = [0, 0]
      expectError(.shapeMismatch, "mean", "3 values") { _ = try trainer.fit([pictures.view()], [targets], options) }
      expectError(.shapeMismatch, "mean") {
        _ = try trainer.evaluate([pictures.view()], [targets], normalization: options.normalization)
      }
    }
    let flat = try Trainer(Model.sequential([Dense(3)], inputShape: [4]), loss: .crossEntropy)
    expectError(.shapeMismatch, "[height, width, channels]", "[4]") {
      _ = try flat.fit(randomTensor([6, 4], seed: 1), labels: [0, 1, 2, 0, 1, 2], fitOptions())
    }
    #expect(model.allBytes == before)
    #expect(
      try trainer.fit(Tensor(shape: [0] + Pictures.shape), labels: [], fitOptions()) == TrainingResult())
    withExtendedLifetime(pictures) {}
  }
}
