import MartletRuntime
import Synchronization
import Testing

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// Pieces as counters: each must have been done exactly once.
private final class Tally: Sendable {
  let counts: [Counter]
  /// For nested operations.
  let pool: ThreadPool?

  final class Counter: Sendable {
    let value = Atomic<Int>(0)
  }

  init(_ pieces: Int, pool: ThreadPool? = nil) {
    counts = (0..<pieces).map { _ in Counter() }
    self.pool = pool
  }

  var pointer: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }
  var values: [Int] { counts.map { $0.value.load(ordering: .relaxed) } }

  static let count: @convention(c) (UnsafeMutableRawPointer, Int) -> Void = { context, piece in
    let tally = Unmanaged<Tally>.fromOpaque(context).takeUnretainedValue()
    tally.counts[piece].value.wrappingAdd(1, ordering: .relaxed)
  }

  /// Runs another operation of four pieces from inside the piece.
  static let nest: @convention(c) (UnsafeMutableRawPointer, Int) -> Void = { context, piece in
    let tally = Unmanaged<Tally>.fromOpaque(context).takeUnretainedValue()
    let inner = Tally(4)
    tally.pool?.run(pieces: 4, inner.pointer, Tally.count)
    if inner.values == [1, 1, 1, 1] { tally.counts[piece].value.wrappingAdd(1, ordering: .relaxed) }
  }
}

private final class Order {
  var pieces: [Int] = []
}

private final class Meeting: @unchecked Sendable {
  let caller = pthread_self()
  let began = Atomic<Int>(0)
  /// The first piece of the caller and of the worker; −1 before.
  let first = [Tally.Counter(), Tally.Counter()]
  let isLate = Atomic<Bool>(false)

  func reset() {
    began.store(0, ordering: .relaxed)
    for piece in first { piece.value.store(-1, ordering: .relaxed) }
  }

  /// A thread's first piece waits for the other thread's.
  static let attend: @convention(c) (UnsafeMutableRawPointer, Int) -> Void = { context, piece in
    let meeting = Unmanaged<Meeting>.fromOpaque(context).takeUnretainedValue()
    let mine = meeting.first[pthread_equal(pthread_self(), meeting.caller) != 0 ? 0 : 1]
    if mine.value.load(ordering: .relaxed) >= 0 { return }
    mine.value.store(piece, ordering: .relaxed)
    meeting.began.wrappingAdd(1, ordering: .acquiringAndReleasing)
    // A system that gives no second thread would keep the first one here for ever.
    for _ in 0..<50_000 where meeting.began.load(ordering: .acquiring) < 2 { usleep(100) }
    if meeting.began.load(ordering: .acquiring) < 2 { meeting.isLate.store(true, ordering: .relaxed) }
  }
}

@Suite(.serialized) struct ThreadPoolTests {
  @Test(arguments: [1, 2, 3, 8])
  func everyPieceOnce(_ threads: Int) {
    let pool = ThreadPool(threadCount: threads)
    #expect(pool.threadCount == threads)
    for round in 0..<300 {
      let pieces = round % 20
      let tally = Tally(pieces)
      pool.run(pieces: pieces, backwards: round % 3 == 0, tally.pointer, Tally.count)
      #expect(tally.values == Array(repeating: 1, count: pieces))
    }
  }

  /// Four pieces are two runs of two; each thread begins at one end of its own.
  @Test(arguments: [false, true]) func aThreadBeginsWithItsOwnRun(_ backwards: Bool) {
    let pool = ThreadPool(threadCount: 2)
    let meeting = Meeting()
    for _ in 0..<200 {
      meeting.reset()
      pool.run(pieces: 4, backwards: backwards, Unmanaged.passUnretained(meeting).toOpaque(), Meeting.attend)
      let first = meeting.first.map { $0.value.load(ordering: .relaxed) }
      let isLate = meeting.isLate.load(ordering: .relaxed)
      #expect(first == (backwards ? [1, 3] : [0, 2]) && !isLate)
    }
  }

  @Test func backwardsBeginsAtTheEnd() {
    let order = Order()
    ThreadPool(threadCount: 1).run(
      pieces: 4, backwards: true, Unmanaged.passUnretained(order).toOpaque(),
      { context, piece in Unmanaged<Order>.fromOpaque(context).takeUnretainedValue().pieces.append(piece) })
    #expect(order.pieces == [3, 2, 1, 0])
  }

  /// Long enough apart that the workers fall asleep in between.
  @Test func wakesSleepingWorkers() {
    let pool = ThreadPool(threadCount: 4)
    for _ in 0..<10 {
      let tally = Tally(50)
      pool.run(pieces: 50, tally.pointer, Tally.count)
      #expect(tally.values == Array(repeating: 1, count: 50))
      usleep(3000)
    }
  }

