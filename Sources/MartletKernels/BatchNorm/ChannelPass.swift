// The passes that write one value for each they read, and how they walk over memory.

/// One value out for each value in, from at most four coefficients a channel.
public protocol ChannelPass: SendableMetatype {
  associatedtype Tag: InstructionSet
  /// The coefficients of `Tag.lanes` columns side by side, or of one channel in every lane.
  associatedtype Coefficients
  /// What was loaded of the tensors, before anything is written: `result` may be the tensor that is read.
  associatedtype Values

  /// - Parameter accumulate: add to the result instead of replacing it, where the pass can.
  init(accumulate: Bool)
  func coefficients(_ at: ChannelCoefficients) -> Coefficients
  func repeatedCoefficients(_ at: ChannelCoefficients) -> Coefficients
  func values(_ at: ChannelOperands) -> Values
  /// Asks for the lines that ``values(_:)`` at this place will read, or some of them.
  func prefetch(_ at: ChannelOperands)
  func result(_ values: Values, _ coefficients: Coefficients) -> Tag.Vector
}

/// How results reach memory.
public protocol ChannelStore {
  associatedtype Tag: InstructionSet
  /// Elements before the first place that ``store(_:_:)`` takes; the first vector covers them.
  static func head(_ p: UnsafeMutablePointer<Float>) -> Int
  static func store(_ v: Tag.Vector, _ p: UnsafeMutablePointer<Float>)
  /// Asks for the line that will be written, if it is read first.
  static func prefetch(_ p: UnsafeMutablePointer<Float>)
  /// Whether writing in the order of memory matters more than reading coefficients less often.
  static var prefersOrder: Bool { get }
  static func finish()
}

public enum OrdinaryStore<Tag: InstructionSet>: ChannelStore {
  /// A coefficient serves a whole cache line where that is one vector.
  @inlinable @inline(__always)
  public static var prefersOrder: Bool { Tag.lanes >= 16 }
  @inlinable @inline(__always)
  public static func head(_ p: UnsafeMutablePointer<Float>) -> Int { 0 }
  @inlinable @inline(__always)
  public static func store(_ v: Tag.Vector, _ p: UnsafeMutablePointer<Float>) { Tag.store(v, p) }
  @inlinable @inline(__always)
  public static func prefetch(_ p: UnsafeMutablePointer<Float>) { Tag.prefetch(p) }
  @inlinable @inline(__always)
  public static func finish() {}
}

/// Past the caches: nothing is read that will be overwritten, and what is in the cache stays there.
public enum StreamingStore<Tag: InstructionSet>: ChannelStore {
  @inlinable @inline(__always)
  public static var prefersOrder: Bool { true }
  @inlinable @inline(__always)
  public static func head(_ p: UnsafeMutablePointer<Float>) -> Int {
    (0 &- Int(bitPattern: p) / MemoryLayout<Float>.size) & (Tag.lanes - 1)
  }
  @inlinable @inline(__always)
  public static func store(_ v: Tag.Vector, _ p: UnsafeMutablePointer<Float>) { Tag.stream(v, p) }
  @inlinable @inline(__always)
  public static func prefetch(_ p: UnsafeMutablePointer<Float>) {}
  @inlinable @inline(__always)
  public static func finish() { Tag.streamFence() }
}

