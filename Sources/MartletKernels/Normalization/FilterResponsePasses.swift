// Filter response normalisation with its thresholded linear unit, after the mean of squares is known.

/// `z = x·multiplier + (x·low + offset)`, then `max(z, threshold)`. The threshold comes where other passes have the center, low
/// and offset where they have the map's slope and offset.
public struct FilterResponseFactors<Tag: InstructionSet> {
  public var threshold: Tag.Vector
  public var multiplier: Tag.Vector
  public var low: Tag.Vector
  public var offset: Tag.Vector
  /// Of the gradient.
  public var slope: Tag.Vector

  /// Of columns side by side.
  @inlinable @inline(__always)
  public init(_ at: ChannelCoefficients) {
    threshold = Tag.load(at.center)
    multiplier = Tag.load(at.multiplier)
    low = Tag.load(at.mapSlope)
    offset = Tag.load(at.mapOffset)
    slope = Tag.load(at.slope)
  }

  /// Of one channel.
  @inlinable @inline(__always)
  public init(repeating at: ChannelCoefficients) {
    threshold = Tag.Vector(repeating: at.center.pointee)
    multiplier = Tag.Vector(repeating: at.multiplier.pointee)
    low = Tag.Vector(repeating: at.mapSlope.pointee)
    offset = Tag.Vector(repeating: at.mapOffset.pointee)
    slope = Tag.Vector(repeating: at.slope.pointee)
  }

  @inlinable @inline(__always)
  public func linear(_ x: Tag.Vector) -> Tag.Vector { Tag.multiplyAdd(x, multiplier, Tag.multiplyAdd(x, low, offset)) }

  /// The gradient where the linear part is let through (a NaN and a tie are), else 0.
  @inlinable @inline(__always)
  public func passed(_ gradient: Tag.Vector, _ x: Tag.Vector) -> Tag.Vector {
    Tag.whereLess(linear(x), threshold, Tag.Vector(repeating: 0), gradient)
  }

  /// The gradient where the threshold stands instead.
  @inlinable @inline(__always)
  public func stopped(_ gradient: Tag.Vector, _ x: Tag.Vector) -> Tag.Vector {
    Tag.whereLess(linear(x), threshold, gradient, Tag.Vector(repeating: 0))
  }
}

public struct FilterResponseMapPass<Tag: InstructionSet>: ChannelPass {
  /// A map always replaces.
  @inlinable @inline(__always)
  public init(accumulate: Bool) {}

  @inlinable @inline(__always)
  public func coefficients(_ at: ChannelCoefficients) -> FilterResponseFactors<Tag> { FilterResponseFactors(at) }

  @inlinable @inline(__always)
  public func repeatedCoefficients(_ at: ChannelCoefficients) -> FilterResponseFactors<Tag> {
    FilterResponseFactors(repeating: at)
  }

  @inlinable @inline(__always)
  public func values(_ at: ChannelOperands) -> Tag.Vector { Tag.load(at.input) }

  @inlinable @inline(__always)
  public func prefetch(_ at: ChannelOperands) { Tag.prefetch(at.input) }

  @inlinable @inline(__always)
  public func result(_ x: Tag.Vector, _ c: FilterResponseFactors<Tag>) -> Tag.Vector {
    // In this order a NaN stays one.
    Tag.maximum(c.threshold, c.linear(x))
  }
}

/// `gradInput (+)= multiplier·passed(g) − x·slope`.
public struct FilterResponseGradientPass<Tag: InstructionSet>: ChannelPass {
  public let accumulate: Bool

  @inlinable @inline(__always)
  public init(accumulate: Bool) { self.accumulate = accumulate }

  @inlinable @inline(__always)
  public func coefficients(_ at: ChannelCoefficients) -> FilterResponseFactors<Tag> { FilterResponseFactors(at) }

  @inlinable @inline(__always)
  public func repeatedCoefficients(_ at: ChannelCoefficients) -> FilterResponseFactors<Tag> {
    FilterResponseFactors(repeating: at)
  }

  @inlinable @inline(__always)
  public func values(_ at: ChannelOperands) -> GradientPassValues<Tag> { GradientPassValues(at, accumulate) }

  @inlinable @inline(__always)
  public func prefetch(_ at: ChannelOperands) {
    Tag.prefetch(at.input)
    Tag.prefetch(at.gradOutput)
  }

  @inlinable @inline(__always)
  public func result(_ v: GradientPassValues<Tag>, _ c: FilterResponseFactors<Tag>) -> Tag.Vector {
    let rest = (Tag.Vector(repeating: 0) - v.input) * c.slope
    let t = Tag.multiplyAdd(c.passed(v.gradOutput, v.input), c.multiplier, rest)
    return accumulate ? v.before + t : t
  }
}

/// Terms of Σ passed(g) and Σ passed(g)·x.
public struct FilterResponseTerms<Tag: InstructionSet>: ChannelTerms {
  @inlinable @inline(__always)
  public init() {}

  @inlinable @inline(__always)
  public func factors(_ at: ChannelCoefficients) -> FilterResponseFactors<Tag> { FilterResponseFactors(at) }

  @inlinable @inline(__always)
  public func repeatedFactors(_ at: ChannelCoefficients) -> FilterResponseFactors<Tag> { FilterResponseFactors(repeating: at) }

  @inlinable @inline(__always)
  public func term(_ at: ChannelOperands, _ factors: FilterResponseFactors<Tag>) -> (Tag.Vector, Tag.Vector) {
    let x = Tag.load(at.input)
    return (factors.passed(Tag.load(at.gradOutput), x), x)
  }

  @inlinable @inline(__always)
  public func prefetch(_ at: ChannelOperands) {
    Tag.prefetch(at.input)
    Tag.prefetch(at.gradOutput)
  }

  /// The center is the threshold, and no part of the sums.
  @inlinable @inline(__always)
  public func exactTerm(
    _ at: ChannelOperands, _: Tag.Double64, _ factors: FilterResponseFactors<Tag>
  ) -> (Tag.Double64, Tag.Double64) {
    let (u, v) = term(at, factors)
    return (Tag.widened(u), Tag.widened(v))
  }
}

/// Terms of Σ stopped(g), the threshold's gradient; the second sum means nothing.
public struct FilterResponseThresholdTerms<Tag: InstructionSet>: ChannelTerms {
  @inlinable @inline(__always)
  public init() {}

  @inlinable @inline(__always)
  public func factors(_ at: ChannelCoefficients) -> FilterResponseFactors<Tag> { FilterResponseFactors(at) }

  @inlinable @inline(__always)
  public func repeatedFactors(_ at: ChannelCoefficients) -> FilterResponseFactors<Tag> { FilterResponseFactors(repeating: at) }

  @inlinable @inline(__always)
  public func term(_ at: ChannelOperands, _ factors: FilterResponseFactors<Tag>) -> (Tag.Vector, Tag.Vector) {
    (factors.stopped(Tag.load(at.gradOutput), Tag.load(at.input)), Tag.Vector(repeating: 1))
  }

  @inlinable @inline(__always)
  public func prefetch(_ at: ChannelOperands) {
    Tag.prefetch(at.input)
    Tag.prefetch(at.gradOutput)
  }

  @inlinable @inline(__always)
  public func exactTerm(
    _ at: ChannelOperands, _: Tag.Double64, _ factors: FilterResponseFactors<Tag>
  ) -> (Tag.Double64, Tag.Double64) {
    let (u, v) = term(at, factors)
    return (Tag.widened(u), Tag.widened(v))
  }
}
