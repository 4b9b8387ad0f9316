import Synchronization
import Testing

@testable import MartletRuntime

@Suite struct PrefetcherTests {
  /// Writes each item's square to its slot and keeps what was asked of it.
  private final class Squares: PrefetchSource {
    let slots: Mutex<[Int]>
    let log = Mutex<[Int]>([])

    init(slots: Int) { self.slots = Mutex(Array(repeating: -1, count: slots)) }

    func prepare(item: Int, slot: Int) {
      slots.withLock { $0[slot] = item * item }
      log.withLock { $0.append(item) }
    }
    func forgetProgress() {}
  }

  @Test(arguments: [1, 2, 3]) func everyItemOnceAndInOrder(slots: Int) {
    let source = Squares(slots: slots)
    let prefetcher = Prefetcher(source, itemCount: 500, slotCount: slots)
    for item in 0..<500 {
      let slot = prefetcher.next()
      #expect(source.slots.withLock { $0[slot] } == item * item)
      // Never more prepared than there are slots, this one counted.
      #expect(source.log.withLock { $0.count } <= item + slots)
      prefetcher.release()
    }
    #expect(source.log.withLock { $0 } == Array(0..<500))
  }

  /// Begins with the first call, goes no further than its slots, ends when asked.
  @Test func lazyAndEnding() {
    let source = Squares(slots: 2)
    do {
      let idle = Prefetcher(source, itemCount: 9, slotCount: 2)
      #expect(source.log.withLock { $0.isEmpty })
      idle.finish()
    }
    #expect(source.log.withLock { $0.isEmpty })
    let prefetcher = Prefetcher(source, itemCount: 100, slotCount: 2)
    _ = prefetcher.next()
    prefetcher.finish()
    let count = source.log.withLock { $0.count }
    #expect((1...2).contains(count))
    prefetcher.finish()
    #expect(source.log.withLock { $0.count } == count)
  }

  @Test func manyOfThem() {
    for _ in 0..<200 {
      let prefetcher = Prefetcher(Squares(slots: 2), itemCount: 3, slotCount: 2)
      for _ in 0..<2 {
        _ = prefetcher.next()
        prefetcher.release()
      }
    }
  }
}