/// How a pass walks over memory.
public enum ChannelWalk {
  /// Row after row; or, where the order matters less or everything is near, four rows at a time, so that coefficients are loaded
  /// once for four vectors.
  ///
  /// Cost: one read of each operand, one write; coefficients come from the first-level cache.
  @inlinable @inline(__always)
  public static func columns<Pass: ChannelPass, Store: ChannelStore>(
    _ pass: Pass, _ operands: ChannelOperands, _ coefficients: ChannelCoefficients, _ block: ColumnBlock, _ store: Store.Type
  ) where Store.Tag == Pass.Tag {
    defer { Store.finish() }
    let lanes = Pass.Tag.lanes
    // The same in every row: a row that streams is a whole number of cache lines.
    let head = Store.head(operands.result)
    let whole = head + (block.columns - head) / lanes * lanes
    let last = block.columns - lanes
    let stride = block.rowStride
    let looksAhead = Lookahead.pays(block.rows * block.columns)
    let ahead = max(Lookahead.count(of: block.columns), Store.prefersOrder ? 1 : 4) * stride
    if lanes >= 16, block.columns == 4 * lanes, head == 0 {
      return fourVectors(pass, operands, coefficients, block, store, ahead: looksAhead ? ahead : 0)
    }
    var row = 0
    // What is near is bound by loads, of which coefficients are most.
    let sharesCoefficients = !Store.prefersOrder || !Lookahead.pays(block.rows * block.columns)
    while sharesCoefficients, row + 4 <= block.rows {
      let r0 = operands.advanced(by: row * stride)
      let r1 = operands.advanced(by: (row + 1) * stride)
      let r2 = operands.advanced(by: (row + 2) * stride)
      let r3 = operands.advanced(by: (row + 3) * stride)
      // The last vector overlaps its neighbour, so it is read before the neighbour may be overwritten.
      let t0 = pass.values(r0.advanced(by: last))
      let t1 = pass.values(r1.advanced(by: last))
      let t2 = pass.values(r2.advanced(by: last))
      let t3 = pass.values(r3.advanced(by: last))
      if head > 0 {
        let c = pass.coefficients(coefficients)
        Pass.Tag.store(pass.result(pass.values(r0), c), r0.result)
        Pass.Tag.store(pass.result(pass.values(r1), c), r1.result)
        Pass.Tag.store(pass.result(pass.values(r2), c), r2.result)
        Pass.Tag.store(pass.result(pass.values(r3), c), r3.result)
      }
      var column = head
      while column < whole {
        if looksAhead, Lookahead.isDue(column - head, lanes: lanes) {
          let place = column + ahead
          for row in 0..<4 { prefetch(pass, r0.advanced(by: row * stride + place), store) }
        }
        let c = pass.coefficients(coefficients.advanced(by: column))
        let v0 = pass.result(pass.values(r0.advanced(by: column)), c)
        let v1 = pass.result(pass.values(r1.advanced(by: column)), c)
        let v2 = pass.result(pass.values(r2.advanced(by: column)), c)
        let v3 = pass.result(pass.values(r3.advanced(by: column)), c)
        Store.store(v0, r0.result + column)
        Store.store(v1, r1.result + column)
        Store.store(v2, r2.result + column)
        Store.store(v3, r3.result + column)
        column += lanes
      }
      if column < block.columns {
        let c = pass.coefficients(coefficients.advanced(by: last))
        Pass.Tag.store(pass.result(t0, c), r0.result + last)
        Pass.Tag.store(pass.result(t1, c), r1.result + last)
        Pass.Tag.store(pass.result(t2, c), r2.result + last)
        Pass.Tag.store(pass.result(t3, c), r3.result + last)
      }
      row += 4
    }
    while row < block.rows {
      let r = operands.advanced(by: row * stride)
      let tail = pass.values(r.advanced(by: last))
      if head > 0 { Pass.Tag.store(pass.result(pass.values(r), pass.coefficients(coefficients)), r.result) }
      var column = head
      while column < whole {
        if looksAhead, Lookahead.isDue(column - head, lanes: lanes) { prefetch(pass, r.advanced(by: column + ahead), store) }
        let c = pass.coefficients(coefficients.advanced(by: column))
        Store.store(pass.result(pass.values(r.advanced(by: column)), c), r.result + column)
        column += lanes
      }
      if column < block.columns {
        Pass.Tag.store(pass.result(tail, pass.coefficients(coefficients.advanced(by: last))), r.result + last)
      }
      row += 1
    }
  }

