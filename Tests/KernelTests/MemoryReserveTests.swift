// The memory that stands ready for allocations of Swift's own.
import CMartletShims
import Testing

@Suite struct MemoryReserveTests {
  @Test func allocationsAreSeparateAlignedAndOfTheirSize() throws {
    #expect(martlet_reserve_fill() == 1)
    var blocks: [(UnsafeMutableRawPointer, Int)] = []
    for (number, alignment) in [1, 16, 64, 4096, 2, 32].enumerated() {
      let size = 1000 * number + 1
      let memory = try #require(martlet_reserve_allocate(size, alignment))
      #expect(Int(bitPattern: memory) % max(alignment, 16) == 0)
      #expect(martlet_reserve_size(memory) == size)
      #expect(martlet_reserve_contains(memory) == 1)
      memory.initializeMemory(as: UInt8.self, repeating: UInt8(number), count: size)
      blocks.append((memory, size))
    }
    for (number, (memory, size)) in blocks.enumerated() {
      #expect((0..<size).allSatisfy { memory.load(fromByteOffset: $0, as: UInt8.self) == UInt8(number) })
    }
    for (memory, _) in blocks { #expect(martlet_reserve_free(memory) == 1) }
  }

  @Test func otherMemoryIsNotItsOwn() {
    var number = 0
    #expect(martlet_reserve_free(&number) == 0)
    #expect(martlet_reserve_size(&number) == 0)
  }

  @Test func whatIsSetAsideIsThere() throws {
    let size = 32 << 20
    let number = martlet_reserve_begin(size)
    #expect(number > 0)
    let memory = try #require(martlet_reserve_allocate(size, 16))
    // In use, it outlives the time for which it was set aside.
    martlet_reserve_end(number)
    memory.storeBytes(of: 7, toByteOffset: size - 8, as: Int.self)
    #expect(martlet_reserve_free(memory) == 1)
  }

  /// Address space that no one has, and no overflow on the way there.
  @Test func impossibleSizesAreRefused() {
    #expect(martlet_reserve_allocate(.max, 16) == nil)
    #expect(martlet_reserve_allocate(.max - 100, 1 << 20) == nil)
    #expect(martlet_reserve_allocate(1, .max / 2 + 1) == nil)
  }

  @Test func threadsTakeAndGiveAtOnce() async {
    await withTaskGroup(of: Int.self) { group in
      for thread in 0..<4 {
        group.addTask {
          var wrong = 0
          for round in 0..<2000 {
            let size = 16 + (round * 37 + thread) % 5000
            guard let memory = martlet_reserve_allocate(size, 16) else {
              wrong += 1
              continue
            }
            memory.initializeMemory(as: UInt8.self, repeating: UInt8(thread), count: size)
            if round % 16 == 0 { martlet_reserve_end(martlet_reserve_begin(3 << 20)) }
            for at in [0, size / 2, size - 1] where memory.load(fromByteOffset: at, as: UInt8.self) != UInt8(thread) {
              wrong += 1
            }
            if martlet_reserve_free(memory) != 1 { wrong += 1 }
          }
          return wrong
        }
      }
      for await wrong in group { #expect(wrong == 0) }
    }
  }
}
