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
  func layout() throws -> Layout {
    var offsets = [Int](repeating: 0, count: requests.count)
    var placed: [Int] = []
    var end = 0
    var unshared = 0
    let order = requests.indices.sorted {
      (requests[$0].byteCount, $1) > (requests[$1].byteCount, $0)
    }
    for i in order {
      let size = BufferPlanner.rounded(requests[i].byteCount)
      let (sum, overflows) = unshared.addingReportingOverflow(size)
      unshared = overflows ? Int.max : sum
      let neighbours = placed.filter {
        requests[$0].first <= requests[i].last && requests[i].first <= requests[$0].last
      }.sorted { offsets[$0] < offsets[$1] }
      var offset = 0
      for j in neighbours {
        if offset + size <= offsets[j] { break }
        offset = max(offset, offsets[j] + BufferPlanner.rounded(requests[j].byteCount))
      }
      offsets[i] = offset
      placed.append(i)
      end = max(end, offset + size)
      guard end <= Shape.maximumElementCount else {
        throw MartletError(.outOfMemory, "A batch of this size needs more memory than can be addressed. Use a smaller batch.")
      }
    }
    return Layout(offsets: offsets, byteCount: end, unsharedByteCount: unshared)
  }

  private static func rounded(_ bytes: Int) -> Int {
    (max(bytes, 1) + Storage.alignment - 1) & ~(Storage.alignment - 1)
  }
}
