// Where an operation runs: the kernels of one instruction set, and the worker threads.
import CMartletShims
import MartletKernels

/// The receiver of every operation. Operations (folder `Operations/`) cut work into pieces whose size does not depend on
/// the thread count, combine partial sums in a fixed order, allocate nothing (scratch memory comes from the caller, sized by
/// a `…WorkspaceByteCount` function), check nothing and throw nothing: the layers above have checked.
public final class Compute: Sendable {
  public let kernels: KernelTable
  public let pool: ThreadPool

  /// What the order of passes over large tensors is chosen by; never the bits of a result.
  public let sharedCacheBytes: Int

  /// - Parameter sharedCacheBytes: nil: this machine's.
  public init(kernels: KernelTable, pool: ThreadPool, sharedCacheBytes: Int? = nil) {
    self.kernels = kernels
    self.pool = pool
    self.sharedCacheBytes = sharedCacheBytes ?? Self.machineSharedCacheBytes
  }

  private static var machineSharedCacheBytes: Int {
    let bytes = Int(martlet_shims_shared_cache_bytes())
    return bytes > 0 ? bytes : 8 << 20
  }
}
