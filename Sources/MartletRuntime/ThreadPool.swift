// Worker threads that wait for pieces of an operation.

public final class ThreadPool: Sendable {
  /// The threads that work, the caller's included; at least 1.
  public var threadCount: Int { fatalError("stub") }

  public init(threadCount: Int) { fatalError("stub") }

  /// Takes effect with the next operation. Waits for a running one.
  public func setThreadCount(_ count: Int) { fatalError("stub") }

  /// Calls `body(context, piece)` once for every piece in 0..<pieces, on any thread, and returns when all are done. Allocates nothing.
  /// A call from inside a piece, or while another thread's operation has the workers, runs all its pieces on the caller.
  public func run(
    pieces: Int, _ context: UnsafeMutableRawPointer, _ body: @convention(c) (UnsafeMutableRawPointer, Int) -> Void
  ) { fatalError("stub") }
}
