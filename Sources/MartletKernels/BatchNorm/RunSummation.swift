// Sums over channels whose values lie in runs (channels-first images). Where a sum's terms go is said in ChannelSummation.swift.

extension ChannelSummation {
  /// Runs shorter than this many vectors are short: what surrounds a run would take as long as its sums.
  @inlinable @inline(__always)
  static var mostShortVectors: Int { 8 }

  /// Long runs one channel at a time; short ones four channels at a time, as they lie in memory.
  @inlinable @inline(__always)
  public static func runs<Terms: ChannelTerms>(
    _ terms: Terms, _ operands: ChannelOperands, _ coefficients: ChannelCoefficients, _ block: RunBlock, _ sums: ChannelSums
  ) {
    if block.length < mostShortVectors * Terms.Tag.lanes { return shortRuns(terms, operands, coefficients, block, sums) }
    let looksAhead = operands.asksForReads && Lookahead.pays(block.samples * block.channels * block.length)
    var runsAhead = RunsAhead(
      length: block.length, count: block.samples, innerStride: block.sampleStride, outerStride: block.channelStride)
    for channel in 0..<block.channels {
      let factors = terms.repeatedFactors(coefficients.advanced(by: channel))
      var sum = Terms.Tag.Double64(repeating: 0)
      var products = Terms.Tag.Double64(repeating: 0)
      for sample in 0..<block.samples {
        let place = sample * block.sampleStride + channel * block.channelStride
        let start = operands.advanced(by: place)
        let ahead = looksAhead ? runsAhead.next(after: place) - place : 0
        var i = 0
        while i < block.length {
          let length = min(runLength * 4 * Terms.Tag.lanes, block.length - i)
          let total = run(terms, start.advanced(by: i), factors, length: length, ahead: ahead)
          sum = sum + Terms.Tag.widened(total.sum)
          products = products + Terms.Tag.widened(total.products)
          i += length
        }
      }
      sums.sum[channel] = laneSum(Terms.Tag.self, sum)
      sums.products[channel] = laneSum(Terms.Tag.self, products)
    }
  }

  /// One short run: four accumulators in turn.
  @inlinable @inline(__always)
  static func run<Terms: ChannelTerms>(
    _ terms: Terms, _ start: ChannelOperands, _ factors: Terms.Factors, length: Int, ahead: Int
  ) -> RunningSums<Terms.Tag> {
    let lanes = Terms.Tag.lanes
    var a = RunningSums<Terms.Tag>()
    var b = RunningSums<Terms.Tag>()
    var c = RunningSums<Terms.Tag>()
    var d = RunningSums<Terms.Tag>()
    var i = 0
    while i + 4 * lanes <= length {
      let at = start.advanced(by: i)
      if ahead != 0 { Lookahead.quad(lanes: lanes) { terms.prefetch(at.advanced(by: ahead + $0)) } }
      a.add(terms.term(at, factors))
      b.add(terms.term(at.advanced(by: lanes), factors))
      c.add(terms.term(at.advanced(by: 2 * lanes), factors))
      d.add(terms.term(at.advanced(by: 3 * lanes), factors))
      i += 4 * lanes
    }
    while i + lanes <= length {
      a.add(terms.term(start.advanced(by: i), factors))
      i += lanes
    }
    if i < length {
      // The last vector ends where the run ends; what lies before `i` in it has been counted. A run has at least one whole
      // vector, and what precedes a later run belongs to the same channel.
      let first = length - lanes
      var tail = RunningSums<Terms.Tag>()
      tail.add(terms.term(start.advanced(by: first), factors))
      tail.keepLanes(from: i - first)
      b.add(tail)
    }
    a.add(b)
    c.add(d)
    a.add(c)
    return a
  }

  // MARK: - Short runs

