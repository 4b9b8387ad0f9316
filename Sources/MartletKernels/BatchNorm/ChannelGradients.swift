// The two passes of the gradient. Both begin with g = gradOutput · activation′(y).

/// Terms of Σg and Σg·(x − center).
public struct ChannelGradientTerms<Tag: InstructionSet, Activation: ChannelActivation>: ChannelTerms {
  @inlinable @inline(__always)
  public init() {}

  @inlinable @inline(__always)
  public func term(_ at: ChannelOperands, _ center: Tag.Vector) -> (Tag.Vector, Tag.Vector) {
    (activatedGradient(Tag.self, Activation.self, at), Tag.load(at.input) - center)
  }

  @inlinable @inline(__always)
  public func exactTerm(_ at: ChannelOperands, _ center: Tag.Double64) -> (Tag.Double64, Tag.Double64) {
    (Tag.widened(activatedGradient(Tag.self, Activation.self, at)), Tag.widened(Tag.load(at.input)) - center)
  }
}

/// `gradInput (+)= multiplier·((g − offset) − (x − center)·slope)`, offset the mean of g over the channel.
public struct ChannelGradientPass<Tag: InstructionSet, Activation: ChannelActivation>: ChannelPass {
  public let accumulate: Bool

  @inlinable @inline(__always)
  public init(accumulate: Bool) { self.accumulate = accumulate }

  @inlinable @inline(__always)
  public func coefficients(
    _ at: ChannelCoefficients
  ) -> (center: Tag.Vector, multiplier: Tag.Vector, slope: Tag.Vector, offset: Tag.Vector) {
    (Tag.load(at.center), Tag.load(at.multiplier), Tag.load(at.slope), Tag.load(at.offset))
  }

  @inlinable @inline(__always)
  public func repeatedCoefficients(
    _ at: ChannelCoefficients
  ) -> (center: Tag.Vector, multiplier: Tag.Vector, slope: Tag.Vector, offset: Tag.Vector) {
    (
      Tag.Vector(repeating: at.center.pointee), Tag.Vector(repeating: at.multiplier.pointee),
      Tag.Vector(repeating: at.slope.pointee), Tag.Vector(repeating: at.offset.pointee)
    )
  }

  @inlinable @inline(__always)
  public func values(_ at: ChannelOperands) -> (g: Tag.Vector, x: Tag.Vector, before: Tag.Vector) {
    (
      activatedGradient(Tag.self, Activation.self, at), Tag.load(at.input),
      accumulate ? Tag.load(at.result) : Tag.Vector(repeating: 0)
    )
  }

  @inlinable @inline(__always)
  public func result(
    _ v: (g: Tag.Vector, x: Tag.Vector, before: Tag.Vector),
    _ c: (center: Tag.Vector, multiplier: Tag.Vector, slope: Tag.Vector, offset: Tag.Vector)
  ) -> Tag.Vector {
    let t = Tag.multiplyAdd(c.center - v.x, c.slope, v.g - c.offset)
    // With nothing to add to, the product must keep the sign of a zero; 0 + (−0) would not.
    return accumulate ? Tag.multiplyAdd(t, c.multiplier, v.before) : t * c.multiplier
  }
}

/// `gradInput (+)= multiplier·g`: the statistics were constants. The input is not read.
public struct ChannelScaledGradientPass<Tag: InstructionSet, Activation: ChannelActivation>: ChannelPass {
  public let accumulate: Bool

  @inlinable @inline(__always)
  public init(accumulate: Bool) { self.accumulate = accumulate }

  @inlinable @inline(__always)
  public func coefficients(_ at: ChannelCoefficients) -> Tag.Vector { Tag.load(at.multiplier) }

  @inlinable @inline(__always)
  public func repeatedCoefficients(_ at: ChannelCoefficients) -> Tag.Vector { Tag.Vector(repeating: at.multiplier.pointee) }

  @inlinable @inline(__always)
  public func values(_ at: ChannelOperands) -> (g: Tag.Vector, before: Tag.Vector) {
    (activatedGradient(Tag.self, Activation.self, at), accumulate ? Tag.load(at.result) : Tag.Vector(repeating: 0))
  }

  @inlinable @inline(__always)
  public func result(_ v: (g: Tag.Vector, before: Tag.Vector), _ multiplier: Tag.Vector) -> Tag.Vector {
    accumulate ? Tag.multiplyAdd(v.g, multiplier, v.before) : v.g * multiplier
  }
}

@inlinable @inline(__always)
func activatedGradient<I: InstructionSet, A: ChannelActivation>(
  _ set: I.Type, _ activation: A.Type, _ at: ChannelOperands
) -> I.Vector {
  let gradOutput = I.load(at.gradOutput)
  return A.gradient(set, gradOutput, output: A.derivativeNeedsOutput ? I.load(at.output) : gradOutput)
}
