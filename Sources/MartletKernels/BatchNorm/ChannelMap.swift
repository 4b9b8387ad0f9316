// The map from input to output.

/// `d·multiplier + (d·slope + offset)`, d = x − center: the coefficients of one vector of columns, or of one channel.
///
/// `slope` is what the multiplier lost when it was rounded to Float32. The inner term is so small (or, for a large shift, so
/// exactly representable) that its rounding errors vanish beside the one of the outer sum.
public struct ChannelMapFactors<Tag: InstructionSet> {
  public var center: Tag.Vector
  public var multiplier: Tag.Vector
  public var slope: Tag.Vector
  public var offset: Tag.Vector

  @inlinable @inline(__always)
  public init(center: Tag.Vector, multiplier: Tag.Vector, slope: Tag.Vector, offset: Tag.Vector) {
    self.center = center
    self.multiplier = multiplier
    self.slope = slope
    self.offset = offset
  }

  /// Of columns side by side.
  @inlinable @inline(__always)
  public init(_ at: ChannelCoefficients) {
    self.init(
      center: Tag.load(at.center), multiplier: Tag.load(at.multiplier), slope: Tag.load(at.mapSlope),
      offset: Tag.load(at.mapOffset))
  }

  /// Of one channel.
  @inlinable @inline(__always)
  public init(repeating at: ChannelCoefficients) {
    self.init(
      center: Tag.Vector(repeating: at.center.pointee), multiplier: Tag.Vector(repeating: at.multiplier.pointee),
      slope: Tag.Vector(repeating: at.mapSlope.pointee), offset: Tag.Vector(repeating: at.mapOffset.pointee))
  }

  @inlinable @inline(__always)
  public func value(_ x: Tag.Vector) -> Tag.Vector {
    let d = x - center
    return Tag.multiplyAdd(d, multiplier, Tag.multiplyAdd(d, slope, offset))
  }
}

/// `y = activation(map(x))`.
public struct ChannelMapPass<Tag: InstructionSet, Activation: ChannelActivation>: ChannelPass {
  /// A map always replaces.
  @inlinable @inline(__always)
  public init(accumulate: Bool) {}

  @inlinable @inline(__always)
  public func coefficients(_ at: ChannelCoefficients) -> ChannelMapFactors<Tag> { ChannelMapFactors(at) }

  @inlinable @inline(__always)
  public func repeatedCoefficients(_ at: ChannelCoefficients) -> ChannelMapFactors<Tag> { ChannelMapFactors(repeating: at) }

  @inlinable @inline(__always)
  public func values(_ at: ChannelOperands) -> Tag.Vector { Tag.load(at.input) }

  @inlinable @inline(__always)
  public func prefetch(_ at: ChannelOperands) { Tag.prefetch(at.input) }

  @inlinable @inline(__always)
  public func result(_ x: Tag.Vector, _ map: ChannelMapFactors<Tag>) -> Tag.Vector {
    Activation.value(Tag.self, map.value(x))
  }
}

/// `y = activation(map(x) + residual)`; the residual is where a gradient's pass has `gradOutput`.
public struct ChannelResidualMapPass<Tag: InstructionSet, Activation: ChannelActivation>: ChannelPass {
  /// A map always replaces.
  @inlinable @inline(__always)
  public init(accumulate: Bool) {}

  @inlinable @inline(__always)
  public func coefficients(_ at: ChannelCoefficients) -> ChannelMapFactors<Tag> { ChannelMapFactors(at) }

  @inlinable @inline(__always)
  public func repeatedCoefficients(_ at: ChannelCoefficients) -> ChannelMapFactors<Tag> { ChannelMapFactors(repeating: at) }

  @inlinable @inline(__always)
  public func values(_ at: ChannelOperands) -> (Tag.Vector, Tag.Vector) { (Tag.load(at.input), Tag.load(at.gradOutput)) }

  @inlinable @inline(__always)
  public func prefetch(_ at: ChannelOperands) {
    Tag.prefetch(at.input)
    Tag.prefetch(at.gradOutput)
  }

  @inlinable @inline(__always)
  public func result(_ values: (Tag.Vector, Tag.Vector), _ map: ChannelMapFactors<Tag>) -> Tag.Vector {
    Activation.value(Tag.self, map.value(values.0) + values.1)
  }
}
