// A training step after the first allocates nothing, on any thread: counted in an optimised build by a malloc that counts.
// (Without optimisation, Swift's own generic iterators allocate.) Exits with 1 if a count is not what it should be.
import CAllocationCounter
import Martlet

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

@main @MainActor struct AllocationCheck {
  static var failures = 0

  /// Allocations of all threads during `body`.
  static func count(_ body: () throws -> Void) rethrows -> Int {
    let before = allocation_counter_total()
    try body()
    return Int(allocation_counter_total() - before)
  }

  static func expect(_ isRight: Bool, _ what: String) {
    if isRight { return }
    print("AllocationCheck: FAILED: \(what)")
    failures += 1
  }

  /// Memory for the length of the program.
  ///
  /// - Parameter value: of every element; nil: several.
  static func array(_ type: DataType, _ shape: [Int], strides: [Int]? = nil, value: Float? = nil) throws -> ArrayView {
    let bytes = shape.reduce(8, *)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    if type == .float32 {
      for i in 0..<shape.reduce(1, *) {
        memory.storeBytes(of: value ?? Float(i % 97) / 97, toByteOffset: 4 * i, as: Float.self)
      }
    }
    return try ArrayView(memory, type, shape: shape, strides: strides)
  }

  /// Every layer, large enough for several pieces of work.
  static func network() throws -> Model {
    let model = try Model.sequential(
      [
        InputNormalization(), Flatten(), Dense(150), BatchNorm(), Sigmoid(), Dropout(0.2), Dense(140), BatchNorm(momentum: nil),
        Tanh(),
        Dense(130), ReLU(), BatchNorm(normalizer: .moving), LayerNorm(), RMSNorm(), GroupNorm(13), Dense(10), Softmax(),
      ], inputShape: [10, 20], seed: 1)
    try model.fitInputNormalization([array(.float32, [30, 10, 20])])
    return model
  }

  /// Layers on images, branches that join, one layer in two places.
  static func imageNetwork() throws -> Model {
    var graph = Graph()
    let x = try graph.input([3, 16, 16])
    func chain(_ layers: [any Layer], _ start: Graph.Node) throws -> Graph.Node {
      try layers.reduce(start) { try graph.add($1, to: $0) }
    }
    let stem = try chain(
      [ChannelsLast(), Conv2D(16, kernelSize: 3, padding: .same, bias: false), BatchNorm(), ReLU()], x)
    let branch = try chain([Conv2D(16, kernelSize: 3, padding: .same, groups: 16), Conv2D(16, kernelSize: 1)], stem)
    let again = try graph.apply(layerOf: branch, to: [stem])
    let sum = try chain([ReLU()], graph.add(Add(), to: [branch, stem, again]))
    let small = try graph.add(
      Concatenate(),
      to: [chain([MaxPool2D(3, strides: 2, padding: .all(1))], sum), chain([AvgPool2D(2), ZeroPad2D(0)], sum)])
    let normalized = try chain(
      [GroupNorm(4), InstanceNorm(), FilterResponseNorm(learnsEpsilon: true), LayerNorm(over: .all)], small)
    let large = try chain([ZeroPad2D(1), Upsample2D(2), Conv2D(8, kernelSize: 3, strides: 2), Tanh()], normalized)
    let sequence = try chain(
      [Reshape([-1, 8]), Conv1D(12, kernelSize: 3), MaxPool1D(2), AvgPool1D(2), GlobalAvgPool1D()], large)
    let joined = try graph.add(Concatenate(), to: [sequence, chain([GlobalAvgPool2D()], small)])
    let logits = try chain([Dense(10)], joined)
    return try Model(graph, inputs: [x], outputs: [logits], seed: 1)
  }

