// A layer's weights in the order in which the kernels read them.
import MartletRuntime
import Synchronization

/// How inference keeps the weights it reads; the model's own stay Float32.
public enum InferenceWeights: Int32, CaseIterable, Sendable {
  /// As they are.
  case float32 = 0
  /// Each rounded to the nearest half-precision number, after a power of two for each output: half the memory to read, which is all the
  /// time that a single row takes.
  ///
  /// Error: |ŵ − w| ≤ 2⁻¹¹·|w| + 2⁻³³·max |w|, the largest over the weights of the same output; so an output before its tail differs by at
  /// most 2⁻¹¹·Σ|w·x| + 2⁻³³·max |w|·Σ|x|. Sums are Float32 as before. A layer keeps Float32 that has a weight that is not finite, or an
  /// output whose weights are all below 2⁻¹¹⁸; ``Model/planDescription(batchSize:training:)`` says which.
  case float16 = 1

  public var name: String { self == .float32 ? "float32" : "float16" }
}

/// One packed copy of a layer's weights for every inference plan and thread, made at the first use and again after a change.
///
/// Inference may run on many threads while nothing writes the weights: so those that find the copy stale make it once, under a
/// lock, and all others read without one.
final class PackedWeights: @unchecked Sendable {
  /// The memory, as long as this object; taken at the first use.
  private let storage = Mutex<Storage?>(nil)
  /// Nil where the weights do not fit the format.
  private let panels = Atomic<UnsafeMutableRawPointer?>(nil)
  /// The weights' version in the copy.
  private let version = Atomic<Int>(-1)

  /// The copy of `weight`; nil where a caller may write to the weights at any time, they do not fit the format, or no memory is to be
  /// had.
  ///
  /// - Parameters:
  ///   - byteCount: of the copy; always the same.
  ///   - pack: writes the copy; false if the weights do not fit the format.
  func current(
    _ weight: Variable, byteCount: Int, _ pack: (UnsafeMutableRawPointer) -> Bool
  ) -> UnsafeRawPointer? {
    guard !weight.isExposed else { return nil }
    if version.load(ordering: .acquiring) != weight.version {
      storage.withLock { memory in
        guard version.load(ordering: .relaxed) != weight.version,
          let block = memory ?? (try? Storage(byteCount: byteCount, isZeroed: false))
        else { return }
        memory = block
        panels.store(pack(block.base) ? block.base : nil, ordering: .releasing)
        version.store(weight.version, ordering: .releasing)
      }
    }
    return panels.load(ordering: .acquiring).map(UnsafeRawPointer.init)
  }
}

/// The copies of one layer's weights in one of its places, in either format.
final class PackedCopies: Sendable {
  let floats = PackedWeights()
  let halves = PackedWeights()
}
