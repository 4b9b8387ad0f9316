// How sums over a channel are gathered: short runs in Float32, everything above in Float64.

/// Sums are overwritten, not added to. The order in which one is formed depends on the block's size and the lanes of a vector
/// alone, never on the values or on what ran before.
public enum ChannelSummation {
  /// Values that one Float32 accumulator gathers before it goes to Float64: its rounding errors stay below half of this many
  /// units in the last place of a partial sum and, being independent, average out over the runs.
  @inlinable @inline(__always)
  static var runLength: Int { 32 }

  // MARK: - Columns

  @inlinable @inline(__always)
  public static func columns<Terms: ChannelTerms>(
    _ terms: Terms, _ operands: ChannelOperands, _ coefficients: ChannelCoefficients, _ block: ColumnBlock, _ sums: ChannelSums
  ) {
    let lanes = Terms.Tag.lanes
    for column in 0..<block.columns {
      sums.sum[column] = 0
      sums.products[column] = 0
    }
    let looksAhead = operands.asksForReads && Lookahead.pays(block.rows * block.columns)
    // Longer stretches of a row where nobody asks ahead; sixteen sums want 32 registers.
    let takesEight = lanes >= 16 && !looksAhead && !Terms.needsManyRegisters
    var row = 0
    while row < block.rows {
      let rows = min(runLength, block.rows - row)
      let start = operands.advanced(by: row * block.rowStride)
      var column = 0
      while takesEight && column + 8 * lanes <= block.columns {
        eightVectors(
          terms, start.advanced(by: column), coefficients.advanced(by: column), rows: rows, rowStride: block.rowStride,
          sums.advanced(by: column))
        column += 8 * lanes
      }
      while column + 4 * lanes <= block.columns {
        // What the same row holds for the next four vectors; behind the last ones, what the next rows hold for the first.
        let isLast = column + 8 * lanes > block.columns
        fourVectors(
          terms, start.advanced(by: column), coefficients.advanced(by: column), rows: rows, rowStride: block.rowStride,
          ahead: looksAhead ? (isLast ? runLength * block.rowStride - column : 4 * lanes) : 0, sums.advanced(by: column))
        column += 4 * lanes
      }
      while column < block.columns {
        // A partial vector begins further left, and leaves out what its neighbour has counted.
        let first = min(column, block.columns - lanes)
        var total = columnRun(
          terms, start.advanced(by: first), coefficients.advanced(by: first), rows: rows, rowStride: block.rowStride)
        if first < column { total.keepLanes(from: column - first) }
        total.flush(to: sums.advanced(by: first))
        column += lanes
      }
      row += rows
    }
  }

  /// A short run of four vectors of columns: whole cache lines on every instruction set, and eight sums hide the latency of
  /// addition.
  @inlinable @inline(__always)
  static func fourVectors<Terms: ChannelTerms>(
    _ terms: Terms, _ start: ChannelOperands, _ coefficients: ChannelCoefficients, rows: Int, rowStride: Int,
    ahead: Int, _ sums: ChannelSums
  ) {
    var four = FourRunningSums(terms, coefficients)
    var at = start
    for _ in 0..<rows {
      if ahead != 0 { Lookahead.quad(lanes: Terms.Tag.lanes) { terms.prefetch(at.advanced(by: ahead + $0)) } }
      four.add(terms, at)
      at = at.advanced(by: rowStride)
    }
    four.flush(to: sums)
  }

  @inlinable @inline(__always)
  static func eightVectors<Terms: ChannelTerms>(
    _ terms: Terms, _ start: ChannelOperands, _ coefficients: ChannelCoefficients, rows: Int, rowStride: Int,
    _ sums: ChannelSums
  ) {
    let half = 4 * Terms.Tag.lanes
    var first = FourRunningSums(terms, coefficients)
    var second = FourRunningSums(terms, coefficients.advanced(by: half))
    var at = start
    for _ in 0..<rows {
      first.add(terms, at)
      second.add(terms, at.advanced(by: half))
      at = at.advanced(by: rowStride)
    }
    first.flush(to: sums)
    second.flush(to: sums.advanced(by: half))
  }

