// A thread that prepares the next item while the caller works on the present one.
import CMartletProcess
import Synchronization

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// What a ``Prefetcher`` has prepared: called for item 0, 1, 2 … in order, by one thread at a time.
public protocol PrefetchSource: AnyObject, Sendable {
  /// Fills slot `slot`, which nobody else uses meanwhile.
  func prepare(item: Int, slot: Int)
  /// A call of `prepare` may have been cut short (the process was forked): nothing it kept for itself counts.
  func forgetProgress()
}

/// Prepares numbered items in order on a thread of its own, at most `slotCount` of them unreleased at a time.
///
/// The thread starts with the first ``next()``, sleeps while every slot is full, and leaves with the last item or with
/// ``finish()``. Where there is no thread (the system refuses one, or the process is a child of `fork`), the caller prepares
/// each item itself. For one caller.
public final class Prefetcher {
  private let shared: PrefetchState
  private var thread: pthread_t?
  private var isStarted = false
  private var current = 0
  private let forks = ForkCounter.shared.value
  private var knownForks: Int

  public init(_ source: any PrefetchSource, itemCount: Int, slotCount: Int) {
    shared = PrefetchState(source, itemCount: itemCount, slotCount: max(slotCount, 1))
    knownForks = forks
  }

  deinit { finish() }

  /// The slot of the next item, when it is ready; the caller's until ``release()``.
  public func next() -> Int {
    if !isStarted { start() }
    let isForked = ForkCounter.shared.value != forks
    if isForked, knownForks != ForkCounter.shared.value {
      knownForks = ForkCounter.shared.value
      shared.source.forgetProgress()
    }
    if isForked || thread == nil {
      shared.prepareHere(current)
    } else {
      shared.waitFor(current)
    }
    return current % shared.slotCount
  }

  /// Gives the slot of the last ``next()`` back.
  public func release() {
    current += 1
    if ForkCounter.shared.value == forks { shared.release(through: current) }
  }

  /// Ends the thread, and waits until it has.
  public func finish() {
    guard let thread else { return }
    self.thread = nil
    guard ForkCounter.shared.value == forks else { return }
    shared.stop()
    pthread_join(thread, nil)
  }

  private func start() {
    isStarted = true
    // It takes no signals: they belong to the host program's threads.
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    let state = Unmanaged.passRetained(shared)
    #if canImport(Darwin)
      var handle: pthread_t?
      let status = pthread_create(&handle, nil, { PrefetchState.live($0) }, state.toOpaque())
    #else
      var handle = pthread_t()
      let status = pthread_create(&handle, nil, { PrefetchState.live($0!) }, state.toOpaque())
    #endif
    if status == 0 { thread = handle } else { state.release() }
  }
}

/// What the caller and the thread share.
private final class PrefetchState: @unchecked Sendable {
  let source: any PrefetchSource
  let slotCount: Int
  private let itemCount: Int
  /// Items ready so far; the thread alone raises it, or the caller where there is no thread.
  private let prepared = Atomic<Int>(0)
  /// Under `mutex`, as the two conditions.
  private var released = 0
  private var isStopping = false
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let ready = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let room = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let forks = ForkCounter.shared.value

  init(_ source: any PrefetchSource, itemCount: Int, slotCount: Int) {
    self.source = source
    self.itemCount = itemCount
    self.slotCount = slotCount
    mutex.initialize(to: pthread_mutex_t())
    ready.initialize(to: pthread_cond_t())
    room.initialize(to: pthread_cond_t())
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(ready, nil)
    pthread_cond_init(room, nil)
  }

  deinit {
    // In a child of `fork` a thread that does not exist may hold the lock: its memory alone goes.
    if ForkCounter.shared.value == forks {
      pthread_cond_destroy(room)
      pthread_cond_destroy(ready)
      pthread_mutex_destroy(mutex)
    }
    room.deallocate()
    ready.deallocate()
    mutex.deallocate()
  }

  func prepareHere(_ item: Int) {
    guard prepared.load(ordering: .acquiring) <= item else { return }
    source.prepare(item: item, slot: item % slotCount)
    prepared.store(item + 1, ordering: .releasing)
  }

  func waitFor(_ item: Int) {
    guard prepared.load(ordering: .acquiring) <= item else { return }
    pthread_mutex_lock(mutex)
    while prepared.load(ordering: .acquiring) <= item { pthread_cond_wait(ready, mutex) }
    pthread_mutex_unlock(mutex)
  }

  func release(through count: Int) {
    pthread_mutex_lock(mutex)
    released = count
    pthread_cond_signal(room)
    pthread_mutex_unlock(mutex)
  }

  func stop() {
    pthread_mutex_lock(mutex)
    isStopping = true
    pthread_cond_signal(room)
    pthread_mutex_unlock(mutex)
  }

  /// The thread's life.
  static func live(_ argument: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    // A thread begins with the environment of the one that made it.
    martlet_fp_set_standard()
    Unmanaged<PrefetchState>.fromOpaque(argument).takeRetainedValue().work()
    return nil
  }

  private func work() {
    for item in 0..<itemCount {
      pthread_mutex_lock(mutex)
      while !isStopping, item - released >= slotCount { pthread_cond_wait(room, mutex) }
      let leaves = isStopping
      pthread_mutex_unlock(mutex)
      if leaves { return }
      source.prepare(item: item, slot: item % slotCount)
      pthread_mutex_lock(mutex)
      prepared.store(item + 1, ordering: .releasing)
      pthread_cond_signal(ready)
      pthread_mutex_unlock(mutex)
    }
  }
}
