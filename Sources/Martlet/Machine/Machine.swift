// What this process computes with: instruction set and threads.
import CMartletProcess
import MartletRuntime

/// The instruction set and the worker threads of this process.
public enum Machine {
  /// "avx512", "avx2" or "baseline": the best that runs here, or the one that the environment variable `MARTLET_ISA` names.
  ///
  /// - Throws: ``MartletError/Kind/unsupported`` if `MARTLET_ISA` names one that is unknown or cannot run here.
  public static var instructionSet: String {
    get throws { try Compute.shared.kernels.name }
  }

  /// The instruction sets that run on this machine, best first.
  public static var availableInstructionSets: [String] {
    KernelSet.allCases.filter { $0.obstacle == nil }.map(\.rawValue)
  }

  /// Threads that work on one operation, the caller's included. Results do not depend on it, to the bit.
  ///
  /// Starts as `MARTLET_NUM_THREADS`; where that is not set, as the first number of `OMP_NUM_THREADS`; else as the number of processors
  /// this process may use, but no more than its control groups (a container's quota) give it time for, rounded up. Where the system
  /// refuses to start so many threads, fewer compute.
  public static var threadCount: Int { ThreadPool.process.threadCount }

  /// - Throws: ``MartletError/Kind/invalidArgument`` unless 1 ≤ count ≤ ``maximumThreadCount``.
  public static func setThreadCount(_ count: Int) throws {
    guard (1...maximumThreadCount).contains(count) else {
      throw MartletError.invalidArgument("count: expected a number of threads in 1...\(maximumThreadCount); got \(count).")
    }
    ThreadPool.process.setThreadCount(count)
  }
  /// The most threads that may be asked for.
  public static var maximumThreadCount: Int { ThreadPool.maximumThreadCount }
}

extension ThreadPool {
  /// The pool that every operation of the process shares.
  static let process: ThreadPool = {
    let pool = ThreadPool(threadCount: (try? startCount.get()) ?? 1)
    martlet_process_at_unload { ThreadPool.process.close() }
    return pool
  }()

  /// What the surroundings ask for, read once.
  fileprivate static let startCount: Result<Int, MartletError> = {
    do throws(MartletError) {
      return .success(
        try ThreadCount.chosen(
          own: Environment.value("MARTLET_NUM_THREADS"), openMP: Environment.value("OMP_NUM_THREADS"),
          processors: Environment.usableProcessorCount, quota: ThreadCount.quota))
    } catch {
      return .failure(error)
    }
  }()
}

extension Compute {
  private static let chosen: Result<Compute, MartletError> = {
    if case .failure(let error) = ThreadPool.startCount { return .failure(error) }
    do throws(KernelSetError) {
      let set = try KernelSet.chosen(environment: Environment.value("MARTLET_ISA"))
      return .success(Compute(kernels: set.makeTable(), pool: .process))
    } catch {
      return .failure(MartletError(.unsupported, error.message))
    }
  }()

  /// What the process computes with; chosen once, at first use.
  static var shared: Compute {
    get throws { try chosen.get() }
  }
}