  /// The same for one vector of columns, rows in turn to two accumulators.
  @inlinable @inline(__always)
  static func columnRun<Terms: ChannelTerms>(
    _ terms: Terms, _ start: ChannelOperands, _ coefficients: ChannelCoefficients, rows: Int, rowStride: Int
  ) -> RunningSums<Terms.Tag> {
    let factors = terms.factors(coefficients)
    var even = RunningSums<Terms.Tag>()
    var odd = RunningSums<Terms.Tag>()
    var at = start
    for _ in 0..<rows / 2 {
      even.add(terms.term(at, factors))
      at = at.advanced(by: rowStride)
      odd.add(terms.term(at, factors))
      at = at.advanced(by: rowStride)
    }
    if rows % 2 == 1 { even.add(terms.term(at, factors)) }
    even.add(odd)
    return even
  }

  // MARK: - Float64 throughout

  /// For the rare channel whose sums overflowed Float32 or whose center was far off: exactness before speed.
  @inlinable @inline(__always)
  public static func exactColumns<Terms: ChannelTerms>(
    _ terms: Terms, _ operands: ChannelOperands, center: UnsafePointer<Double>, _ coefficients: ChannelCoefficients,
    _ block: ColumnBlock, _ sums: ChannelSums
  ) {
    let lanes = Terms.Tag.lanes
    var column = 0
    while column < block.columns {
      // A partial vector begins further left and forms its neighbour's sums a second time, with the same bits.
      let first = min(column, block.columns - lanes)
      let c = Terms.Tag.load(center + first)
      let factors = terms.factors(coefficients.advanced(by: first))
      var sum = Terms.Tag.Double64(repeating: 0)
      var products = Terms.Tag.Double64(repeating: 0)
      for row in 0..<block.rows {
        let (u, v) = terms.exactTerm(operands.advanced(by: row * block.rowStride + first), c, factors)
        sum = sum + u
        products = Terms.Tag.multiplyAdd(u, v, products)
      }
      Terms.Tag.store(sum, sums.sum + first)
      Terms.Tag.store(products, sums.products + first)
      column += lanes
    }
  }

  @inlinable @inline(__always)
  public static func exactRuns<Terms: ChannelTerms>(
    _ terms: Terms, _ operands: ChannelOperands, center: UnsafePointer<Double>, _ coefficients: ChannelCoefficients,
    _ block: RunBlock, _ sums: ChannelSums
  ) {
    let lanes = Terms.Tag.lanes
    let whole = block.length / lanes * lanes
    let last = block.length - lanes
    for channel in 0..<block.channels {
      let c = Terms.Tag.Double64(repeating: center[channel])
      let factors = terms.repeatedFactors(coefficients.advanced(by: channel))
      var sum = Terms.Tag.Double64(repeating: 0)
      var products = Terms.Tag.Double64(repeating: 0)
      var tailSum = Terms.Tag.Double64(repeating: 0)
      var tailProducts = Terms.Tag.Double64(repeating: 0)
      for sample in 0..<block.samples {
        let start = operands.advanced(by: sample * block.sampleStride + channel * block.channelStride)
        var i = 0
        while i < whole {
          let (u, v) = terms.exactTerm(start.advanced(by: i), c, factors)
          sum = sum + u
          products = Terms.Tag.multiplyAdd(u, v, products)
          i += lanes
        }
        if whole < block.length {
          let (u, v) = terms.exactTerm(start.advanced(by: last), c, factors)
          tailSum = tailSum + u
          tailProducts = Terms.Tag.multiplyAdd(u, v, tailProducts)
        }
      }
      var total = laneSum(Terms.Tag.self, sum)
      var totalProducts = laneSum(Terms.Tag.self, products)
      // Of the tail's lanes the last `length − whole` are new.
      for lane in whole - last..<lanes {
        total += tailSum[lane]
        totalProducts += tailProducts[lane]
      }
      sums.sum[channel] = total
      sums.products[channel] = totalProducts
    }
  }

  /// Every fourth lane in order, then the four: a single chain of additions would take longer than a short run.
  @inlinable @inline(__always)
  static func laneSum<I: InstructionSet>(_ set: I.Type, _ v: I.Double64) -> Double {
    var (a, b, c, d) = (v[0], v[1], v[2], v[3])
    var lane = 4
    while lane < I.lanes {
      a += v[lane]
      b += v[lane + 1]
      c += v[lane + 2]
      d += v[lane + 3]
      lane += 4
    }
    return (a + b) + (c + d)
  }
}
