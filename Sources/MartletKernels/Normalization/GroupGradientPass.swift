// The last pass of group norm's gradient.

/// `gradInput (+)= multiplier·g − (offset + (x − center)·slope)`.
///
/// Batch norm's pass divides the last term by the channel's scale; the channels of a group share it, and one of them may have the
/// scale 0.
public struct GroupGradientPass<Tag: InstructionSet>: ChannelPass {
  public let accumulate: Bool

  @inlinable @inline(__always)
  public init(accumulate: Bool) { self.accumulate = accumulate }

  @inlinable @inline(__always)
  public func coefficients(_ at: ChannelCoefficients) -> ChannelMapFactors<Tag> {
    ChannelMapFactors(
      center: Tag.load(at.center), multiplier: Tag.load(at.multiplier), slope: Tag.load(at.slope), offset: Tag.load(at.offset))
  }

  @inlinable @inline(__always)
  public func repeatedCoefficients(_ at: ChannelCoefficients) -> ChannelMapFactors<Tag> {
    ChannelMapFactors(
      center: Tag.Vector(repeating: at.center.pointee), multiplier: Tag.Vector(repeating: at.multiplier.pointee),
      slope: Tag.Vector(repeating: at.slope.pointee), offset: Tag.Vector(repeating: at.offset.pointee))
  }

  @inlinable @inline(__always)
  public func values(_ at: ChannelOperands) -> GradientPassValues<Tag> { GradientPassValues(at, accumulate) }

  @inlinable @inline(__always)
  public func prefetch(_ at: ChannelOperands) {
    Tag.prefetch(at.input)
    Tag.prefetch(at.gradOutput)
  }

  @inlinable @inline(__always)
  public func result(_ v: GradientPassValues<Tag>, _ c: ChannelMapFactors<Tag>) -> Tag.Vector {
    let rest = Tag.multiplyAdd(c.center - v.input, c.slope, Tag.Vector(repeating: 0) - c.offset)
    let t = Tag.multiplyAdd(v.gradOutput, c.multiplier, rest)
    return accumulate ? v.before + t : t
  }
}

/// What such a pass loads of one vector's place, before it writes there.
public struct GradientPassValues<Tag: InstructionSet> {
  public var gradOutput: Tag.Vector
  public var input: Tag.Vector
  public var before: Tag.Vector

  @inlinable @inline(__always)
  public init(_ at: ChannelOperands, _ accumulate: Bool) {
    gradOutput = Tag.load(at.gradOutput)
    input = Tag.load(at.input)
    before = accumulate ? Tag.load(at.result) : input
  }
}