  /// Batch norms with virtual batches, weights, corrections, and a last virtual batch of one value.
  static func checkNormVariants() throws {
    var graph = Graph()
    let (x, weights) = (try graph.input([16, 40]), try graph.input([16]))
    let open = BatchRenormalization(ratioRamp: .init(0, 2), distanceRamp: .init(0, 2))
    var node = x
    for norm in [
      BatchNorm(virtualBatchSize: 48, renormalization: open), BatchNorm(debiased: true, renormalization: open),
      BatchNorm(normalizer: .moving, virtualBatchSize: 30),
    ] {
      let value = try graph.add(Conv1D(40, kernelSize: 1), to: node)
      let sum = try graph.add(Add(), to: [graph.add(norm, to: [value, weights]), node])
      node = try graph.add(ReLU(), to: sum)
    }
    let flat = try graph.add(Dense(20), to: graph.add(Flatten(), to: node))
    let single = try graph.add(BatchNorm(singleValue: .skip), to: graph.add(Tanh(), to: flat))
    let logits = try graph.add(Dense(10), to: single)
    let model = try Model(graph, inputs: [x, weights], outputs: [logits], seed: 1)
    let trainer = try Trainer(model, loss: .crossEntropy)
    try trainer.step([array(.float32, [200, 16, 40]), array(.float32, [200, 16])], [array(.int32, [200])])
    for rows in [200, 97, 1] {
      let (inputs, labels) = (
        [try array(.float32, [rows, 16, 40]), try array(.float32, [rows, 16])], [try array(.int32, [rows])]
      )
      try trainer.step(inputs, labels)
      let steps = try count { for _ in 0..<3 { try trainer.step(inputs, labels) } }
      expect(steps == 0, "\(steps) allocations in three steps of \(rows) rows with batch norm's variants")
    }
  }

  static func checkImages() throws {
    let inputs = [try array(.uint8, [40, 3, 16, 16])]
    let labels = [try array(.int32, [40])]
    let trainer = try Trainer(imageNetwork(), loss: .crossEntropy, optimizer: .adam())
    try trainer.step(inputs, labels)
    let steps = try count { for _ in 0..<3 { try trainer.step(inputs, labels) } }
    expect(steps == 0, "\(steps) allocations in three steps on images")
    let (x, y) = (try array(.float32, [40, 3, 16, 16]), try array(.float32, [40, 10]))
    guard let input = x.data?.assumingMemoryBound(to: Float.self), let output = y.data?.assumingMemoryBound(to: Float.self)
    else {
      return expect(false, "arrays have memory")
    }
    for rows in [1, 40] {
      func predict() throws { try trainer.model.predict(rows: rows, input, into: output) }
      try predict()
      let again = try count { for _ in 0..<3 { try predict() } }
      expect(again == 0, "\(again) allocations in three predictions of \(rows) images")
      try trainer.step(inputs, labels)
      let changed = try count(predict)
      expect(changed == 0, "\(changed) allocations in a prediction of \(rows) images after a step")
    }
  }

  /// The counter must count, or nothing else here means anything.
  static func checkCounter() throws {
    var kept: [UnsafeMutableRawPointer] = []
    kept.reserveCapacity(8)
    expect(count { kept.append(.allocate(byteCount: 100, alignment: 8)) } == 1, "malloc counts once")
    expect(count { kept.append(.allocate(byteCount: 4096, alignment: 64)) } == 1, "aligned memory counts once")
    expect(count {} == 0, "nothing counts as nothing")
    expect(try count { _ = try Tensor(shape: [100]) } > 0, "a tensor allocates")
    let net = try network()
    let x = try Tensor(shape: [64, 10, 20])
    expect(try count { _ = try net.predict(x) } > 0, "predict returns a new tensor")
    for pointer in kept { pointer.deallocate() }
  }

