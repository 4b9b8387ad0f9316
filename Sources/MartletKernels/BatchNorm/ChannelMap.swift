// The map from input to output.

/// `y = activation(d·multiplier + (d·slope + offset))`, d = x − center.
///
/// `slope` is what the multiplier lost when it was rounded to Float32. The inner term is so small (or, for a large shift, so
/// exactly representable) that its rounding errors vanish beside the one of the outer sum.
public struct ChannelMapPass<Tag: InstructionSet, Activation: ChannelActivation>: ChannelPass {
  /// A map always replaces.
  @inlinable @inline(__always)
  public init(accumulate: Bool) {}

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
  public func values(_ at: ChannelOperands) -> Tag.Vector { Tag.load(at.input) }

  @inlinable @inline(__always)
  public func result(
    _ x: Tag.Vector, _ c: (center: Tag.Vector, multiplier: Tag.Vector, slope: Tag.Vector, offset: Tag.Vector)
  ) -> Tag.Vector {
    let d = x - c.center
    return Activation.value(Tag.self, Tag.multiplyAdd(d, c.multiplier, Tag.multiplyAdd(d, c.slope, c.offset)))
  }
}
