// Two threads train one network, each on its part of every batch: batch norms normalise with the statistics of both parts.
import Martlet
import Synchronization

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// Sums over threads of this process. Between machines, `allReduce` would send and receive.
private final class Communicator: Sendable {
  struct Failed: Error {}
  private struct State {
    var parts: [[Double]?]
    var arrived = 0
    var left = 0
    var isBroken = false
  }
  private let shards: Int
  private let state: Mutex<State>

  init(shards: Int) {
    self.shards = shards
    state = Mutex(State(parts: Array(repeating: nil, count: shards)))
  }

  /// Adds up all parts in the order of the shards, so that all have the same bits.
  func allReduce(_ sums: UnsafeMutableBufferPointer<Double>, shard: Int) throws {
    let own = Array(sums)
    // The next exchange begins when all have left this one.
    try wait { $0.parts[shard] == nil }
    state.withLock { state in
      state.parts[shard] = own
      state.arrived += 1
    }
    try wait { [shards] in $0.arrived == shards }
    let all = state.withLock { $0.parts.compactMap { $0 } }
    for i in sums.indices { sums[i] = all.reduce(0) { $0 + $1[i] } }
    state.withLock { state in
      state.left += 1
      guard state.left == shards else { return }
      (state.arrived, state.left) = (0, 0)
      state.parts = Array(repeating: nil, count: shards)
    }
  }

  /// A shard that has ended: the others' exchanges fail instead of waiting for it.
  func abort() { state.withLock { $0.isBroken = true } }

  private func wait(until isReady: (State) -> Bool) throws {
    while true {
      let (ready, isBroken) = state.withLock { (isReady($0), $0.isBroken) }
      if isBroken { throw Failed() }
      if ready { return }
      sched_yield()
    }
  }
}

/// One thread's part of the work.
private final class Shard: @unchecked Sendable {
  let net: Model
  let body: (Model) throws -> TrainingResult
  var result: Swift.Result<TrainingResult, any Error>?

  init(_ net: Model, _ body: @escaping (Model) throws -> TrainingResult) {
    self.net = net
    self.body = body
  }

  func run() { result = Swift.Result { try body(net) } }
}

/// Trains a network whole and in two uneven shards and compares.
func trainInShards() throws {
  let rows = 60
  var state: UInt32 = 1
  let values = (0..<rows * 2).map { _ -> Float in
    state = state &* 1_664_525 &+ 1_013_904_223
    return Float(state >> 8) / 0x1p23 - 1
  }
  let labels = (0..<rows).map { row -> Int32 in
    let (x, y) = (values[2 * row], values[2 * row + 1])
    return x * x + y * y < 0.49 ? 1 : 0
  }
  func network() throws -> Model {
    try Model.sequential([Dense(16), BatchNorm(), ReLU(), Dense(2)], inputShape: [2], seed: 1)
  }
  func train(_ net: Model, _ range: Range<Int>) throws -> TrainingResult {
    let x = try Tensor(Array(values[2 * range.lowerBound..<2 * range.upperBound]), shape: [range.count, 2])
    let trainer = try Trainer(net, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.3))
    var result = TrainingResult()
    // All shards make the same number of steps.
    for _ in 0..<200 { result = try trainer.step(x, labels: Array(labels[range])) }
    return result
  }

  // Shards need not be equal.
  let cut = [0..<20, 20..<rows]
  let communicator = Communicator(shards: cut.count)
  let shards = try cut.enumerated().map { number, range in
    Shard(try network()) { net in
      do {
        try net.setAllReduce { try communicator.allReduce($0, shard: number) }
        return try train(net, range)
      } catch {
        communicator.abort()
        throw error
      }
    }
  }
  onThreads(shards)
  let results = try shards.compactMap { try $0.result?.get() }
  let whole = try network()
  let result = try train(whole, 0..<rows)
  let x = try Tensor(values, shape: [rows, 2])
  func difference(_ a: Model, _ b: Model) throws -> Float {
    try zip(a.predict(x).values, b.predict(x).values).map { abs($0 - $1) }.max() ?? 0
  }
  let (apart, fromWhole) = (try difference(shards[0].net, shards[1].net), try difference(shards[0].net, whole))
  print("one batch of \(rows) rows: loss \(result.loss); two shards of it: \(results[0].loss), \(results[0].rows) rows")
  print("after 200 steps outputs of the shards differ by \(apart), and from the one batch by \(fromWhole)")
  guard apart == 0, fromWhole < 1e-3, results[0].rows == rows else { fatalError("Shards must train as one batch does.") }
}

/// Runs each shard on a thread of its own, and waits for all.
private func onThreads(_ shards: [Shard]) {
  let threads = shards.map { shard -> pthread_t? in
    let job = Unmanaged.passRetained(shard).toOpaque()
    #if canImport(Darwin)
      var thread: pthread_t?
      let body: @convention(c) (UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? = { job in
        Unmanaged<Shard>.fromOpaque(job).takeRetainedValue().run()
        return nil
      }
    #else
      var thread = pthread_t()
      let body: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { job in
        if let job { Unmanaged<Shard>.fromOpaque(job).takeRetainedValue().run() }
        return nil
      }
    #endif
    return pthread_create(&thread, nil, body, job) == 0 ? thread : nil
  }
  for case let thread? in threads { pthread_join(thread, nil) }
}