  static func checkSteps() throws {
    let rules: [(String, OptimizerOptions)] = [
      ("SGD", .sgd(learningRate: 0.1)), ("Nesterov", .sgd(learningRate: 0.1, momentum: 0.9, nesterov: true, weightDecay: 0.1)),
      ("AdamW", .adamW()),
    ]
    for (name, options) in rules {
      for loss in Loss.allCases {
        let trainer = try Trainer(network(), loss: loss, optimizer: options)
        // Ten classes of one probability, which every loss takes.
        let (inputs, targets) = ([try array(.float32, [128, 10, 20])], [try array(.float32, [128, 10], value: 0.1)])
        try trainer.step(inputs, targets)
        let steps = try count { for _ in 0..<5 { try trainer.step(inputs, targets) } }
        expect(steps == 0, "\(steps) allocations in five steps with \(name) and \(loss)")
        // A smaller batch runs on the same plan.
        let (fewer, fewerTargets) = ([try array(.float32, [100, 10, 20])], [try array(.float32, [100, 10], value: 0.1)])
        let less = try count { try trainer.step(fewer, fewerTargets) }
        expect(less == 0, "\(less) allocations in a smaller step with \(name) and \(loss)")
      }
    }
  }

  /// Labels of every integer type; inputs of other types and strides, converted on the way in.
  static func checkConversions() throws {
    let trainer = try Trainer(network(), loss: .crossEntropy)
    let plain = [try array(.float32, [64, 10, 20])]
    let labels = [try array(.int32, [64])]
    try trainer.step(plain, labels)
    for type in [DataType.int32, .int64, .uint8] {
      let other = [try array(type, [64])]
      let step = try count { try trainer.step(plain, other) }
      expect(step == 0, "\(step) allocations with \(type) labels")
    }
    for view in [
      try array(.float64, [64, 10, 20]), try array(.uint8, [64, 10, 20]),
      try array(.float32, [64, 10, 20], strides: [200, 1, 10]),
      try array(.float32, [64, 10, 20], strides: [0, 20, 1]), try array(.int32, [64, 10, 20], strides: [1, 64, 640]),
    ] {
      let inputs = [view]
      let step = try count { try trainer.step(inputs, labels) }
      expect(step == 0, "\(step) allocations with \(view.dataType) of strides \(view.strides)")
    }
  }

  /// What a fit allocates it allocates once: four epochs take no more than one.
  static func checkFit() throws {
    let trainer = try Trainer(network(), loss: .crossEntropy)
    let (inputs, targets) = ([try array(.float32, [200, 10, 20])], [try array(.int32, [200])])
    func fit(epochs: Int) throws -> Int {
      try count { try trainer.fit(inputs, targets, FitOptions(epochs: epochs, batchSize: 64)) { _ in true } }
    }
    _ = try fit(epochs: 1)
    let (one, four) = (try fit(epochs: 1), try fit(epochs: 4))
    expect(one == four, "\(one) allocations in one epoch, \(four) in four")
    expect(one > 0, "a fit allocates its order, but nothing was counted")
  }

  static let augmented = (
    Augmentation(cropPadding: 4, flips: true, cutout: 8),
    ImageNormalization(mean: [0.5, 0.4, 0.3], standardDeviation: [0.25, 0.2, 0.3])
  )

  /// The thread that prepares a fit's images allocates nothing for a batch either.
  static func checkImageFit() throws {
    let net = try Model.sequential([Flatten(), Dense(20), BatchNorm(), ReLU(), Dense(10)], inputShape: [16, 12, 3], seed: 1)
    let trainer = try Trainer(net, loss: .crossEntropy)
    let targets = [try array(.int32, [200])]
    for type in [DataType.uint8, .float32] {
      let inputs = [try array(type, [200, 16, 12, 3])]
      func fit(epochs: Int) throws -> Int {
        var options = FitOptions(epochs: epochs, batchSize: 64)
        (options.augmentation, options.normalization) = augmented
        return try count { try trainer.fit(inputs, targets, options) { _ in true } }
      }
      _ = try fit(epochs: 1)
      let (one, four) = (try fit(epochs: 1), try fit(epochs: 4))
      expect(one == four, "\(one) allocations in one epoch of \(type) images, \(four) in four")
    }
  }

