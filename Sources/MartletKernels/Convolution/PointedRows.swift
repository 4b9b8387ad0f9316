// Register tiles whose rows lie anywhere: each row of A has a pointer of its own, and each row of C a place of its own.

/// Rows that are read and written through offsets, so that a tile crosses the rows and samples of an image.
public protocol PointedRows: TileRows {
  associatedtype Sources
  /// Where each row begins: `base + offsets[i]`.
  static func sources(_ base: UnsafePointer<Float>, _ offsets: UnsafePointer<Int>) -> Sources
  /// Adds the outer product of element `k` of every row and one row of B.
  mutating func addOuterProduct(_ sources: Sources, _ k: Int, _ b: Row)
  func store(_ base: UnsafeMutablePointer<Float>, offsets: UnsafePointer<Int>)
  /// Adds to what is there.
  func add(to base: UnsafeMutablePointer<Float>, offsets: UnsafePointer<Int>)
}

extension OneRow: PointedRows {
  @inlinable @inline(__always)
  public static func sources(_ base: UnsafePointer<Float>, _ offsets: UnsafePointer<Int>) -> UnsafePointer<Float> {
    base + offsets.pointee
  }

  @inlinable @inline(__always)
  public mutating func addOuterProduct(_ sources: UnsafePointer<Float>, _ k: Int, _ b: Row) {
    row.addProduct(Row.I.Vector(repeating: sources[k]), b)
  }

  @inlinable @inline(__always)
  public func store(_ base: UnsafeMutablePointer<Float>, offsets: UnsafePointer<Int>) { row.store(base + offsets.pointee) }

  @inlinable @inline(__always)
  public func add(to base: UnsafeMutablePointer<Float>, offsets: UnsafePointer<Int>) { row.add(to: base + offsets.pointee) }
}

/// The sources of two tiles on top of each other.
@frozen
public struct StackedSources<Upper, Lower> {
  @usableFromInline var upper: Upper
  @usableFromInline var lower: Lower

  @inlinable @inline(__always)
  init(_ upper: Upper, _ lower: Lower) {
    self.upper = upper
    self.lower = lower
  }
}

extension Stacked: PointedRows where Upper: PointedRows, Lower: PointedRows {
  @inlinable @inline(__always)
  public static func sources(
    _ base: UnsafePointer<Float>, _ offsets: UnsafePointer<Int>
  ) -> StackedSources<Upper.Sources, Lower.Sources> {
    StackedSources(Upper.sources(base, offsets), Lower.sources(base, offsets + Upper.count))
  }

  @inlinable @inline(__always)
  public mutating func addOuterProduct(_ sources: StackedSources<Upper.Sources, Lower.Sources>, _ k: Int, _ b: Upper.Row) {
    upper.addOuterProduct(sources.upper, k, b)
    lower.addOuterProduct(sources.lower, k, b)
  }

  @inlinable @inline(__always)
  public func store(_ base: UnsafeMutablePointer<Float>, offsets: UnsafePointer<Int>) {
    upper.store(base, offsets: offsets)
    lower.store(base, offsets: offsets + Upper.count)
  }

  @inlinable @inline(__always)
  public func add(to base: UnsafeMutablePointer<Float>, offsets: UnsafePointer<Int>) {
    upper.add(to: base, offsets: offsets)
    lower.add(to: base, offsets: offsets + Upper.count)
  }
}
