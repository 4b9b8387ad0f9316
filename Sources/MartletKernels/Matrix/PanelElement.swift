// What packed panels hold: Float32, or half-precision numbers that are widened as they are read.

/// A number of a packed panel.
public protocol PanelElement {
  /// `lanes` numbers at `p`, of any alignment, as Float32.
  static func load<I: InstructionSet>(_: I.Type, _ p: UnsafePointer<Self>) -> I.Vector
}

extension Float: PanelElement {
  @inlinable @inline(__always)
  public static func load<I: InstructionSet>(_: I.Type, _ p: UnsafePointer<Float>) -> I.Vector { I.load(p) }
}

/// A number of IEEE 754's binary16: 11 significant bits, magnitudes up to 65504. Half the memory to read where reading is all the
/// time there is.
@frozen
public struct Half: PanelElement, Equatable, Sendable {
  public var bits: UInt16

  @inlinable @inline(__always)
  public init(bits: UInt16) { self.bits = bits }

  /// The nearest one, ties to even; nil for NaN and from 65520 on, which would round to infinity.
  ///
  /// |half − x| ≤ 2⁻¹¹·|x|, and ≤ 2⁻²⁵ below 2⁻¹⁴.
  @inlinable
  public init?(rounding x: Float) {
    let magnitude = x.bitPattern & 0x7fff_ffff
    let sign = UInt16(truncatingIfNeeded: x.bitPattern >> 16) & 0x8000
    guard magnitude < 0x477f_f000 else { return nil }
    if magnitude < 0x3880_0000 {
      // Multiples of 2⁻²⁴; the product is exact.
      bits = sign | UInt16((Float(bitPattern: magnitude) * 0x1p24).rounded(.toNearestOrEven))
    } else {
      let rounded = magnitude + 0xfff + (magnitude >> 13 & 1)
      bits = sign | UInt16(truncatingIfNeeded: (rounded - 0x3800_0000) >> 13)
    }
  }

  @inlinable @inline(__always)
  public static func load<I: InstructionSet>(_: I.Type, _ p: UnsafePointer<Half>) -> I.Vector { I.widened(halves: p) }
}

/// Copies `count` numbers, a whole number of vectors, as Float32.
@inlinable
public func widenHalves<I: InstructionSet>(
  _: I.Type, _ halves: UnsafePointer<Half>, count: Int, into floats: UnsafeMutablePointer<Float>
) {
  var i = 0
  while i < count {
    I.store(I.widened(halves: halves + i), floats + i)
    i += I.lanes
  }
}