  /// The most memory this process has had, in bytes.
  static func peakMemory() -> Int {
    var usage = rusage()
    #if canImport(Darwin)
      getrusage(RUSAGE_SELF, &usage)
      return usage.ru_maxrss
    #else
      getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
      return usage.ru_maxrss * 1024
    #endif
  }

  /// 50,000 small colour pictures, 154 MB of bytes, are never 614 MB of floats: an epoch adds its batches and the network.
  static func checkImageMemory() throws {
    let (rows, shape) = (50_000, [32, 32, 3])
    let byteCount = rows * 32 * 32 * 3
    let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
    defer { memory.deallocate() }
    for i in 0..<byteCount { memory.storeBytes(of: UInt8(truncatingIfNeeded: i &* 31), toByteOffset: i, as: UInt8.self) }
    let images = try ArrayView(memory, .uint8, shape: [rows] + shape)
    let labels = try array(.int32, [rows])
    let net = try Model.sequential([Flatten(), Dense(10)], inputShape: shape, seed: 1)
    let trainer = try Trainer(net, loss: .crossEntropy)
    var options = FitOptions(batchSize: 128)
    (options.augmentation, options.normalization) = augmented
    let before = peakMemory()
    let seen = try trainer.fit([images], [labels], options).rows
    let growth = peakMemory() - before
    expect(seen == rows, "\(seen) rows of \(rows) were seen")
    // Two batches of 1.6 MB, the plan's own, the order: 5 MB; the margin is the allocator's.
    expect(growth < 32 << 20, "training on \(byteCount >> 20) MB of images took \(growth >> 20) MB")
    print("AllocationCheck: training on \(byteCount >> 20) MB of uint8 images took \(growth >> 10) KB more memory")
  }

  static func checkLoopsByHand() throws {
    let net = try network()
    let optimizer = try Optimizer(net, .adam())
    let (inputs, gradients) = ([try array(.float32, [64, 10, 20])], [try array(.float32, [64, 10])])
    func loop() throws {
      try net.forward(inputs, training: true)
      try net.backward(gradients)
      try optimizer.step()
    }
    try loop()
    let again = try count(loop)
    expect(again == 0, "\(again) allocations in a loop by hand")
  }

  /// Predicting rows allocates once a number of rows and after a change of the model, not in a call.
  static func checkPredictions() throws {
    let net = try network()
    let (x, y) = (try array(.float32, [300, 10, 20]), try array(.float32, [300, 10]))
    guard let input = x.data?.assumingMemoryBound(to: Float.self), let output = y.data?.assumingMemoryBound(to: Float.self)
    else {
      return expect(false, "arrays have memory")
    }
    let value = try array(.float32, [150, 200])
    for rows in [1, 7, 300] {
      func predict() throws { try net.predict(rows: rows, input, into: output) }
      expect(try count(predict) > 0, "the first prediction of \(rows) rows makes a plan")
      let again = try count { for _ in 0..<5 { try predict() } }
      expect(again == 0, "\(again) allocations in five predictions of \(rows) rows")
      try net.setVariables([("2.weight", value)], strict: false)
      let changed = try count(predict)
      expect(changed == 0, "\(changed) allocations in a prediction of \(rows) rows after a change of the weights")
    }
  }

  static func main() throws {
    guard allocation_counter_is_available() != 0 else {
      print("AllocationCheck: skipped: this build cannot count allocations")
      exit(0)
    }
    try checkImageMemory()
    for threads in [1, 3] {
      try Machine.setThreadCount(threads)
      for check in [
        checkCounter, checkSteps, checkConversions, checkFit, checkImageFit, checkLoopsByHand, checkPredictions, checkImages,
        checkNormVariants,
      ] {
        try check()
      }
    }
    print("AllocationCheck: \(failures) failures")
    exit(failures == 0 ? 0 : 1)
  }
}
