import Glibc
import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct IdleBlocksTests {
  private func block(_ byteCount: Int) throws -> UnsafeMutableRawPointer {
    var memory: UnsafeMutableRawPointer?
    try #require(posix_memalign(&memory, 64, byteCount) == 0)
    return try #require(memory)
  }

  @Test func aBlockComesBackToWhoNeedsExactlyItsSize() throws {
    let idle = IdleBlocks(mostBytes: 1 << 20)
    let given = try block(256 << 10)
    idle.give(given, 256 << 10)
    #expect(idle.take((256 << 10) + 64) == nil)
    #expect(idle.take(256 << 10) == given)
    #expect(idle.take(256 << 10) == nil)
    free(given)
  }

  @Test func smallAndLargeBlocksAreNotKept() throws {
    let idle = IdleBlocks(mostBytes: 1 << 20)
    for size in [64, IdleBlocks.leastBytes - 64, (1 << 20) + 64] {
      idle.give(try block(size), size)
      #expect(idle.take(size) == nil)
    }
  }

  @Test func noMoreThanItsPlacesAreKept() throws {
    let idle = IdleBlocks(mostBytes: 1 << 20)
    for _ in 0..<3 * IdleBlocks.capacity { idle.give(try block(128 << 10), 128 << 10) }
    var found = Set<UnsafeMutableRawPointer>()
    while let next = idle.take(128 << 10) { #expect(found.insert(next).inserted) }
    #expect(found.count == IdleBlocks.capacity)
    for block in found { free(block) }
  }

  /// A tensor made of a block that held other values is zero where zeros are promised.
  @Test func zerosAreZerosInAUsedBlock() throws {
    for _ in 0..<3 {
      do { _ = try Tensor(shape: [64, 1024], filledWith: 3) }
      #expect(try Tensor(shape: [64, 1024]).values.allSatisfy { $0 == 0 })
    }
  }

  @Test func manyThreadsNeverHoldOneBlockTwice() {
    let idle = IdleBlocks(mostBytes: 1 << 20)
    let size = 128 << 10
    Threads.run(4) { thread in
      for turn in 0..<500 {
        guard let block = idle.take(size) ?? (try? self.block(size)) else { continue }
        let mark = thread &* 1_000_000 &+ turn
        block.storeBytes(of: mark, toByteOffset: 64, as: Int.self)
        #expect(block.load(fromByteOffset: 64, as: Int.self) == mark)
        idle.give(block, size)
      }
    }
  }
}
