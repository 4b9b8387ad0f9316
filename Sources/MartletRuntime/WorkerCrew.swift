// The threads behind a ThreadPool, and how pieces of work reach them.
import CMartletProcess
import CMartletShims
import Synchronization

#if canImport(Darwin)
  import Darwin
  typealias ThreadHandle = pthread_t?
#else
  import Glibc
  typealias ThreadHandle = pthread_t
#endif

typealias PieceBody = @convention(c) (UnsafeMutableRawPointer, Int) -> Void

/// The state that a pool's caller and its workers share, at one address for as long as a worker lives.
///
/// The pieces are cut into as many runs of neighbours as there are threads. Each thread begins with the run that bears its number, every
/// time, and so finds in its own caches what it wrote there in the operation before; one that is done helps the others. Where two
/// processors share no cache, memory that goes to and fro between them takes four times as long (measured).
///
/// An operation is published by storing the length of each run into its `unclaimed`. Whoever lowers that by one owns one piece and
/// only then reads what the operation is: the operation cannot end, nor the next one begin, before that piece is finished.
/// A worker that read `unclaimed` in an earlier operation therefore does no harm, and no generation number is needed.
struct WorkerCrew: ~Copyable {
  /// The threads wanted, the caller's included.
  let threadCount: Atomic<Int>

  /// Whether an operation (or a change of the crew) is under way.
  private let busy = Atomic<Bool>(false)
  /// Whether pieces may be left: what those who wait look at.
  private let isOpen = Atomic<Bool>(false)
  /// The runs of the operation: a hint where to look, which may be of an earlier one.
  private let runCount = Atomic<Int>(0)
  private let unfinished = Atomic<Int>(0)

  /// Alone on its cache line.
  private struct Run: ~Copyable {
    let unclaimed = Atomic<Int>(0)
    private let padding: (Int, Int, Int, Int, Int, Int, Int) = (0, 0, 0, 0, 0, 0, 0)
  }
  private let runs = UnsafeMutableRawPointer.allocate(
    byteCount: ThreadPool.maximumThreadCount * MemoryLayout<Run>.stride, alignment: 64
  ).bindMemory(to: Run.self, capacity: ThreadPool.maximumThreadCount)

  /// What the operation is. Written by the caller before `unclaimed`, read by whoever claimed a piece.
  private struct Operation {
    var pieces: Int
    var runs: Int
    /// Each run from its last piece to its first.
    var isBackwards: Bool
    var context: UnsafeMutableRawPointer
    var body: PieceBody

    /// The first piece behind run number `run`.
    func end(_ run: Int) -> Int { pieces * (run + 1) / runs }
    /// The next piece of a run of which so many are left.
    func piece(_ run: Int, left: Int) -> Int { isBackwards ? end(run - 1) + left - 1 : end(run) - left }
  }
  private let operation = UnsafeMutablePointer<Operation>.allocate(capacity: 1)

  /// Threads asleep on `wake`; the caller asleep on `finished`. Both change under `mutex`.
  private let sleepers = Atomic<Int>(0)
  private let callerSleeps = Atomic<Bool>(false)
  /// Worker number i leaves when i ≥ limit.
  private let limit = Atomic<Int>(0)
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let finished = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  private let workers = UnsafeMutablePointer<Worker>.allocate(capacity: ThreadPool.maximumThreadCount)
  /// Changes only while `busy` is held.
  private let workerCount = Atomic<Int>(0)

  /// How often the process had been forked when this state was last known to be its own.
  private let forkCount: Atomic<Int>

  private struct Worker {
    var thread: ThreadHandle
    var number: Int
    var crew: UnsafeMutablePointer<WorkerCrew>
  }

  init(threadCount: Int) {
    self.threadCount = Atomic(threadCount)
    forkCount = Atomic(ForkCounter.shared.value)
    for run in 0..<ThreadPool.maximumThreadCount { (runs + run).initialize(to: Run()) }
    prepareSynchronization()
  }

  deinit {
    pthread_cond_destroy(finished)
    pthread_cond_destroy(wake)
    pthread_mutex_destroy(mutex)
    finished.deallocate()
    wake.deallocate()
    mutex.deallocate()
    workers.deallocate()
    runs.deallocate()
    operation.deallocate()
  }

  private func prepareSynchronization() {
    mutex.initialize(to: pthread_mutex_t())
    wake.initialize(to: pthread_cond_t())
    finished.initialize(to: pthread_cond_t())
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(wake, nil)
    pthread_cond_init(finished, nil)
  }

