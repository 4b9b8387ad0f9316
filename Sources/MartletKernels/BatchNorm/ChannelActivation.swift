// The activations that batch norm's passes apply on the fly, chosen once a call and inlined into the loops.

/// An elementwise function whose derivative follows from its output alone.
public protocol ChannelActivation: SendableMetatype {
  /// Whether the derivative looks at the output in memory; where not, no pass loads it.
  static var derivativeNeedsOutput: Bool { get }
  /// Whether the derivative looks at the map's value, computed again from the input with the forward pass's own operations.
  static var derivativeNeedsMapped: Bool { get }
  static func value<I: InstructionSet>(_ set: I.Type, _ x: I.Vector) -> I.Vector
  /// gradOutput · activation′, `y` the activation's output.
  static func gradient<I: InstructionSet>(_ set: I.Type, _ gradOutput: I.Vector, output y: I.Vector) -> I.Vector
}

extension ChannelActivation {
  @inlinable @inline(__always)
  public static var derivativeNeedsMapped: Bool { false }
}

public enum IdentityActivation: ChannelActivation {
  @inlinable @inline(__always)
  public static var derivativeNeedsOutput: Bool { false }
  @inlinable @inline(__always)
  public static func value<I: InstructionSet>(_ set: I.Type, _ x: I.Vector) -> I.Vector { x }
  @inlinable @inline(__always)
  public static func gradient<I: InstructionSet>(_ set: I.Type, _ gradOutput: I.Vector, output y: I.Vector) -> I.Vector {
    gradOutput
  }
}

/// 1 / (1 + e⁻ˣ); derivative y·(1 − y).
public enum SigmoidActivation: ChannelActivation {
  @inlinable @inline(__always)
  public static var derivativeNeedsOutput: Bool { true }
  @inlinable @inline(__always)
  public static func value<I: InstructionSet>(_ set: I.Type, _ x: I.Vector) -> I.Vector { ActivationMath.sigmoid(set, x) }
  @inlinable @inline(__always)
  public static func gradient<I: InstructionSet>(_ set: I.Type, _ gradOutput: I.Vector, output y: I.Vector) -> I.Vector {
    gradOutput * (y * (I.Vector(repeating: 1) - y))
  }
}

/// tanh x; derivative 1 − y², as (1 − y)·(1 + y): both differences are exact near ±1, where y² would lose it all.
public enum TanhActivation: ChannelActivation {
  @inlinable @inline(__always)
  public static var derivativeNeedsOutput: Bool { true }
  @inlinable @inline(__always)
  public static func value<I: InstructionSet>(_ set: I.Type, _ x: I.Vector) -> I.Vector { ActivationMath.tanh(set, x) }
  @inlinable @inline(__always)
  public static func gradient<I: InstructionSet>(_ set: I.Type, _ gradOutput: I.Vector, output y: I.Vector) -> I.Vector {
    let one = I.Vector(repeating: 1)
    return gradOutput * ((one - y) * (one + y))
  }
}

/// max(x, 0); derivative 1 where y > 0, else 0.
public enum ReLUActivation: ChannelActivation {
  @inlinable @inline(__always)
  public static var derivativeNeedsOutput: Bool { true }
  @inlinable @inline(__always)
  public static func value<I: InstructionSet>(_ set: I.Type, _ x: I.Vector) -> I.Vector { ActivationMath.relu(set, x) }
  @inlinable @inline(__always)
  public static func gradient<I: InstructionSet>(_ set: I.Type, _ gradOutput: I.Vector, output y: I.Vector) -> I.Vector {
    let zero = I.Vector(repeating: 0)
    return I.whereLess(zero, y, gradOutput, zero)
  }
}

/// ReLU without its output: the input says which side of zero the map fell on, and is read anyway. One tensor less in each of the
/// gradient's passes, and nobody has to keep the output.
public enum RecomputedReLUActivation: ChannelActivation {
  @inlinable @inline(__always)
  public static var derivativeNeedsOutput: Bool { false }
  @inlinable @inline(__always)
  public static var derivativeNeedsMapped: Bool { true }
  @inlinable @inline(__always)
  public static func value<I: InstructionSet>(_ set: I.Type, _ x: I.Vector) -> I.Vector { ReLUActivation.value(set, x) }
  @inlinable @inline(__always)
  public static func gradient<I: InstructionSet>(_ set: I.Type, _ gradOutput: I.Vector, output y: I.Vector) -> I.Vector {
    ReLUActivation.gradient(set, gradOutput, output: y)
  }
}
