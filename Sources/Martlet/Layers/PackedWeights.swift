// A Dense layer's weights in the order in which the kernels read them.
import MartletRuntime
import Synchronization

/// How inference keeps the weights it reads; the model's own stay Float32.
public enum InferenceWeights: Int32, CaseIterable, Sendable {
  /// As they are.
  case float32 = 0
  /// Each rounded to the nearest half-precision number: half the memory to read, which is all the time that a single row takes.
  ///
  /// Error: |ŵ − w| ≤ 2⁻¹¹·|w|, and ≤ 2⁻²⁵ below 2⁻¹⁴; so an output before its tail differs by at most 2⁻¹¹·Σ|w·x| (for weights that
  /// are not that small). Sums are Float32 as before. A layer with a weight of 65520 or more, or NaN, keeps Float32.
  case float16 = 1

  public var name: String { self == .float32 ? "float32" : "float16" }
}

/// One packed copy of a layer's weights for every inference plan and thread, made at the first use and again after a change.
///
/// Inference may run on many threads while nothing writes the weights: so those that find the copy stale make it once, under a
/// lock, and all others read without one.
final class PackedWeights: @unchecked Sendable {
  private let format: InferenceWeights
  /// The memory, as long as this object; taken at the first use.
  private let storage = Mutex<Storage?>(nil)
  /// Nil where the weights do not fit the format.
  private let panels = Atomic<UnsafeMutableRawPointer?>(nil)
  /// The weights' version in the copy.
  private let version = Atomic<Int>(-1)

  init(_ format: InferenceWeights) { self.format = format }

  /// The copy of `weight` `[out, in]` as the matrix `[in, out]`; nil where a caller may write to the weights at any time, they do not
  /// fit the format, or no memory is to be had.
  func current(_ weight: Variable, outCount: Int, inCount: Int, _ compute: Compute) -> PackedMatrix? {
    guard !weight.isExposed else { return nil }
    if version.load(ordering: .acquiring) != weight.version {
      storage.withLock { pack(weight, outCount, inCount, compute, into: &$0) }
    }
    guard let panels = panels.load(ordering: .acquiring) else { return nil }
    return format == .float32
      ? PackedMatrix(panels: panels.assumingMemoryBound(to: Float.self), columns: outCount, depth: inCount)
      : PackedMatrix(halves: panels, columns: outCount, depth: inCount)
  }

  private func pack(
    _ weight: Variable, _ outCount: Int, _ inCount: Int, _ compute: Compute, into memory: inout Storage?
  ) {
    let byteCount = compute.packedByteCount(columns: outCount, depth: inCount)
    guard version.load(ordering: .relaxed) != weight.version,
      let block = memory ?? (try? Storage(byteCount: format == .float32 ? byteCount : byteCount / 2)),
      let floats = format == .float32 ? block : try? Storage(byteCount: byteCount, isZeroed: false)
    else { return }
    memory = block
    compute.pack(
      MatrixView(weight.floats, rowStride: 1, columnStride: inCount), columns: outCount, depth: inCount, into: floats.floats)
    let fits = format == .float32 || compute.roundToHalves(floats.floats, count: byteCount / 4, into: block.base)
    panels.store(fits ? block.base : nil, ordering: .releasing)
    version.store(weight.version, ordering: .releasing)
  }
}
