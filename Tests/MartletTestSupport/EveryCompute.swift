// What every kernel test runs on: all instruction sets of this machine, several thread counts.
import MartletRuntime

public enum EveryCompute {
  /// One compute for each instruction set that runs here, on the calling thread.
  public static let ofOneThread: [(name: String, compute: Compute)] = computes(threads: 1)

  /// For each instruction set, the same with 1, 2 and 5 threads (so 5 on any machine: more threads than pieces, or than cores).
  public static let ofAllThreads: [(name: String, computes: [Compute])] = {
    let all = [1, 2, 5].map { computes(threads: $0) }
    return all[0].indices.map { i in (all[0][i].name, all.map { $0[i].compute }) }
  }()

  /// As if the shared cache were tiny: tensors are walked over block by block and written past the caches. 1, 2 and 5 threads.
  public static let ofTinyCache: [(name: String, computes: [Compute])] = {
    let all = [1, 2, 5].map { computes(threads: $0, sharedCacheBytes: 65536) }
    return all[0].indices.map { i in (all[0][i].name, all.map { $0[i].compute }) }
  }()

  private static func computes(threads: Int, sharedCacheBytes: Int? = nil) -> [(name: String, compute: Compute)] {
    KernelSet.available.map {
      (
        $0.rawValue,
        Compute(kernels: $0.makeTable(), pool: ThreadPool(threadCount: threads), sharedCacheBytes: sharedCacheBytes)
      )
    }
  }
}

extension [Float] {
  /// For comparisons to the bit, NaN included.
  public var bits: [UInt32] { map(\.bitPattern) }
}