  @Test func nestedOperationsRunOnTheCaller() {
    let pool = ThreadPool(threadCount: 3)
    for _ in 0..<50 {
      let tally = Tally(7, pool: pool)
      pool.run(pieces: 7, tally.pointer, Tally.nest)
      #expect(tally.values == Array(repeating: 1, count: 7))
    }
  }

  /// Four threads share one pool while a fifth changes its size: nothing is lost, done twice or stuck.
  @Test func manyCallersAndChangingSizes() {
    final class Shared: Sendable {
      let pool = ThreadPool(threadCount: 2)
      let wrong = Atomic<Int>(0)
      let running = Atomic<Int>(4)
    }
    let shared = Shared()
    inThreads(5) { thread in
      if thread == 4 {
        var size = 1
        while shared.running.load(ordering: .relaxed) > 0 {
          shared.pool.setThreadCount(size % 5 + 1)
          size += 1
          usleep(100)
        }
        return
      }
      for _ in 0..<300 {
        let tally = Tally(9)
        shared.pool.run(pieces: 9, tally.pointer, Tally.count)
        if tally.values != Array(repeating: 1, count: 9) { shared.wrong.wrappingAdd(1, ordering: .relaxed) }
      }
      shared.running.wrappingSubtract(1, ordering: .relaxed)
    }
    #expect(shared.wrong.load(ordering: .relaxed) == 0)
  }

  @Test func threadCountIsClamped() {
    let pool = ThreadPool(threadCount: 0)
    #expect(pool.threadCount == 1)
    pool.setThreadCount(-3)
    #expect(pool.threadCount == 1)
    pool.setThreadCount(1_000_000)
    #expect(pool.threadCount == ThreadPool.maximumThreadCount)
  }

  #if os(Linux)
    @Test func oneThreadOrOnePieceStartsNoThread() {
      let before = threadsOfThisProcess()
      let one = ThreadPool(threadCount: 1)
      let tally = Tally(10)
      one.run(pieces: 10, tally.pointer, Tally.count)
      let many = ThreadPool(threadCount: 8)
      let single = Tally(1)
      many.run(pieces: 1, single.pointer, Tally.count)
      #expect(threadsOfThisProcess() <= before + 2, "the test runner itself may start one or two")
      #expect(tally.values == Array(repeating: 1, count: 10) && single.values == [1])
    }

    /// The child of a process whose pool has workers gets workers of its own, and the parent keeps its own.
    @Test func survivesFork() throws {
      let pool = ThreadPool(threadCount: 3)
      let warm = Tally(20)
      pool.run(pieces: 20, warm.pointer, Tally.count)
      let child = fork()
      if child == 0 {
        alarm(20)
        let before = threadsOfThisProcess()
        var good = true
        for _ in 0..<20 {
          let tally = Tally(20)
          pool.run(pieces: 20, tally.pointer, Tally.count)
          good = good && tally.values == Array(repeating: 1, count: 20)
        }
        good = good && before == 1 && threadsOfThisProcess() == 3
        _exit(good ? 42 : 1)
      }
      try #require(child > 0)
      var status: Int32 = 0
      #expect(waitpid(child, &status, 0) == child)
      #expect(status == 42 << 8, "exit status 42, not the signal or code in \(status)")
      let tally = Tally(20)
      pool.run(pieces: 20, tally.pointer, Tally.count)
      #expect(tally.values == Array(repeating: 1, count: 20))
    }
  #endif
}

/// Runs `body(0)` … `body(count − 1)` on threads of their own and waits for them.
private func inThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  final class Job {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
  }
  #if canImport(Darwin)
    var threads = [pthread_t?](repeating: nil, count: count)
  #else
    var threads = [pthread_t](repeating: 0, count: count)
  #endif
  for i in 0..<count {
    let job = Unmanaged.passRetained(Job { body(i) }).toOpaque()
    #if canImport(Darwin)
      pthread_create(
        &threads[i], nil,
        { argument in
          Unmanaged<Job>.fromOpaque(argument).takeRetainedValue().run()
          return nil
        }, job)
    #else
      pthread_create(
        &threads[i], nil,
        { argument in
          if let argument { Unmanaged<Job>.fromOpaque(argument).takeRetainedValue().run() }
          return nil
        }, job)
    #endif
  }
  for thread in threads {
    #if canImport(Darwin)
      if let thread { pthread_join(thread, nil) }
    #else
      pthread_join(thread, nil)
    #endif
  }
}

#if os(Linux)
  /// Entries of /proc/self/task.
  private func threadsOfThisProcess() -> Int {
    guard let directory = opendir("/proc/self/task") else { return -1 }
    defer { closedir(directory) }
    var count = 0
    while let entry = readdir(directory) {
      if entry.pointee.d_name.0 != UInt8(ascii: ".") { count += 1 }
    }
    return count
  }
#endif
