// Memory whose end is the end of what may be touched.
#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// Float32 values with an inaccessible page behind the last one and one before: a kernel that reads or writes past its range
/// stops there.
///
/// The values end at the page's edge, so that their start has every alignment that the counts give; `misalignedBy` moves them
/// forward by that many bytes (and lets that many bytes behind them go unguarded). With `atStart` they begin at the edge of the page
/// before instead: a kernel that reads backwards past its range stops.
public final class GuardedBuffer {
  public let pointer: UnsafeMutablePointer<Float>
  public let count: Int
  private let base: UnsafeMutableRawPointer
  private let byteCount: Int

  public init(_ values: [Float], misalignedBy bytes: Int = 0, atStart: Bool = false) {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    count = values.count
    let used = values.count * MemoryLayout<Float>.stride + bytes
    let room = max(1, (used + page - 1) / page) * page
    byteCount = room + 2 * page
    guard let base = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), base != MAP_FAILED
    else { fatalError("mmap of \(byteCount) bytes failed") }
    precondition(mprotect(base, page, PROT_NONE) == 0 && mprotect(base + page + room, page, PROT_NONE) == 0)
    self.base = base
    pointer = (base + page + (atStart ? bytes : room - used)).assumingMemoryBound(to: Float.self)
    pointer.initialize(from: values, count: values.count)
  }

  public convenience init(repeating value: Float = 0, count: Int, misalignedBy bytes: Int = 0, atStart: Bool = false) {
    self.init([Float](repeating: value, count: count), misalignedBy: bytes, atStart: atStart)
  }

  /// `count` zeros.
  public convenience init(_ count: Int) { self.init(count: count) }

  deinit { munmap(base, byteCount) }

  /// The values now.
  public var values: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }
  /// The same memory, read-only.
  public var input: UnsafePointer<Float> { UnsafePointer(pointer) }
}
