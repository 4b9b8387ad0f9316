// Memory that faults right past its last element, so that a kernel's over-read cannot go unnoticed.
#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// `count` values whose end is the end of a page; the page after it can be neither read nor written.
public final class GuardedMemory {
  public let pointer: UnsafeMutablePointer<Float>
  public let count: Int
  private let base: UnsafeMutableRawPointer
  private let byteCount: Int

  public init(_ count: Int) {
    let page = Int(getpagesize())
    let used = (count * MemoryLayout<Float>.stride + page - 1) / page * page
    byteCount = used + page
    guard
      let memory = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), memory != MAP_FAILED,
      mprotect(memory + used, page, PROT_NONE) == 0
    else { fatalError("no memory for a guarded buffer of \(count) values") }
    base = memory
    self.count = count
    pointer = (memory + used - count * MemoryLayout<Float>.stride).assumingMemoryBound(to: Float.self)
  }

  public convenience init(_ values: [Float]) {
    self.init(values.count)
    for (i, value) in values.enumerated() { pointer[i] = value }
  }

  deinit { munmap(base, byteCount) }

  public var array: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }
}
