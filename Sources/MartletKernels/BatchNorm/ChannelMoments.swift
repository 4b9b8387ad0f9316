// Moments of a channel, and how sums over a channel are gathered.

/// Two sums over each channel: Σu and Σu·v, both factors formed from the data as they are read.
public protocol ChannelTerms: SendableMetatype {
  associatedtype Tag: InstructionSet
  /// What is the same for a whole column.
  associatedtype Factors
  init()
  /// Whether its factors and the sums of eight vectors are more than 32 registers hold.
  static var needsManyRegisters: Bool { get }

  /// Of `Tag.lanes` columns side by side, or of one channel in every lane.
  func factors(_ at: ChannelCoefficients) -> Factors
  func repeatedFactors(_ at: ChannelCoefficients) -> Factors
  /// u and v of `Tag.lanes` elements.
  func term(_ at: ChannelOperands, _ factors: Factors) -> (Tag.Vector, Tag.Vector)
  /// Asks for the lines that `term` at this place will read.
  func prefetch(_ at: ChannelOperands)
  /// The same in Float64, about a center in Float64.
  func exactTerm(_ at: ChannelOperands, _ center: Tag.Double64, _ factors: Factors) -> (Tag.Double64, Tag.Double64)
}

extension ChannelTerms {
  @inlinable @inline(__always)
  public static var needsManyRegisters: Bool { true }
}

/// Terms of Σ(x − center) and Σ(x − center)².
public struct ChannelMomentTerms<Tag: InstructionSet>: ChannelTerms {
  @inlinable @inline(__always)
  public init() {}
  @inlinable @inline(__always)
  public static var needsManyRegisters: Bool { false }

  /// The center.
  @inlinable @inline(__always)
  public func factors(_ at: ChannelCoefficients) -> Tag.Vector { Tag.load(at.center) }

  @inlinable @inline(__always)
  public func repeatedFactors(_ at: ChannelCoefficients) -> Tag.Vector { Tag.Vector(repeating: at.center.pointee) }

  @inlinable @inline(__always)
  public func term(_ at: ChannelOperands, _ center: Tag.Vector) -> (Tag.Vector, Tag.Vector) {
    let d = Tag.load(at.input) - center
    return (d, d)
  }

  @inlinable @inline(__always)
  public func prefetch(_ at: ChannelOperands) { Tag.prefetch(at.input) }

  @inlinable @inline(__always)
  public func exactTerm(
    _ at: ChannelOperands, _ center: Tag.Double64, _: Tag.Vector
  ) -> (Tag.Double64, Tag.Double64) {
    let d = Tag.widened(Tag.load(at.input)) - center
    return (d, d)
  }
}

/// Both sums of one vector of columns (or of one channel) while they are in registers.
public struct RunningSums<Tag: InstructionSet> {
  public var sum: Tag.Vector
  public var products: Tag.Vector

  @inlinable @inline(__always)
  public init() {
    sum = Tag.Vector(repeating: 0)
    products = Tag.Vector(repeating: 0)
  }

  @inlinable @inline(__always)
  public mutating func add(_ term: (Tag.Vector, Tag.Vector)) {
    sum = sum + term.0
    products = Tag.multiplyAdd(term.0, term.1, products)
  }

  @inlinable @inline(__always)
  public mutating func add(_ other: RunningSums<Tag>) {
    sum = sum + other.sum
    products = products + other.products
  }

  /// Keeps the lanes from `first` on: the earlier ones belong to a neighbouring vector that has counted them.
  @inlinable @inline(__always)
  public mutating func keepLanes(from first: Int) {
    let zero = Tag.Vector(repeating: 0)
    var lane = zero
    for i in 0..<Tag.lanes { lane[i] = Float(i) }
    let first = Tag.Vector(repeating: Float(first))
    sum = Tag.whereLess(lane, first, zero, sum)
    products = Tag.whereLess(lane, first, zero, products)
  }

  /// Adds them to the sums of columns `at`… in Float64.
  @inlinable @inline(__always)
  public func flush(to at: ChannelSums) {
    Tag.store(Tag.load(UnsafePointer(at.sum)) + Tag.widened(sum), at.sum)
    Tag.store(Tag.load(UnsafePointer(at.products)) + Tag.widened(products), at.products)
  }
}

/// Both sums of four vectors of columns side by side, and what their terms need.
public struct FourRunningSums<Terms: ChannelTerms> {
  @usableFromInline let factors: (Terms.Factors, Terms.Factors, Terms.Factors, Terms.Factors)
  @usableFromInline var a: RunningSums<Terms.Tag>
  @usableFromInline var b: RunningSums<Terms.Tag>
  @usableFromInline var c: RunningSums<Terms.Tag>
  @usableFromInline var d: RunningSums<Terms.Tag>

  @inlinable @inline(__always)
  init(_ terms: Terms, _ coefficients: ChannelCoefficients) {
    let lanes = Terms.Tag.lanes
    factors = (
      terms.factors(coefficients), terms.factors(coefficients.advanced(by: lanes)),
      terms.factors(coefficients.advanced(by: 2 * lanes)), terms.factors(coefficients.advanced(by: 3 * lanes))
    )
    a = RunningSums()
    b = RunningSums()
    c = RunningSums()
    d = RunningSums()
  }

  @inlinable @inline(__always)
  mutating func add(_ terms: Terms, _ at: ChannelOperands) {
    let lanes = Terms.Tag.lanes
    a.add(terms.term(at, factors.0))
    b.add(terms.term(at.advanced(by: lanes), factors.1))
    c.add(terms.term(at.advanced(by: 2 * lanes), factors.2))
    d.add(terms.term(at.advanced(by: 3 * lanes), factors.3))
  }

  @inlinable @inline(__always)
  func flush(to sums: ChannelSums) {
    let lanes = Terms.Tag.lanes
    a.flush(to: sums)
    b.flush(to: sums.advanced(by: lanes))
    c.flush(to: sums.advanced(by: 2 * lanes))
    d.flush(to: sums.advanced(by: 3 * lanes))
  }
}
