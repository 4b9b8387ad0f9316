// What this process computes with: instruction set and threads.
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
  /// Starts as the number of CPUs this process may use, or `MARTLET_NUM_THREADS`.
  public static var threadCount: Int { ThreadPool.process.threadCount }

  /// - Throws: ``MartletError/Kind/invalidArgument`` unless 1 ≤ count ≤ 1024.
  public static func setThreadCount(_ count: Int) throws {
    guard (1...maximumThreadCount).contains(count) else {
      throw MartletError.invalidArgument("The number of threads must be in 1...\(maximumThreadCount); \(count) came.")
    }
    ThreadPool.process.setThreadCount(count)
  }

  static let maximumThreadCount = 1024
}

extension ThreadPool {
  /// The pool that every operation of the process shares.
  static let process = ThreadPool(threadCount: startThreadCount())

  private static func startThreadCount() -> Int {
    if let text = Environment.value("MARTLET_NUM_THREADS"), let count = Int(text),
      (1...Machine.maximumThreadCount).contains(count)
    {
      return count
    }
    return min(Environment.usableProcessorCount, Machine.maximumThreadCount)
  }
}

extension Compute {
  private static let chosen: Result<Compute, MartletError> = {
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