  // MARK: Operations

  /// Takes the crew; false if somebody has it.
  func startOperation() -> Bool {
    let forks = ForkCounter.shared.value
    let known = forkCount.load(ordering: .acquiring)
    if known != forks {
      guard forgetParent(known: known, forks: forks) else { return false }
    }
    return !busy.exchange(true, ordering: .acquiring)
  }

  func endOperation() { busy.store(false, ordering: .releasing) }

  /// Shares the pieces with the workers and returns when all are finished. Only between `startOperation` and `endOperation`.
  func share(_ pieces: Int, backwards: Bool, _ context: UnsafeMutableRawPointer, _ body: PieceBody) {
    let runCount = min(pieces, workerCount.load(ordering: .relaxed) + 1)
    let operation = Operation(pieces: pieces, runs: runCount, isBackwards: backwards, context: context, body: body)
    self.operation.initialize(to: operation)
    unfinished.store(pieces, ordering: .relaxed)
    self.runCount.store(runCount, ordering: .relaxed)
    var begin = 0
    for run in 0..<runCount {
      let end = operation.end(run)
      runs[run].unclaimed.store(end - begin, ordering: .releasing)
      begin = end
    }
    // Sequentially consistent against `sleepers`: either a worker about to sleep sees the pieces, or it is seen here.
    isOpen.store(true, ordering: .sequentiallyConsistent)
    wakeWorkers(runCount - 1)
    workUntilClaimed(own: 0)
    waitUntilFinished()
    isOpen.store(false, ordering: .releasing)
  }

  private func wakeWorkers(_ wanted: Int) {
    let asleep = sleepers.load(ordering: .sequentiallyConsistent)
    if asleep == 0 { return }
    pthread_mutex_lock(mutex)
    if wanted >= asleep {
      pthread_cond_broadcast(wake)
    } else {
      for _ in 0..<wanted { pthread_cond_signal(wake) }
    }
    pthread_mutex_unlock(mutex)
  }

  /// Claims and does pieces until none is left, those of the thread's own run first.
  private func workUntilClaimed(own: Int) {
    let count = runCount.load(ordering: .relaxed)
    for distance in 0..<count { work((own + distance) % count) }
  }

  private func work(_ run: Int) {
    var left = runs[run].unclaimed.load(ordering: .relaxed)
    while left > 0 {
      let (claimed, current) = runs[run].unclaimed.weakCompareExchange(
        expected: left, desired: left - 1, successOrdering: .acquiring, failureOrdering: .relaxed)
      guard claimed else {
        left = current
        continue
      }
      operation.pointee.body(operation.pointee.context, operation.pointee.piece(run, left: left))
      // The last one's decrement releases every piece's writes to the caller. Sequentially consistent against `callerSleeps`.
      if unfinished.wrappingSubtract(1, ordering: .sequentiallyConsistent).newValue == 0 { wakeCaller() }
      left = runs[run].unclaimed.load(ordering: .relaxed)
    }
  }

  /// Whether a piece can be claimed. Where the answer is about an earlier operation, nothing is lost: who sleeps is woken by the next.
  private func hasPieces() -> Bool {
    guard isOpen.load(ordering: .sequentiallyConsistent) else { return false }
    for run in 0..<runCount.load(ordering: .relaxed) where runs[run].unclaimed.load(ordering: .relaxed) > 0 { return true }
    return false
  }

  private func wakeCaller() {
    if callerSleeps.load(ordering: .sequentiallyConsistent) {
      pthread_mutex_lock(mutex)
      pthread_cond_signal(finished)
      pthread_mutex_unlock(mutex)
    }
  }

  private func waitUntilFinished() {
    for _ in 0..<Self.spinLimit {
      if unfinished.load(ordering: .acquiring) == 0 { return }
      martlet_shims_pause()
    }
    pthread_mutex_lock(mutex)
    callerSleeps.store(true, ordering: .sequentiallyConsistent)
    while unfinished.load(ordering: .sequentiallyConsistent) != 0 { pthread_cond_wait(finished, mutex) }
    callerSleeps.store(false, ordering: .relaxed)
    pthread_mutex_unlock(mutex)
  }

  /// Looks at a waiting loop's condition before it sleeps: 60 to 200 µs, a pause being 15 to 50 ns. Longer than a script takes from one
  /// call to the next.
  private static var spinLimit: Int { 4000 }

  // MARK: Workers

