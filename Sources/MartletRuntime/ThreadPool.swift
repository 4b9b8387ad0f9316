// Worker threads that wait for pieces of an operation.
import Synchronization

/// A fixed team that shares the pieces of one operation at a time.
///
/// Workers start with the first operation that can use them, watch for the next operation for some microseconds (the gap
/// between two kernels of a training step is shorter than waking a thread), then sleep: an idle process uses no CPU. After
/// `fork` the child's pool starts its own workers.
public final class ThreadPool: @unchecked Sendable {
  private let crew: UnsafeMutablePointer<WorkerCrew>

  /// The most threads of a pool; larger counts are clamped. MARTLET_MAX_THREADS in the header.
  public static let maximumThreadCount = 1024

  /// The threads that work, the caller's included; at least 1.
  public var threadCount: Int { crew.pointee.threadCount.load(ordering: .relaxed) }

  public init(threadCount: Int) {
    crew = .allocate(capacity: 1)
    crew.initialize(to: WorkerCrew(threadCount: Self.clamped(threadCount)))
  }

  /// Ends the workers and starts no more, unless an operation is under way: it keeps them. What runs afterwards runs on its caller.
  ///
  /// For the moment when the library is unloaded, where no call is in progress, and when the process exits, where one may be.
  public func close() {
    if crew.pointee.startOperation() { crew.pointee.retireWorkers(keep: 0) }
  }

  deinit {
    // In a child of `fork` the workers never existed, so there is nobody to wait for.
    if crew.pointee.startOperation() {
      crew.pointee.retireWorkers(keep: 0)
    }
    crew.deinitialize(count: 1)
    crew.deallocate()
  }

  private static func clamped(_ count: Int) -> Int { min(max(count, 1), maximumThreadCount) }

  /// Takes effect with the next operation; a running one finishes with the threads it has. Callable from any thread.
  public func setThreadCount(_ count: Int) {
    let count = Self.clamped(count)
    crew.pointee.threadCount.store(count, ordering: .relaxed)
    // Spare workers leave now if nothing runs, else when the next operation finds them.
    if crew.pointee.startOperation() {
      crew.pointee.retireWorkers(keep: count - 1)
      crew.pointee.endOperation()
    }
  }

  /// Calls `body(context, piece)` once for every piece in 0..<pieces, on any thread, and returns when all are done. Allocates nothing.
  /// A call from inside a piece, or while another thread's operation has the workers, runs all its pieces on the caller.
  ///
  /// The pieces are cut into as many runs of neighbours as there are threads; a thread begins with the same run in every operation, and
  /// so finds in its own caches what it left there. With `backwards` each run is done from its last piece to its first, after an operation
  /// that went forwards.
  ///
  /// Everything written before the call is visible to the pieces, and everything they write is visible after it.
  public func run(
    pieces: Int, backwards: Bool = false, _ context: UnsafeMutableRawPointer,
    _ body: @convention(c) (UnsafeMutableRawPointer, Int) -> Void
  ) {
    if pieces > 1, threadCount > 1, crew.pointee.startOperation() {
      WorkerCrew.fill(crew)
      crew.pointee.share(pieces, backwards: backwards, context, body)
      crew.pointee.endOperation()
    } else {
      for piece in 0..<max(pieces, 0) { body(context, backwards ? pieces - 1 - piece : piece) }
    }
  }
}
