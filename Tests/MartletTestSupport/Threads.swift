// Operating-system threads of a test's own.
#if canImport(Darwin)
  import Darwin
  private typealias Handle = pthread_t?
#else
  import Glibc
  private typealias Handle = pthread_t
#endif

public enum Threads {
  private final class Job: Sendable {
    let body: @Sendable (Int) -> Void
    let number: Int
    init(_ number: Int, _ body: @escaping @Sendable (Int) -> Void) {
      self.number = number
      self.body = body
    }
  }

  private static func perform(_ pointer: UnsafeMutableRawPointer?) {
    guard let pointer else { return }
    let job = Unmanaged<Job>.fromOpaque(pointer).takeRetainedValue()
    job.body(job.number)
  }

  /// Calls `body(0)` … `body(count − 1)`, each on a thread of its own, and waits for all.
  public static func run(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let handles = (0..<count).map { number -> Handle in
      let job = Unmanaged.passRetained(Job(number, body)).toOpaque()
      #if canImport(Darwin)
        var handle: Handle = nil
      #else
        var handle = Handle()
      #endif
      let status = pthread_create(
        &handle, nil,
        { argument in
          Threads.perform(argument)
          return nil
        }, job)
      precondition(status == 0, "no thread to be had")
      return handle
    }
    for handle in handles {
      #if canImport(Darwin)
        if let handle { pthread_join(handle, nil) }
      #else
        pthread_join(handle, nil)
      #endif
    }
  }
}
