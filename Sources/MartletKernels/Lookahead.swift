// Asking for memory before it is read or written.

/// How far ahead of a walk over memory its lines are asked for.
///
/// Intel's own prefetching follows a stream of reads within a page and does little for writes, whose lines are read first. A
/// loop that asks itself, 3 to 6 KB ahead, waits less where data lies beyond the second-level cache (8 MB mapped: 1.5 to 0.9 ms) and
/// loses nothing measurable where it is near. On AMD's Zen 4 each request costs a place among the loads: what asks for reads there,
/// and what does not, is said beside `ChannelOperands.asksForReads`. Lines asked for need not exist.
@usableFromInline enum Lookahead {
  /// In elements: 48 lines.
  @inlinable @inline(__always)
  static var distance: Int { 768 }
  /// Runs longer than this are looked ahead into; shorter ones are asked for as a whole while an earlier one is read.
  @inlinable @inline(__always)
  static var longestRun: Int { 8192 }
  @inlinable @inline(__always)
  static var line: Int { 16 }

  /// Runs or rows of this length that cover the distance.
  @inlinable @inline(__always)
  static func count(of length: Int) -> Int { (distance + length - 1) / length }

  /// Whether a block of so many elements is worth it: smaller ones (64 KB) are near as a rule.
  @inlinable @inline(__always)
  static func pays(_ elements: Int) -> Bool { elements > 16384 }

  /// Whether a vector of so many lanes at this place of a walk in vectors is the first of a line's worth.
  @inlinable @inline(__always)
  static func isDue(_ place: Int, lanes: Int) -> Bool { lanes >= line || place & (line - 1) == 0 }

  /// Beside the vector at `i` of arrays that are walked over side by side: each is asked for the distance further on.
  @inlinable @inline(__always)
  static func beside<I: InstructionSet>(_: I.Type, _ i: Int, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>) {
    beside(I.self, i, a)
    beside(I.self, i, b)
  }

  @inlinable @inline(__always)
  static func beside<I: InstructionSet>(_: I.Type, _ i: Int, _ a: UnsafePointer<Float>) {
    if isDue(i, lanes: I.lanes) { I.prefetch(a + i + distance) }
  }

  /// Asks for the lines of four vectors.
  @inlinable @inline(__always)
  static func quad(lanes: Int, _ prefetch: (Int) -> Void) {
    prefetch(0)
    if lanes >= 8 { prefetch(line) }
    if lanes >= 16 {
      prefetch(2 * line)
      prefetch(3 * line)
    }
  }
}

/// Where a walk over runs will be some runs later: the inner axis first, then the outer one.
@usableFromInline struct RunsAhead {
  @usableFromInline let length: Int
  @usableFromInline let innerCount: Int
  @usableFromInline let innerStride: Int
  @usableFromInline let outerStride: Int
  @usableFromInline var inner: Int
  @usableFromInline var outer: Int

  /// - Parameters:
  ///   - length: of a run; at least 1.
  ///   - count: runs along the inner axis; at least 1.
  @inlinable @inline(__always)
  init(length: Int, count: Int, innerStride: Int, outerStride: Int) {
    self.length = length
    innerCount = count
    self.innerStride = innerStride
    self.outerStride = outerStride
    let ahead = Lookahead.count(of: length)
    outer = ahead / count
    inner = ahead % count
  }

  /// What to ask for beside the run at `current`, both counted from the first run; then one run further.
  @inlinable @inline(__always)
  mutating func next(after current: Int) -> Int {
    if length > Lookahead.longestRun { return current + Lookahead.distance }
    let place = outer * outerStride + inner * innerStride
    inner += 1
    if inner == innerCount {
      inner = 0
      outer += 1
    }
    return place
  }
}
