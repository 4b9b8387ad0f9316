// Where an operation runs: the kernels of one instruction set, and the worker threads.
import MartletKernels

/// The receiver of every operation. Operations (folder `Operations/`) cut work into pieces whose size does not depend on
/// the thread count, combine partial sums in a fixed order, allocate nothing (scratch memory comes from the caller, sized by
/// a `…WorkspaceByteCount` function), check nothing and throw nothing: the layers above have checked.
public final class Compute: Sendable {
  public let kernels: KernelTable
  public let pool: ThreadPool

  public init(kernels: KernelTable, pool: ThreadPool) {
    self.kernels = kernels
    self.pool = pool
  }
}
