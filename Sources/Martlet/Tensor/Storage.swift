// Memory of tensors, parameters and plans.
import CMartletShims

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// A block of memory on a cache-line boundary; with its last owner it goes to ``IdleBlocks``, or is freed.
public final class Storage: @unchecked Sendable {
  public let base: UnsafeMutableRawPointer
  public let byteCount: Int
  /// Whole cache lines.
  private let blockByteCount: Int
  private let idle: IdleBlocks

  static let alignment = 64

  /// From here on a block lies on large pages, where the system has them: a matrix whose rows lie a page apart else needs
  /// a translation a row, and on a virtual machine each that is missing costs up to a tenth of a microsecond.
  private static let largeByteCount = 4 << 20
  private static let largePage = 2 << 20

  /// Zeroed, unless `isZeroed` is false: for workspaces and results that are written as a whole, which need no pass over their
  /// memory (nor its pages touched) before.
  ///
  /// - Throws: ``MartletError/Kind/outOfMemory`` if the system has no such block.
  init(byteCount: Int, isZeroed: Bool = true, isWorkspace: Bool = false) throws {
    guard byteCount <= Shape.maximumElementCount << 4 else {
      throw MartletError(.outOfMemory, "\(byteCount) bytes of memory were asked for and are not to be had.")
    }
    let rounded = (max(byteCount, 1) + Storage.alignment - 1) & ~(Storage.alignment - 1)
    let idle = isWorkspace ? IdleBlocks.workspaces : .results
    guard let memory = idle.take(rounded) ?? Storage.newBlock(rounded) else {
      throw MartletError(.outOfMemory, "\(byteCount) bytes of memory were asked for and are not to be had.")
    }
    if isZeroed { memset(memory, 0, rounded) }
    base = memory
    self.byteCount = byteCount
    blockByteCount = rounded
    self.idle = idle
  }

  private static func newBlock(_ byteCount: Int) -> UnsafeMutableRawPointer? {
    let isLarge = byteCount >= largeByteCount
    guard let memory = martlet_shims_allocate(byteCount, isLarge ? largePage : alignment) else { return nil }
    if isLarge { martlet_shims_prefer_large_pages(memory, byteCount & ~(largePage - 1)) }
    return memory
  }

  deinit { idle.give(base, blockByteCount) }

  var floats: UnsafeMutablePointer<Float> { base.assumingMemoryBound(to: Float.self) }
  var doubles: UnsafeMutablePointer<Double> { base.assumingMemoryBound(to: Double.self) }
  var integers: UnsafeMutablePointer<Int64> { base.assumingMemoryBound(to: Int64.self) }
}
