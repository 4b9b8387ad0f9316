// Refuses a second thread where an object allows one at a time.
import CMartletShims
import MartletRuntime
import Synchronization

/// Who is using an object: any number of threads that read it, or one thread that changes it.
///
/// It never waits. A call that finds the object in use in a way that excludes it throws, for two threads at once are a mistake of the
/// program, which would otherwise read freed memory or train on half-written weights. The thread that changes an object may use it
/// again before it is done, in a callback.
///
/// After `fork`, threads of the parent that were using the object do not exist in the child; their use is over.
///
/// Cost: two atomic operations a call, no lock and no allocation.
package final class Exclusivity: Sendable {
  /// The number of forks in the upper half; in the lower ``changing`` or the number of reading threads.
  private let state = Atomic<UInt64>(0)
  /// The thread that changes the object; 0: none.
  private let owner = Atomic<UInt>(0)
  /// Uses by the owner within its first; only the owner looks at it.
  private let depth = Atomic<Int>(0)
  /// "model": what messages call it.
  private let name: String
  /// "Predict, evaluate and check": what many threads may do at once, for messages; empty: nothing worth naming.
  private let shared: String

  private static let changing: UInt64 = 0xFFFF_FFFF

  package init(_ name: String, shared: String = "") {
    self.name = name
    self.shared = shared
  }

  /// Runs a body that only reads the object, in the standard floating-point environment.
  ///
  /// - Throws: ``MartletError/Kind/invalidState`` while another thread changes the object.
  @inline(__always)
  package func reading<Result>(_ body: () throws -> Result) throws -> Result {
    let isNested = try enter(alone: false)
    defer { leave(alone: false, isNested: isNested) }
    let environment = FloatingPointEnvironment.enter()
    defer { environment.leave() }
    return try body()
  }

  /// Runs a body that changes the object, in the standard floating-point environment.
  ///
  /// - Throws: ``MartletError/Kind/invalidState`` while another thread uses the object.
  @inline(__always)
  package func changing<Result>(_ body: () throws -> Result) throws -> Result {
    let isNested = try enter(alone: true)
    defer { leave(alone: true, isNested: isNested) }
    let environment = FloatingPointEnvironment.enter()
    defer { environment.leave() }
    return try body()
  }

  /// Different for every thread that is alive.
  private static var thread: UInt { UInt(bitPattern: martlet_shims_message_buffer()) }

  /// - Returns: whether this thread is changing the object already.
  private func enter(alone: Bool) throws -> Bool {
    let forks = UInt64(UInt32(truncatingIfNeeded: ForkCounter.shared.value)) << 32
    var known = state.load(ordering: .relaxed)
    while true {
      var users = known & 0xFFFF_FFFF
      if users == Self.changing, owner.load(ordering: .relaxed) == Self.thread {
        depth.add(1, ordering: .relaxed)
        return true
      }
      if known & ~0xFFFF_FFFF != forks { users = 0 }
      guard users == 0 || !alone && users < Self.changing - 1 else { throw refusal(isChanging: users == Self.changing) }
      let (isTaken, current) = state.weakCompareExchange(
        expected: known, desired: forks | (alone ? Self.changing : users + 1), successOrdering: .acquiring,
        failureOrdering: .relaxed)
      if isTaken { break }
      known = current
    }
    if alone { owner.store(Self.thread, ordering: .relaxed) }
    return false
  }

  private func leave(alone: Bool, isNested: Bool) {
    if isNested {
      depth.subtract(1, ordering: .relaxed)
    } else if alone {
      owner.store(0, ordering: .relaxed)
      state.store(UInt64(UInt32(truncatingIfNeeded: ForkCounter.shared.value)) << 32, ordering: .releasing)
    } else {
      state.subtract(1, ordering: .releasing)
    }
  }

  private func refusal(isChanging: Bool) -> MartletError {
    let many = shared.isEmpty ? "" : " \(shared) may run on several threads at once, everything else needs the \(name) alone."
    return MartletError.invalidState(
      "\(name): expected one thread at a time; got a call while the \(name) is in use by another thread, which is "
        + "\(isChanging ? "changing" : "reading") it. Wait until that call has returned.\(many)")
  }
}
