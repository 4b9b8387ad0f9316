// Where each buffer of a plan lies: those whose lifetimes do not meet share memory.

/// A buffer of a plan, by number.
struct BufferID: Hashable {
  let index: Int
}

/// Collects buffers with their lifetimes, then lays them out in one arena.
struct BufferPlanner {
  private struct Request {
    var byteCount: Int
    var first: Int
    var last: Int
  }

  private var requests: [Request] = []

  /// A buffer in use from time `first` through time `last`.
  mutating func request(byteCount: Int, from first: Int, through last: Int) throws -> BufferID {
    guard byteCount <= Shape.maximumElementCount else {
      throw MartletError.shapeMismatch("A batch of this size needs more memory than can be addressed. Use a smaller batch.")
    }
    requests.append(Request(byteCount: byteCount, first: first, last: last))
    return BufferID(index: requests.count - 1)
  }

  mutating func request(floats: Int, from first: Int, through last: Int) throws -> BufferID {
    let (bytes, overflows) = floats.multipliedReportingOverflow(by: 4)
    return try request(byteCount: overflows ? Int.max : bytes, from: first, through: last)
  }

  /// The buffer is in use through `time` as well.
  mutating func extend(_ buffer: BufferID, through time: Int) {
    requests[buffer.index].last = max(requests[buffer.index].last, time)
  }

  struct Layout {
    /// Of each buffer, in bytes from the arena's start.
    var offsets: [Int]
    var byteCount: Int
    /// What the buffers would take without sharing.
    var unsharedByteCount: Int
  }

  /// Greedy by size: each buffer, largest first, at the lowest place where it meets no buffer alive at the same time.
  /// Source: Pisarchyk & Lee 2020.
  ///
  /// A search looks at the buffers that are placed, from the lowest on. Of plans with so many that this would take long (tens of
  /// thousands), the rest goes above everything that is alive at the same time, which takes n·log n.
  ///
  /// - Parameter mostLooks: buffers looked at in all searches together.
  func layout(mostLooks: Int = Self.mostLooks) throws -> Layout {
    var offsets = [Int](repeating: 0, count: requests.count)
    var placed = PlacedBuffers()
    var looks = 0
    var skyline: Skyline?
    var end = 0
    var unshared = 0
    let order = requests.indices.sorted {
      (requests[$0].byteCount, $1) > (requests[$1].byteCount, $0)
    }
    for (number, i) in order.enumerated() {
      let (request, size) = (requests[i], BufferPlanner.rounded(requests[i].byteCount))
      let (sum, overflows) = unshared.addingReportingOverflow(size)
      unshared = overflows ? Int.max : sum
      if skyline == nil, looks > mostLooks {
        skyline = Skyline(requests.lazy.map { ($0.first, $0.last) })
        for j in order[..<number] {
          skyline?.raise(requests[j].first, requests[j].last, to: offsets[j] + BufferPlanner.rounded(requests[j].byteCount))
        }
      }
      if skyline != nil {
        offsets[i] = skyline?.height(request.first, request.last) ?? end
        skyline?.raise(request.first, request.last, to: offsets[i] + size)
      } else {
        offsets[i] = placed.insert(size: size, first: request.first, last: request.last, &looks)
      }
      end = max(end, offsets[i] + size)
      guard end <= Shape.maximumElementCount else {
        throw MartletError(.outOfMemory, "A batch of this size needs more memory than can be addressed. Use a smaller batch.")
      }
    }
    return Layout(offsets: offsets, byteCount: end, unsharedByteCount: unshared)
  }

  /// Some tenth of a second of searches: as many as a plan of 15,000 buffers can need.
  static let mostLooks = 1 << 27

  private static func rounded(_ bytes: Int) -> Int {
    (max(bytes, 1) + Storage.alignment - 1) & ~(Storage.alignment - 1)
  }
}

/// The buffers that have a place, from the lowest on.
private struct PlacedBuffers {
  private struct Buffer {
    let offset: Int
    let end: Int
    let first: Int
    let last: Int
  }
  private var buffers: [Buffer] = []

  /// Puts a buffer at the lowest place where it meets none alive at the same time, and returns where that is.
  mutating func insert(size: Int, first: Int, last: Int, _ looks: inout Int) -> Int {
    var offset = 0
    let count = buffers.count
    let seen = buffers.withUnsafeBufferPointer { buffers in
      for i in 0..<count where buffers[i].first <= last && first <= buffers[i].last {
        if offset + size <= buffers[i].offset { return i }
        offset = max(offset, buffers[i].end)
      }
      return count
    }
    looks += seen
    // Behind those of the same offset.
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if buffers[middle].offset <= offset { low = middle + 1 } else { high = middle }
    }
    buffers.insert(Buffer(offset: offset, end: offset + size, first: first, last: last), at: low)
    return offset
  }
}

/// The height that is taken at each time, as a tree of maxima over spans of time.
private struct Skyline {
  /// The times at which a buffer begins or ends, in order.
  private let times: [Int]
  private let leaves: Int
  /// Of a node: the largest height within its span, and the height that all of the span has at least.
  private var highest: [Int]
  private var atLeast: [Int]

  init(_ spans: some Sequence<(Int, Int)>) {
    times = Set(spans.flatMap { [$0.0, $0.1] }).sorted()
    var leaves = 1
    while leaves < times.count { leaves *= 2 }
    self.leaves = leaves
    highest = .init(repeating: 0, count: 2 * leaves)
    atLeast = highest
  }

  private func place(_ time: Int) -> Int {
    var (low, high) = (0, times.count)
    while low < high {
      let middle = (low + high) / 2
      if times[middle] < time { low = middle + 1 } else { high = middle }
    }
    return low
  }

  func height(_ first: Int, _ last: Int) -> Int { height(1, 0..<leaves, place(first)...place(last)) }

  private func height(_ node: Int, _ span: Range<Int>, _ wanted: ClosedRange<Int>) -> Int {
    guard span.lowerBound <= wanted.upperBound, wanted.lowerBound < span.upperBound else { return 0 }
    if wanted.lowerBound <= span.lowerBound, span.upperBound <= wanted.upperBound + 1 { return highest[node] }
    let middle = (span.lowerBound + span.upperBound) / 2
    return max(
      atLeast[node], height(2 * node, span.lowerBound..<middle, wanted), height(2 * node + 1, middle..<span.upperBound, wanted))
  }

  /// No buffer that was placed reaches above `height` at these times.
  mutating func raise(_ first: Int, _ last: Int, to height: Int) { raise(1, 0..<leaves, place(first)...place(last), height) }

  private mutating func raise(_ node: Int, _ span: Range<Int>, _ wanted: ClosedRange<Int>, _ height: Int) {
    guard span.lowerBound <= wanted.upperBound, wanted.lowerBound < span.upperBound else { return }
    highest[node] = max(highest[node], height)
    if wanted.lowerBound <= span.lowerBound, span.upperBound <= wanted.upperBound + 1 {
      atLeast[node] = max(atLeast[node], height)
      return
    }
    let middle = (span.lowerBound + span.upperBound) / 2
    raise(2 * node, span.lowerBound..<middle, wanted, height)
    raise(2 * node + 1, middle..<span.upperBound, wanted, height)
  }
}
