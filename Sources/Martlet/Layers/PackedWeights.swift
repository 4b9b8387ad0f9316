// A Dense layer's weights in the order in which the kernels read them.
import MartletRuntime
import Synchronization

/// One packed copy of a layer's weights for every inference plan and thread, made at the first use and again after a change.
///
/// Inference may run on many threads while nothing writes the weights: so those that find the copy stale make it once, under a
/// lock, and all others read without one.
final class PackedWeights: @unchecked Sendable {
  /// The memory, as long as this object; taken at the first use.
  private let storage = Mutex<Storage?>(nil)
  private let panels = Atomic<UnsafeMutablePointer<Float>?>(nil)
  /// The weights' version in the copy.
  private let version = Atomic<Int>(-1)

  /// The copy of `weight` `[out, in]` as the matrix `[in, out]`; nil where a caller may write to the weights at any time, or no
  /// memory is to be had.
  func current(_ weight: Variable, outCount: Int, inCount: Int, _ compute: Compute) -> PackedMatrix? {
    guard !weight.isExposed else { return nil }
    if version.load(ordering: .acquiring) != weight.version {
      storage.withLock { pack(weight, outCount, inCount, compute, into: &$0) }
    }
    return panels.load(ordering: .acquiring).map { PackedMatrix(panels: $0, columns: outCount, depth: inCount) }
  }

  private func pack(
    _ weight: Variable, _ outCount: Int, _ inCount: Int, _ compute: Compute, into memory: inout Storage?
  ) {
    guard version.load(ordering: .relaxed) != weight.version,
      let block = memory ?? (try? Storage(byteCount: compute.packedByteCount(columns: outCount, depth: inCount)))
    else { return }
    memory = block
    compute.pack(
      MatrixView(weight.floats, rowStride: 1, columnStride: inCount), columns: outCount, depth: inCount, into: block.floats)
    panels.store(block.floats, ordering: .releasing)
    version.store(weight.version, ordering: .releasing)
  }
}