  /// A jump to another sample's run of the same channel costs more than the run itself, so neighbouring channels are read
  /// together, and Float32 gathers over several samples. A channel's sums are the same in a group and alone.
  @inlinable @inline(__always)
  static func shortRuns<Terms: ChannelTerms>(
    _ terms: Terms, _ operands: ChannelOperands, _ coefficients: ChannelCoefficients, _ block: RunBlock, _ sums: ChannelSums
  ) {
    let span = 3 * block.channelStride + block.length
    var channel = 0
    while channel + 4 <= block.channels {
      let at = { (k: Int) in coefficients.advanced(by: channel + k) }
      let factors = (
        terms.repeatedFactors(at(0)), terms.repeatedFactors(at(1)), terms.repeatedFactors(at(2)), terms.repeatedFactors(at(3))
      )
      var a = GatheredRuns<Terms>(length: block.length)
      var b = a
      var c = a
      var d = a
      for sample in 0..<block.samples {
        let start = operands.advanced(by: sample * block.sampleStride + channel * block.channelStride)
        if sample + 1 < block.samples {
          for place in stride(from: 0, to: span, by: 16) {
            terms.prefetch(start.advanced(by: block.sampleStride + place))
          }
        }
        a.add(terms, start, factors.0)
        b.add(terms, start.advanced(by: block.channelStride), factors.1)
        c.add(terms, start.advanced(by: 2 * block.channelStride), factors.2)
        d.add(terms, start.advanced(by: 3 * block.channelStride), factors.3)
      }
      a.finish(sums.advanced(by: channel))
      b.finish(sums.advanced(by: channel + 1))
      c.finish(sums.advanced(by: channel + 2))
      d.finish(sums.advanced(by: channel + 3))
      channel += 4
    }
    while channel < block.channels {
      let factors = terms.repeatedFactors(coefficients.advanced(by: channel))
      var one = GatheredRuns<Terms>(length: block.length)
      for sample in 0..<block.samples {
        one.add(terms, operands.advanced(by: sample * block.sampleStride + channel * block.channelStride), factors)
      }
      one.finish(sums.advanced(by: channel))
      channel += 1
    }
  }
}

/// One channel's sums over its short runs in many samples.
public struct GatheredRuns<Terms: ChannelTerms> {
  @usableFromInline let length: Int
  /// Samples that go into Float32 before they go to Float64.
  @usableFromInline let most: Int
  @usableFromInline var samples: Int
  @usableFromInline var running: RunningSums<Terms.Tag>
  @usableFromInline var sum: Terms.Tag.Double64
  @usableFromInline var products: Terms.Tag.Double64

  @inlinable @inline(__always)
  init(length: Int) {
    self.length = length
    let vectors = (length + Terms.Tag.lanes - 1) / Terms.Tag.lanes
    most = max(1, ChannelSummation.runLength / vectors)
    // Here and not as initial values, which no inlinable code can see into.
    samples = 0
    running = RunningSums<Terms.Tag>()
    sum = Terms.Tag.Double64(repeating: 0)
    products = Terms.Tag.Double64(repeating: 0)
  }

  @inlinable @inline(__always)
  mutating func add(_ terms: Terms, _ start: ChannelOperands, _ factors: Terms.Factors) {
    let lanes = Terms.Tag.lanes
    var i = 0
    while i + lanes <= length {
      running.add(terms.term(start.advanced(by: i), factors))
      i += lanes
    }
    if i < length {
      // The last vector ends where the run ends, and leaves out what has been counted.
      let first = length - lanes
      var tail = RunningSums<Terms.Tag>()
      tail.add(terms.term(start.advanced(by: first), factors))
      tail.keepLanes(from: i - first)
      running.add(tail)
    }
    samples += 1
    if samples == most { flush() }
  }

  @inlinable @inline(__always)
  mutating func flush() {
    sum = sum + Terms.Tag.widened(running.sum)
    products = products + Terms.Tag.widened(running.products)
    running = RunningSums<Terms.Tag>()
    samples = 0
  }

  @inlinable @inline(__always)
  mutating func finish(_ sums: ChannelSums) {
    flush()
    sums.sum.pointee = ChannelSummation.laneSum(Terms.Tag.self, sum)
    sums.products.pointee = ChannelSummation.laneSum(Terms.Tag.self, products)
  }
}
