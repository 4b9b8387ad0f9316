// The executors that inference may take, on any thread, without a lock.
import Synchronization

/// A few places, each empty or holding one idle executor. Who takes an executor owns it until it is given back.
final class ExecutorPool: @unchecked Sendable {
  /// Executors that stay; a caller that tries every batch size must not hoard memory.
  static let capacity = 16

  private struct Place: ~Copyable {
    let executor = Atomic<Unmanaged<Executor>?>(nil)
    /// Rows of the executor here: a hint, so that one that does not fit need not be taken to find out.
    let rows = Atomic<Int>(0)
  }

  private let places: UnsafeMutablePointer<Place>

  init() {
    places = .allocate(capacity: Self.capacity)
    for i in 0..<Self.capacity { (places + i).initialize(to: Place()) }
  }

  deinit {
    for i in 0..<Self.capacity { places[i].executor.load(ordering: .acquiring)?.release() }
    places.deinitialize(count: Self.capacity)
    places.deallocate()
  }

  /// An executor for `capacity` rows, and not many more; nil if none is idle. One of an older network goes.
  func take(capacity: Int, version: Int) -> Executor? {
    for i in 0..<Self.capacity {
      let rows = places[i].rows.load(ordering: .relaxed)
      guard rows >= capacity, rows / 4 <= capacity,
        let executor = places[i].executor.exchange(nil, ordering: .acquiringAndReleasing)?.takeRetainedValue()
      else { continue }
      // The hint may have been of another executor.
      if executor.plan.version == version, executor.plan.capacity >= capacity { return executor }
      if executor.plan.version == version { give(executor) }
    }
    return nil
  }

  /// Puts an executor in the first empty place, or in that of another.
  func give(_ executor: Executor) {
    let new = Unmanaged.passRetained(executor)
    for i in 0..<Self.capacity {
      guard places[i].executor.load(ordering: .relaxed) == nil else { continue }
      if places[i].executor.compareExchange(expected: nil, desired: new, ordering: .acquiringAndReleasing).exchanged {
        places[i].rows.store(executor.plan.capacity, ordering: .relaxed)
        return
      }
    }
    let i = executor.plan.capacity % Self.capacity
    places[i].executor.exchange(new, ordering: .acquiringAndReleasing)?.release()
    places[i].rows.store(executor.plan.capacity, ordering: .relaxed)
  }

  /// Idle executors, for tests.
  var count: Int { (0..<Self.capacity).count { places[$0].executor.load(ordering: .relaxed) != nil } }
}