  /// Rows of four vectors, whose coefficients stay in registers: a row alone would load them again, four for each value.
  @inlinable @inline(__always)
  static func fourVectors<Pass: ChannelPass, Store: ChannelStore>(
    _ pass: Pass, _ operands: ChannelOperands, _ coefficients: ChannelCoefficients, _ block: ColumnBlock, _ store: Store.Type,
    ahead: Int
  ) where Store.Tag == Pass.Tag {
    let lanes = Pass.Tag.lanes
    let c0 = pass.coefficients(coefficients)
    let c1 = pass.coefficients(coefficients.advanced(by: lanes))
    let c2 = pass.coefficients(coefficients.advanced(by: 2 * lanes))
    let c3 = pass.coefficients(coefficients.advanced(by: 3 * lanes))
    var r = operands
    for _ in 0..<block.rows {
      if ahead != 0 { Lookahead.quad(lanes: lanes) { prefetch(pass, r.advanced(by: ahead + $0), store) } }
      let v0 = pass.result(pass.values(r), c0)
      let v1 = pass.result(pass.values(r.advanced(by: lanes)), c1)
      let v2 = pass.result(pass.values(r.advanced(by: 2 * lanes)), c2)
      let v3 = pass.result(pass.values(r.advanced(by: 3 * lanes)), c3)
      Store.store(v0, r.result)
      Store.store(v1, r.result + lanes)
      Store.store(v2, r.result + 2 * lanes)
      Store.store(v3, r.result + 3 * lanes)
      r = r.advanced(by: block.rowStride)
    }
  }

  /// Run after run, the channel's coefficients in registers.
  @inlinable @inline(__always)
  public static func runs<Pass: ChannelPass, Store: ChannelStore>(
    _ pass: Pass, _ operands: ChannelOperands, _ coefficients: ChannelCoefficients, _ block: RunBlock, _ store: Store.Type
  ) where Store.Tag == Pass.Tag {
    defer { Store.finish() }
    let lanes = Pass.Tag.lanes
    let length = block.length
    let last = length - lanes
    let looksAhead = Lookahead.pays(block.samples * block.channels * length)
    var runsAhead = RunsAhead(
      length: length, count: block.channels, innerStride: block.channelStride, outerStride: block.sampleStride)
    for sample in 0..<block.samples {
      for channel in 0..<block.channels {
        let place = sample * block.sampleStride + channel * block.channelStride
        let run = operands.advanced(by: place)
        let ahead = operands.advanced(by: runsAhead.next(after: place))
        let c = pass.repeatedCoefficients(coefficients.advanced(by: channel))
        let tail = pass.values(run.advanced(by: last))
        let head = Store.head(run.result)
        if head > 0 { Pass.Tag.store(pass.result(pass.values(run), c), run.result) }
        var i = head
        while i + 4 * lanes <= length {
          if looksAhead { Lookahead.quad(lanes: lanes) { prefetch(pass, ahead.advanced(by: i + $0), store) } }
          let v0 = pass.result(pass.values(run.advanced(by: i)), c)
          let v1 = pass.result(pass.values(run.advanced(by: i + lanes)), c)
          let v2 = pass.result(pass.values(run.advanced(by: i + 2 * lanes)), c)
          let v3 = pass.result(pass.values(run.advanced(by: i + 3 * lanes)), c)
          Store.store(v0, run.result + i)
          Store.store(v1, run.result + i + lanes)
          Store.store(v2, run.result + i + 2 * lanes)
          Store.store(v3, run.result + i + 3 * lanes)
          i += 4 * lanes
        }
        while i + lanes <= length {
          if looksAhead, Lookahead.isDue(i - head, lanes: lanes) { prefetch(pass, ahead.advanced(by: i), store) }
          Store.store(pass.result(pass.values(run.advanced(by: i)), c), run.result + i)
          i += lanes
        }
        if i < length { Pass.Tag.store(pass.result(tail, c), run.result + last) }
      }
    }
  }

  @inlinable @inline(__always)
  static func prefetch<Pass: ChannelPass, Store: ChannelStore>(_ pass: Pass, _ at: ChannelOperands, _ store: Store.Type) {
    if at.asksForReads { pass.prefetch(at) }
    Store.prefetch(at.result)
  }
}
