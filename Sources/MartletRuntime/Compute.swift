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

  /// A larger cache serves many processors, of which this process has a few: how much of it is ours nobody tells. Measured on a
  /// virtual machine with two processors beside 105 MB.
  private static let mostSharedCacheBytes = 32 << 20

  private static var machineSharedCacheBytes: Int {
    let bytes = Int(martlet_shims_shared_cache_bytes())
    return bytes > 0 ? min(bytes, mostSharedCacheBytes) : 8 << 20
  }
}
