// Blocks of memory between two owners: results of one size, call after call, need no fresh pages.
import Synchronization

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// A few freed blocks of middling size, kept for the next that needs as much.
///
/// The system gives memory out zeroed, page by page at the first touch: a product of 512×512 spent a quarter of its time there. Small
/// blocks the C library recycles itself, and beside the work that fills a large one its pages are cheap; so only sizes between
/// are kept. Places are taken and filled by an exchange: no lock that a fork could leave closed.
final class IdleBlocks: @unchecked Sendable {
  /// Of tensors and results: 32 MB at most.
  static let results = IdleBlocks(mostBytes: 8 << 20)
  /// Of workspaces, of which no more is touched, and so resident, than threads have worked in.
  static let workspaces = IdleBlocks(mostBytes: 32 << 20)

  static let capacity = 4
  static let leastBytes = 128 << 10
  private let mostBytes: Int

  private struct Place: ~Copyable {
    let block = Atomic<UnsafeMutableRawPointer?>(nil)
    /// Of the block here: a hint, so that one that does not fit need not be taken to find out.
    let byteCount = Atomic<Int>(0)
  }

  private let places: UnsafeMutablePointer<Place>
  private let next = Atomic<Int>(0)

  init(mostBytes: Int) {
    self.mostBytes = mostBytes
    places = .allocate(capacity: Self.capacity)
    for i in 0..<Self.capacity { (places + i).initialize(to: Place()) }
  }

  deinit {
    for i in 0..<Self.capacity { free(places[i].block.load(ordering: .acquiring)) }
    places.deinitialize(count: Self.capacity)
    places.deallocate()
  }

  private func keeps(_ byteCount: Int) -> Bool { byteCount >= Self.leastBytes && byteCount <= mostBytes }

  /// A block of exactly so many bytes, whatever stands in it; nil if none is idle. Its first word says its size while it is idle, for the
  /// hint may be of another block.
  func take(_ byteCount: Int) -> UnsafeMutableRawPointer? {
    guard keeps(byteCount) else { return nil }
    for i in 0..<Self.capacity where places[i].byteCount.load(ordering: .relaxed) == byteCount {
      guard let block = places[i].block.exchange(nil, ordering: .acquiringAndReleasing) else { continue }
      if block.load(as: Int.self) == byteCount { return block }
      give(block, block.load(as: Int.self))
    }
    return nil
  }

  /// Takes a block over, in the first empty place or in that of another, which is freed.
  func give(_ block: UnsafeMutableRawPointer, _ byteCount: Int) {
    guard keeps(byteCount) else { return free(block) }
    block.storeBytes(of: byteCount, as: Int.self)
    for i in 0..<Self.capacity where places[i].block.load(ordering: .relaxed) == nil {
      guard places[i].block.compareExchange(expected: nil, desired: block, ordering: .acquiringAndReleasing).exchanged else {
        continue
      }
      return places[i].byteCount.store(byteCount, ordering: .relaxed)
    }
    let i = next.add(1, ordering: .relaxed).oldValue & (Self.capacity - 1)
    free(places[i].block.exchange(block, ordering: .acquiringAndReleasing))
    places[i].byteCount.store(byteCount, ordering: .relaxed)
  }
}
