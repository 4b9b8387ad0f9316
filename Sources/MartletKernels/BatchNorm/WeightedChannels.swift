// Moments and gradients where every value counts as often as its weight says.

/// Terms of Σw·(x − center) and Σw·(x − center)²; the weights, each 0 or above, are where a gradient's pass has `gradOutput`.
///
/// A value of weight 0 is not looked at: whatever lies there, NaN included, changes nothing.
public struct WeightedMomentTerms<Tag: InstructionSet>: ChannelTerms {
  @inlinable @inline(__always)
  public init() {}

  /// The center.
  @inlinable @inline(__always)
  public func factors(_ at: ChannelCoefficients) -> Tag.Vector { Tag.load(at.center) }

  @inlinable @inline(__always)
  public func repeatedFactors(_ at: ChannelCoefficients) -> Tag.Vector { Tag.Vector(repeating: at.center.pointee) }

  @inlinable @inline(__always)
  public func term(_ at: ChannelOperands, _ center: Tag.Vector) -> (Tag.Vector, Tag.Vector) {
    let zero = Tag.Vector(repeating: 0)
    let w = Tag.load(at.gradOutput)
    let d = Tag.whereLess(zero, w, Tag.load(at.input) - center, zero)
    return (w * d, d)
  }

  @inlinable @inline(__always)
  public func prefetch(_ at: ChannelOperands) {
    Tag.prefetch(at.input)
    Tag.prefetch(at.gradOutput)
  }

  @inlinable @inline(__always)
  public func exactTerm(
    _ at: ChannelOperands, _ center: Tag.Double64, _: Tag.Vector
  ) -> (Tag.Double64, Tag.Double64) {
    let zero = Tag.Vector(repeating: 0)
    let w = Tag.load(at.gradOutput)
    // Where the weight is 0, any finite value will do: 0 stands for it.
    let d = Tag.widened(Tag.whereLess(zero, w, Tag.load(at.input), zero)) - center
    return (Tag.widened(w) * d, d)
  }
}

/// `gradInput (+)= multiplier·(g − w·(offset + (x − center)·slope))`: ``ChannelGradientPass`` where a value has as much part in the
/// statistics as its weight w, which is where other passes have `output`. g is `gradOutput`.
public struct WeightedGradientPass<Tag: InstructionSet>: ChannelPass {
  public let accumulate: Bool

  @inlinable @inline(__always)
  public init(accumulate: Bool) { self.accumulate = accumulate }

  @inlinable @inline(__always)
  public func coefficients(_ at: ChannelCoefficients) -> ChannelGradientFactors<Tag> {
    ChannelGradientPass<Tag, IdentityActivation>(accumulate: accumulate).coefficients(at)
  }

  @inlinable @inline(__always)
  public func repeatedCoefficients(_ at: ChannelCoefficients) -> ChannelGradientFactors<Tag> {
    ChannelGradientPass<Tag, IdentityActivation>(accumulate: accumulate).repeatedCoefficients(at)
  }

  /// `output` is the weight.
  @inlinable @inline(__always)
  public func values(_ at: ChannelOperands) -> ActivatedValues<Tag> {
    var values = ActivatedValues<Tag>(
      IdentityActivation.self, at, input: Tag.load(at.input),
      before: accumulate ? Tag.load(at.result) : Tag.Vector(repeating: 0))
    values.output = Tag.load(at.output)
    return values
  }

  @inlinable @inline(__always)
  public func prefetch(_ at: ChannelOperands) {
    Tag.prefetch(at.input)
    Tag.prefetch(at.gradOutput)
    Tag.prefetch(at.output)
  }

  @inlinable @inline(__always)
  public func result(_ v: ActivatedValues<Tag>, _ c: ChannelGradientFactors<Tag>) -> Tag.Vector {
    let part = Tag.multiplyAdd(v.input - c.map.center, c.slope, c.offset)
    let zero = Tag.Vector(repeating: 0)
    let t = v.gradOutput - Tag.whereLess(zero, v.output, v.output * part, zero)
    return accumulate ? Tag.multiplyAdd(t, c.map.multiplier, v.before) : t * c.map.multiplier
  }
}