  /// Brings the workers to the wanted number. Threads the system refuses are done without.
  static func fill(_ crew: UnsafeMutablePointer<WorkerCrew>) {
    let wanted = crew.pointee.threadCount.load(ordering: .relaxed) - 1
    crew.pointee.retireWorkers(keep: wanted)
    if crew.pointee.workerCount.load(ordering: .relaxed) < wanted { start(wanted, crew) }
  }

  private static func start(_ wanted: Int, _ crew: UnsafeMutablePointer<WorkerCrew>) {
    // A worker takes no signals: they belong to the host program's threads.
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }

    martlet_process_will_start_threads()
    crew.pointee.limit.store(wanted, ordering: .releasing)
    for number in crew.pointee.workerCount.load(ordering: .relaxed)..<wanted {
      let worker = crew.pointee.workers + number
      #if canImport(Darwin)
        worker.initialize(to: Worker(thread: nil, number: number, crew: crew))
        let status = pthread_create(&worker.pointee.thread, nil, { WorkerCrew.live($0) }, worker)
      #else
        worker.initialize(to: Worker(thread: 0, number: number, crew: crew))
        let status = pthread_create(&worker.pointee.thread, nil, { WorkerCrew.live($0!) }, worker)
      #endif
      if status != 0 { return }
      crew.pointee.workerCount.store(number + 1, ordering: .relaxed)
    }
  }

  /// A worker's life.
  private static func live(_ argument: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    let worker = argument.assumingMemoryBound(to: Worker.self)
    let number = worker.pointee.number
    let crew = worker.pointee.crew
    // A thread begins with the environment of the one that made it.
    martlet_fp_set_standard()
    while crew.pointee.waitForWork(number) { crew.pointee.workUntilClaimed(own: number + 1) }
    return nil
  }

  /// False when the worker shall leave.
  private func waitForWork(_ number: Int) -> Bool {
    for _ in 0..<Self.spinLimit {
      if hasPieces() { return true }
      martlet_shims_pause()
    }
    pthread_mutex_lock(mutex)
    sleepers.wrappingAdd(1, ordering: .sequentiallyConsistent)
    while !hasPieces(), number < limit.load(ordering: .relaxed) {
      pthread_cond_wait(wake, mutex)
    }
    sleepers.wrappingSubtract(1, ordering: .relaxed)
    let stays = number < limit.load(ordering: .relaxed)
    pthread_mutex_unlock(mutex)
    return stays
  }

  /// Sends workers away until `keep` are left, and waits until they are gone. Only between `startOperation` and `endOperation`.
  func retireWorkers(keep: Int) {
    let count = workerCount.load(ordering: .relaxed)
    guard count > keep else { return }
    pthread_mutex_lock(mutex)
    limit.store(keep, ordering: .relaxed)
    pthread_cond_broadcast(wake)
    pthread_mutex_unlock(mutex)
    for worker in keep..<count {
      #if canImport(Darwin)
        if let thread = workers[worker].thread { pthread_join(thread, nil) }
      #else
        pthread_join(workers[worker].thread, nil)
      #endif
    }
    workerCount.store(keep, ordering: .relaxed)
  }

  // MARK: Fork

  /// In a child of `fork` no worker exists, and the locks may be held by threads that do not exist either: begins afresh.
  /// False on the threads that come while another one does this.
  private func forgetParent(known: Int, forks: Int) -> Bool {
    let inProgress = -1
    guard known != inProgress,
      forkCount.compareExchange(expected: known, desired: inProgress, ordering: .acquiring).exchanged
    else { return false }
    prepareSynchronization()
    workerCount.store(0, ordering: .relaxed)
    isOpen.store(false, ordering: .relaxed)
    for run in 0..<ThreadPool.maximumThreadCount { runs[run].unclaimed.store(0, ordering: .relaxed) }
    unfinished.store(0, ordering: .relaxed)
    sleepers.store(0, ordering: .relaxed)
    callerSleeps.store(false, ordering: .relaxed)
    busy.store(false, ordering: .relaxed)
    forkCount.store(forks, ordering: .releasing)
    return true
  }
}

/// Counts the process's forks, seen from the child.
package final class ForkCounter: Sendable {
  package static let shared = ForkCounter()
  private let count = Atomic<Int>(0)

  private init() {
    pthread_atfork(nil, nil) { ForkCounter.shared.count.wrappingAdd(1, ordering: .releasing) }
  }

  package var value: Int { count.load(ordering: .acquiring) }
}
