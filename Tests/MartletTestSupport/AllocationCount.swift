// How often a piece of code asks for memory.
import CMartletTestSupport
import MartletRuntime

public enum AllocationCount {
  /// Whether this build can count.
  public static var isAvailable: Bool { allocation_counter_is_available() != 0 }

  /// Allocations during `body`, of the calling thread and of the pool's workers (whose pieces, from anybody's operation, allocate nothing).
  public static func of(on pool: ThreadPool, _ body: () throws -> Void) rethrows -> Int {
    setWatch(1, pool)
    defer { setWatch(0, pool) }
    let before = allocation_counter_total()
    try body()
    return Int(allocation_counter_total() - before)
  }

  /// Marks this thread and every worker it meets in an operation of many small pieces.
  private static func setWatch(_ watch: Int32, _ pool: ThreadPool) {
    var watch = watch
    withUnsafeMutablePointer(to: &watch) { pointer in
      for _ in 0..<4 {
        pool.run(pieces: 64, UnsafeMutableRawPointer(pointer)) { raw, _ in
          allocation_counter_watch_thread(raw.load(as: Int32.self))
          // Long enough for every worker to get a piece.
          var waste: UInt64 = 1
          for _ in 0..<20_000 { waste = waste &* 6_364_136_223_846_793_005 &+ 1 }
          withExtendedLifetime(waste) {}
        }
      }
    }
    allocation_counter_watch_thread(watch)
  }
}
