// The floating-point environment of a call: the same on every thread, whatever the host program has set.
import CMartletProcess

/// Rounding, denormal numbers and exceptions as the library computes with them: round to nearest, no flush to zero, exceptions masked.
///
/// Every public call that computes runs in it, as do the worker threads, so that results depend neither on what the host program has
/// set nor on the number of threads. The caller gets its own environment back, exception flags included, when the call returns or throws,
/// and inside the callbacks that it handed in.
///
///     let environment = FloatingPointEnvironment.enter()
///     defer { environment.leave() }
///
/// Cost: a look at the control register at either end; the register is written only where something differs.
public struct FloatingPointEnvironment {
  private let callers: martlet_fp_environment

  /// Sets the library's environment; the result remembers the caller's.
  @inline(__always)
  public static func enter() -> FloatingPointEnvironment { FloatingPointEnvironment(callers: martlet_fp_enter()) }

  /// Puts back what was there before ``enter()``.
  @inline(__always)
  public func leave() { martlet_fp_leave(callers) }

  /// Runs a callback of the caller's in the environment in which this thread entered the library.
  public static func callers<Result>(_ callback: () throws -> Result) rethrows -> Result {
    martlet_fp_begin_callback()
    defer { martlet_fp_end_callback() }
    return try callback()
  }
}
