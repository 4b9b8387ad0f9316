// Normalises rows: layer norm, RMS norm, group norm of data without positions.

/// Rows of `length` values side by side; row r has the scale and shift of group r mod `groups`.
public struct RowNormalizationOperands {
  public var input: UnsafePointer<Float>
  /// May be `input`; nil: only the statistics are wanted.
  public var output: UnsafeMutablePointer<Float>?
  public var rows: Int
  public var length: Int
  /// The first row belongs to the first of them.
  public var groups: Int
  /// `[groups, length]`; nil: 1 and 0.
  public var scale: UnsafePointer<Float>?
  public var shift: UnsafePointer<Float>?
  public var epsilon: Double
  /// Subtract the mean; else the mean of squares takes the variance's place.
  public var centers: Bool
  /// Write past the caches. Then `output` is not `input`, begins at a multiple of 64 bytes, and so does each row.
  public var streams = false
  /// One of each a row: what backward needs, mean and 1/√(variance + epsilon).
  public var mean: UnsafeMutablePointer<Double>
  public var inverseDeviation: UnsafeMutablePointer<Double>

  @inlinable
  public init(
    input: UnsafePointer<Float>, output: UnsafeMutablePointer<Float>?, rows: Int, length: Int, groups: Int,
    scale: UnsafePointer<Float>?, shift: UnsafePointer<Float>?, epsilon: Double, centers: Bool,
    mean: UnsafeMutablePointer<Double>, inverseDeviation: UnsafeMutablePointer<Double>
  ) {
    self.input = input
    self.output = output
    self.rows = rows
    self.length = length
    self.groups = groups
    self.scale = scale
    self.shift = shift
    self.epsilon = epsilon
    self.centers = centers
    self.mean = mean
    self.inverseDeviation = inverseDeviation
  }

  /// Rows `first`..<`first + count`; `first` is a multiple of `groups`.
  @inlinable
  public func rows(from first: Int, count: Int) -> RowNormalizationOperands {
    var part = self
    part.input += first * length
    part.output = output.map { $0 + first * length }
    part.rows = count
    part.mean += first
    part.inverseDeviation += first
    return part
  }
}

/// (x − mean)·inverse with what Float32 cuts off put back: `d·multiplier + (d·low + offset)`, d = x − center.
public struct RowMap<I: InstructionSet> {
  public var center: I.Vector
  public var multiplier: I.Vector
  public var low: I.Vector
  public var offset: I.Vector

  @inlinable @inline(__always)
  public init(mean: Double, inverse: Double) {
    let nearest = Float(mean)
    let rounded = Float(inverse)
    center = I.Vector(repeating: nearest)
    multiplier = I.Vector(repeating: rounded)
    low = I.Vector(repeating: Float(inverse - Double(rounded)))
    offset = I.Vector(repeating: Float((Double(nearest) - mean) * inverse))
  }

  @inlinable @inline(__always)
  public func value(_ x: I.Vector) -> I.Vector {
    let d = x - center
    return I.multiplyAdd(d, multiplier, I.multiplyAdd(d, low, offset))
  }
}

/// `y = scale·(x − mean)/√(variance + epsilon) + shift`, row by row: a row is read for its moments and again, from the nearest
/// cache that holds it, for its map.
@inlinable
func rowNormalizationKernel<I: InstructionSet>(_ set: I.Type, _ at: RowNormalizationOperands) {
  var group = 0
  for row in 0..<at.rows {
    let x = at.input + row * at.length
    let (mean, variance) = rowMoments(set, x, length: at.length, centers: at.centers)
    let inverse = 1 / (variance + at.epsilon).squareRoot()
    at.mean[row] = mean
    at.inverseDeviation[row] = inverse
    guard let output = at.output else { continue }
    let y = output + row * at.length
    let map = RowMap<I>(mean: mean, inverse: inverse)
    let place = group * at.length
    switch (at.scale, at.shift) {
    case (let scale?, let shift?):
      mapRow(RowScaleShift<I>(scale + place, shift + place), x, map, length: at.length, streams: at.streams, into: y)
    case (let scale?, nil):
      mapRow(RowScale<I>(scale + place), x, map, length: at.length, streams: at.streams, into: y)
    case (nil, let shift?):
      mapRow(RowShift<I>(shift + place), x, map, length: at.length, streams: at.streams, into: y)
    case (nil, nil):
      mapRow(RowIdentity<I>(), x, map, length: at.length, streams: at.streams, into: y)
    }
    group += 1
    if group == at.groups { group = 0 }
  }
  if at.streams { I.streamFence() }
}

@inlinable @inline(__always)
func mapRow<Affine: RowAffine>(
  _ affine: Affine, _ x: UnsafePointer<Float>, _ map: RowMap<Affine.Tag>, length: Int, streams: Bool,
  into y: UnsafeMutablePointer<Float>
) {
  typealias I = Affine.Tag
  let lanes = I.lanes
  var column = 0
  if streams {
    while column < length {
      I.stream(affine.value(map.value(I.load(x + column)), column, lanes), y + column)
      column += lanes
    }
    return
  }
  while column + lanes <= length {
    I.store(affine.value(map.value(I.load(x + column)), column, lanes), y + column)
    column += lanes
  }
  if column < length {
    let rest = length - column
    I.store(first: rest, affine.value(map.value(I.load(first: rest, x + column)), column, rest), y + column)
  }
}

/// What the normalised values of a row go through, each with numbers of its own; a type and not a closure, which the optimiser
/// would leave out of line.
public protocol RowAffine {
  associatedtype Tag: InstructionSet
  /// Of `count` values from `column` on.
  func value(_ value: Tag.Vector, _ column: Int, _ count: Int) -> Tag.Vector
}

public struct RowIdentity<Tag: InstructionSet>: RowAffine {
  @inlinable @inline(__always)
  init() {}
  @inlinable @inline(__always)
  public func value(_ value: Tag.Vector, _: Int, _: Int) -> Tag.Vector { value }
}

public struct RowScale<Tag: InstructionSet>: RowAffine {
  @usableFromInline let scale: UnsafePointer<Float>
  @inlinable @inline(__always)
  init(_ scale: UnsafePointer<Float>) { self.scale = scale }
  @inlinable @inline(__always)
  public func value(_ value: Tag.Vector, _ column: Int, _ count: Int) -> Tag.Vector {
    value * loadPart(Tag.self, scale + column, count)
  }
}

public struct RowShift<Tag: InstructionSet>: RowAffine {
  @usableFromInline let shift: UnsafePointer<Float>
  @inlinable @inline(__always)
  init(_ shift: UnsafePointer<Float>) { self.shift = shift }
  @inlinable @inline(__always)
  public func value(_ value: Tag.Vector, _ column: Int, _ count: Int) -> Tag.Vector {
    value + loadPart(Tag.self, shift + column, count)
  }
}

public struct RowScaleShift<Tag: InstructionSet>: RowAffine {
  @usableFromInline let scale: UnsafePointer<Float>
  @usableFromInline let shift: UnsafePointer<Float>
  @inlinable @inline(__always)
  init(_ scale: UnsafePointer<Float>, _ shift: UnsafePointer<Float>) {
    self.scale = scale
    self.shift = shift
  }
  @inlinable @inline(__always)
  public func value(_ value: Tag.Vector, _ column: Int, _ count: Int) -> Tag.Vector {
    Tag.multiplyAdd(value, loadPart(Tag.self, scale + column, count), loadPart(Tag.self, shift + column, count))
  }
}
