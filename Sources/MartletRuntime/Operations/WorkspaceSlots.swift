// Scratch memory that pieces take and give back, so that one thread's pieces share what is already in its cache.
import Synchronization

/// As many slots as there are pieces, at most 64; a piece takes the lowest that is free. Which one it gets changes no result.
struct WorkspaceSlots {
  private let taken: UnsafeMutablePointer<Atomic<UInt64>>
  private let first: UnsafeMutableRawPointer
  private let byteCount: Int

  static var alignment: Int { 64 }

  static func byteCount(slots: Int, floats: Int) -> Int { 2 * alignment + slots * alignedByteCount(floats) }

  static func alignedByteCount(_ floats: Int) -> Int {
    (floats * MemoryLayout<Float>.stride + alignment - 1) / alignment * alignment
  }

  /// All free.
  init(_ memory: UnsafeMutableRawPointer, floats: Int) {
    let start = memory.alignedUp(toMultipleOf: Self.alignment)
    taken = start.bindMemory(to: Atomic<UInt64>.self, capacity: 1)
    taken.initialize(to: Atomic(0))
    first = start + Self.alignment
    byteCount = Self.alignedByteCount(floats)
  }

  func take() -> (index: Int, memory: UnsafeMutablePointer<Float>) {
    var now = taken.pointee.load(ordering: .relaxed)
    while true {
      let index = (~now).trailingZeroBitCount
      let (done, seen) = taken.pointee.compareExchange(
        expected: now, desired: now | 1 << UInt64(index), ordering: .acquiringAndReleasing)
      if done { return (index, (first + index * byteCount).assumingMemoryBound(to: Float.self)) }
      now = seen
    }
  }

  func giveBack(_ index: Int) {
    taken.pointee.bitwiseXor(1 << UInt64(index), ordering: .releasing)
  }
}
