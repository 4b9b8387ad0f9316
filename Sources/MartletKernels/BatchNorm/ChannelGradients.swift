// The two passes of the gradient. Both begin with g = gradOutput · activation′(y).

/// Terms of Σg and Σg·(x − center).
public struct ChannelGradientTerms<Tag: InstructionSet, Activation: ChannelActivation>: ChannelTerms {
  @inlinable @inline(__always)
  public init() {}
  @inlinable @inline(__always)
  public static var needsManyRegisters: Bool { Activation.derivativeNeedsMapped }

  @inlinable @inline(__always)
  public func factors(_ at: ChannelCoefficients) -> ChannelMapFactors<Tag> { ChannelMapFactors(at) }

  @inlinable @inline(__always)
  public func repeatedFactors(_ at: ChannelCoefficients) -> ChannelMapFactors<Tag> { ChannelMapFactors(repeating: at) }

  @inlinable @inline(__always)
  public func term(_ at: ChannelOperands, _ map: ChannelMapFactors<Tag>) -> (Tag.Vector, Tag.Vector) {
    let x = Tag.load(at.input)
    return (activatedGradient(Activation.self, at, x, map), x - map.center)
  }

  @inlinable @inline(__always)
  public func prefetch(_ at: ChannelOperands) {
    Tag.prefetch(at.input)
    Tag.prefetch(at.gradOutput)
    if Activation.derivativeNeedsOutput { Tag.prefetch(at.output) }
  }

  @inlinable @inline(__always)
  public func exactTerm(
    _ at: ChannelOperands, _ center: Tag.Double64, _ map: ChannelMapFactors<Tag>
  ) -> (Tag.Double64, Tag.Double64) {
    let x = Tag.load(at.input)
    return (Tag.widened(activatedGradient(Activation.self, at, x, map)), Tag.widened(x) - center)
  }
}

/// The coefficients of a gradient pass.
public struct ChannelGradientFactors<Tag: InstructionSet> {
  public var map: ChannelMapFactors<Tag>
  public var slope: Tag.Vector
  public var offset: Tag.Vector

  @inlinable @inline(__always)
  public init(map: ChannelMapFactors<Tag>, slope: Tag.Vector, offset: Tag.Vector) {
    self.map = map
    self.slope = slope
    self.offset = offset
  }
}

/// `gradInput (+)= multiplier·((g − offset) − (x − center)·slope)`, offset the mean of g over the channel.
public struct ChannelGradientPass<Tag: InstructionSet, Activation: ChannelActivation>: ChannelPass {
  public let accumulate: Bool

  @inlinable @inline(__always)
  public init(accumulate: Bool) { self.accumulate = accumulate }

  @inlinable @inline(__always)
  public func coefficients(_ at: ChannelCoefficients) -> ChannelGradientFactors<Tag> {
    ChannelGradientFactors(map: ChannelMapFactors(at), slope: Tag.load(at.slope), offset: Tag.load(at.offset))
  }

  @inlinable @inline(__always)
  public func repeatedCoefficients(_ at: ChannelCoefficients) -> ChannelGradientFactors<Tag> {
    ChannelGradientFactors(
      map: ChannelMapFactors(repeating: at), slope: Tag.Vector(repeating: at.slope.pointee),
      offset: Tag.Vector(repeating: at.offset.pointee))
  }

  @inlinable @inline(__always)
  public func values(_ at: ChannelOperands) -> ActivatedValues<Tag> {
    ActivatedValues(
      Activation.self, at, input: Tag.load(at.input),
      before: accumulate ? Tag.load(at.result) : Tag.Vector(repeating: 0))
  }

  @inlinable @inline(__always)
  public func prefetch(_ at: ChannelOperands) {
    Tag.prefetch(at.input)
    Tag.prefetch(at.gradOutput)
    if Activation.derivativeNeedsOutput { Tag.prefetch(at.output) }
  }

  @inlinable @inline(__always)
  public func result(_ v: ActivatedValues<Tag>, _ c: ChannelGradientFactors<Tag>) -> Tag.Vector {
    let g = v.gradient(Activation.self, c.map)
    let t = Tag.multiplyAdd(c.map.center - v.input, c.slope, g - c.offset)
    // With nothing to add to, the product must keep the sign of a zero; 0 + (−0) would not.
    return accumulate ? Tag.multiplyAdd(t, c.map.multiplier, v.before) : t * c.map.multiplier
  }
}

/// `gradInput (+)= multiplier·g`: the statistics were constants. The input is read only by a derivative that needs the map.
public struct ChannelScaledGradientPass<Tag: InstructionSet, Activation: ChannelActivation>: ChannelPass {
  public let accumulate: Bool

  @inlinable @inline(__always)
  public init(accumulate: Bool) { self.accumulate = accumulate }

  @inlinable @inline(__always)
  public func coefficients(_ at: ChannelCoefficients) -> ChannelMapFactors<Tag> { ChannelMapFactors(at) }

  @inlinable @inline(__always)
  public func repeatedCoefficients(_ at: ChannelCoefficients) -> ChannelMapFactors<Tag> { ChannelMapFactors(repeating: at) }

  @inlinable @inline(__always)
  public func values(_ at: ChannelOperands) -> ActivatedValues<Tag> {
    let zero = Tag.Vector(repeating: 0)
    return ActivatedValues(
      Activation.self, at, input: Activation.derivativeNeedsMapped ? Tag.load(at.input) : zero,
      before: accumulate ? Tag.load(at.result) : zero)
  }

  @inlinable @inline(__always)
  public func prefetch(_ at: ChannelOperands) {
    Tag.prefetch(at.gradOutput)
    if Activation.derivativeNeedsMapped { Tag.prefetch(at.input) }
    if Activation.derivativeNeedsOutput { Tag.prefetch(at.output) }
  }

  @inlinable @inline(__always)
  public func result(_ v: ActivatedValues<Tag>, _ map: ChannelMapFactors<Tag>) -> Tag.Vector {
    let g = v.gradient(Activation.self, map)
    return accumulate ? Tag.multiplyAdd(g, map.multiplier, v.before) : g * map.multiplier
  }
}

/// What a gradient pass loads of one vector's place, before it writes there.
public struct ActivatedValues<Tag: InstructionSet> {
  public var gradOutput: Tag.Vector
  /// The activation's output, where it is read; else anything.
  public var output: Tag.Vector
  public var input: Tag.Vector
  public var before: Tag.Vector

  @inlinable @inline(__always)
  public init<A: ChannelActivation>(_: A.Type, _ at: ChannelOperands, input: Tag.Vector, before: Tag.Vector) {
    gradOutput = Tag.load(at.gradOutput)
    output = A.derivativeNeedsOutput ? Tag.load(at.output) : gradOutput
    self.input = input
    self.before = before
  }

  @inlinable @inline(__always)
  public func gradient<A: ChannelActivation>(_: A.Type, _ map: ChannelMapFactors<Tag>) -> Tag.Vector {
    A.gradient(Tag.self, gradOutput, output: A.derivativeNeedsMapped ? map.value(input) : output)
  }
}

@inlinable @inline(__always)
func activatedGradient<I: InstructionSet, A: ChannelActivation>(
  _ activation: A.Type, _ at: ChannelOperands, _ x: I.Vector, _ map: ChannelMapFactors<I>
) -> I.Vector {
  ActivatedValues<I>(activation, at, input: x, before: x).gradient(activation, map)
}
