// Register tiles: the small blocks of a product that stay in registers while the depth is summed.
//
// A tile is put together from types, so that one source yields every size: a `TileRow` is one to four vectors side by side
// (`Single`, `Joined`), a `TileRows` is one to six such rows on top of each other (`OneRow`, `Stacked`). Everything is
// inlined into the kernel that names the whole type, where each vector becomes one register.

/// Vectors side by side: a part of one row of C, and of one row of B.
public protocol TileRow {
  associatedtype I: InstructionSet
  static var vectors: Int { get }
  static var zero: Self { get }
  static func load<Element: PanelElement>(_ p: UnsafePointer<Element>) -> Self
  /// `self += a·b`
  mutating func addProduct(_ a: I.Vector, _ b: Self)
  func store(_ p: UnsafeMutablePointer<Float>)
  /// Adds to what is at `p`.
  func add(to p: UnsafeMutablePointer<Float>)
}

@frozen
public struct Single<I: InstructionSet>: TileRow {
  @usableFromInline var vector: I.Vector

  @inlinable @inline(__always)
  init(_ vector: I.Vector) { self.vector = vector }

  @inlinable @inline(__always)
  public static var vectors: Int { 1 }

  @inlinable @inline(__always)
  public static var zero: Self { Self(I.Vector(repeating: 0)) }

  @inlinable @inline(__always)
  public static func load<Element: PanelElement>(_ p: UnsafePointer<Element>) -> Self { Self(Element.load(I.self, p)) }

  @inlinable @inline(__always)
  public mutating func addProduct(_ a: I.Vector, _ b: Self) { vector = I.multiplyAdd(a, b.vector, vector) }

  @inlinable @inline(__always)
  public func store(_ p: UnsafeMutablePointer<Float>) { I.store(vector, p) }

  @inlinable @inline(__always)
  public func add(to p: UnsafeMutablePointer<Float>) { I.store(I.load(p) + vector, p) }
}

@frozen
public struct Joined<Left: TileRow, Right: TileRow>: TileRow where Left.I == Right.I {
  public typealias I = Left.I
  @usableFromInline var left: Left
  @usableFromInline var right: Right

  @inlinable @inline(__always)
  init(_ left: Left, _ right: Right) {
    self.left = left
    self.right = right
  }

  @inlinable @inline(__always)
  public static var vectors: Int { Left.vectors + Right.vectors }

  @inlinable @inline(__always)
  public static var zero: Self { Self(.zero, .zero) }

  @inlinable @inline(__always)
  public static func load<Element: PanelElement>(_ p: UnsafePointer<Element>) -> Self {
    Self(Left.load(p), Right.load(p + Left.vectors * Left.I.lanes))
  }

  @inlinable @inline(__always)
  public mutating func addProduct(_ a: Left.I.Vector, _ b: Self) {
    left.addProduct(a, b.left)
    right.addProduct(a, b.right)
  }

  @inlinable @inline(__always)
  public func store(_ p: UnsafeMutablePointer<Float>) {
    left.store(p)
    right.store(p + Left.vectors * Left.I.lanes)
  }

  @inlinable @inline(__always)
  public func add(to p: UnsafeMutablePointer<Float>) {
    left.add(to: p)
    right.add(to: p + Left.vectors * Left.I.lanes)
  }
}

/// Rows on top of each other.
public protocol TileRows {
  associatedtype Row: TileRow
  static var count: Int { get }
  static var zero: Self { get }
  /// Adds the outer product of one column of A (values `rowStride` apart) and one row of B.
  mutating func addOuterProduct(_ a: UnsafePointer<Float>, rowStride: Int, _ b: Row)
  func store(_ p: UnsafeMutablePointer<Float>, rowStride: Int)
  /// Adds to what is at `p`.
  func add(to p: UnsafeMutablePointer<Float>, rowStride: Int)
}

@frozen
public struct OneRow<Row: TileRow>: TileRows {
  @usableFromInline var row: Row

  @inlinable @inline(__always)
  init(_ row: Row) { self.row = row }

  @inlinable @inline(__always)
  public static var count: Int { 1 }

  @inlinable @inline(__always)
  public static var zero: Self { Self(.zero) }

  @inlinable @inline(__always)
  public mutating func addOuterProduct(_ a: UnsafePointer<Float>, rowStride: Int, _ b: Row) {
    row.addProduct(Row.I.Vector(repeating: a.pointee), b)
  }

  @inlinable @inline(__always)
  public func store(_ p: UnsafeMutablePointer<Float>, rowStride: Int) { row.store(p) }

  @inlinable @inline(__always)
  public func add(to p: UnsafeMutablePointer<Float>, rowStride: Int) { row.add(to: p) }
}

@frozen
public struct Stacked<Upper: TileRows, Lower: TileRows>: TileRows where Upper.Row == Lower.Row {
  public typealias Row = Upper.Row
  @usableFromInline var upper: Upper
  @usableFromInline var lower: Lower

  @inlinable @inline(__always)
  init(_ upper: Upper, _ lower: Lower) {
    self.upper = upper
    self.lower = lower
  }

  @inlinable @inline(__always)
  public static var count: Int { Upper.count + Lower.count }

  @inlinable @inline(__always)
  public static var zero: Self { Self(.zero, .zero) }

  @inlinable @inline(__always)
  public mutating func addOuterProduct(_ a: UnsafePointer<Float>, rowStride: Int, _ b: Upper.Row) {
    upper.addOuterProduct(a, rowStride: rowStride, b)
    lower.addOuterProduct(a + Upper.count * rowStride, rowStride: rowStride, b)
  }

  @inlinable @inline(__always)
  public func store(_ p: UnsafeMutablePointer<Float>, rowStride: Int) {
    upper.store(p, rowStride: rowStride)
    lower.store(p + Upper.count * rowStride, rowStride: rowStride)
  }

  @inlinable @inline(__always)
  public func add(to p: UnsafeMutablePointer<Float>, rowStride: Int) {
    upper.add(to: p, rowStride: rowStride)
    lower.add(to: p + Upper.count * rowStride, rowStride: rowStride)
  }
}
