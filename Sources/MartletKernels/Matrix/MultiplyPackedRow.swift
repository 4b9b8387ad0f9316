// One row of A times panels of B that were packed beforehand: each value of B is read once, so reading is all the time it takes.

/// `C[1, columns] = A[1, depth] · B[depth, columns]` for neighbouring panels, each `MatrixKernels.panelColumns` wide but for the
/// last of the matrix; `MatrixKernels.packedRowColumns` columns at most.
@frozen
public struct PackedRowProduct<Element: PanelElement> {
  public var columns: Int
  public var depth: Int
  /// Depth of one chain of multiply-adds; the chains are added in order.
  public var depthBlock: Int
  /// Element k of the row lies at `a[k·aStride]`.
  public var a: UnsafePointer<Float>
  public var aStride: Int
  /// Panel p begins at `b[p·depth·panelColumns]`, and its row k as many whole vectors further as it is wide.
  public var b: UnsafePointer<Element>
  public var c: UnsafeMutablePointer<Float>
  /// Room for `MatrixKernels.packedRowColumns`: there the row lands where C is not a whole number of vectors wide.
  public var edge: UnsafeMutablePointer<Float>

  @inlinable
  public init(
    columns: Int, depth: Int, depthBlock: Int, a: UnsafePointer<Float>, aStride: Int, b: UnsafePointer<Element>,
    c: UnsafeMutablePointer<Float>, edge: UnsafeMutablePointer<Float>
  ) {
    self.columns = columns
    self.depth = depth
    self.depthBlock = depthBlock
    self.a = a
    self.aStride = aStride
    self.b = b
    self.c = c
    self.edge = edge
  }
}

/// The same chain of multiply-adds for each element as ``multiplyPanel``, so that a row alone has the bits of that row in a batch.
/// Independent sums, which hide the latency of the additions, can therefore come from the columns only: eight vectors of them,
/// out of as many panels as that takes.
@inlinable
public func multiplyPackedRow<I: InstructionSet, Element: PanelElement>(_: I.Type, _ p: PackedRowProduct<Element>) {
  typealias One = InPanel<Single<I>>
  typealias Two = InPanel<Joined<Single<I>, Single<I>>>
  typealias Three = InPanel<Joined<Joined<Single<I>, Single<I>>, Single<I>>>
  typealias Four = InPanel<Joined<Joined<Single<I>, Single<I>>, Joined<Single<I>, Single<I>>>>
  let vectors = (p.columns + I.lanes - 1) / I.lanes
  if I.tileVectors == 2 {
    typealias Fours = AcrossPanels<Two, Two>
    switch vectors {
    case 1: sumPackedRow(One.self, p)
    case 2: sumPackedRow(Two.self, p)
    case 3: sumPackedRow(AcrossPanels<Two, One>.self, p)
    case 4: sumPackedRow(Fours.self, p)
    case 5: sumPackedRow(AcrossPanels<Fours, One>.self, p)
    case 6: sumPackedRow(AcrossPanels<Fours, Two>.self, p)
    case 7: sumPackedRow(AcrossPanels<Fours, AcrossPanels<Two, One>>.self, p)
    default: sumPackedRow(AcrossPanels<Fours, Fours>.self, p)
    }
  } else {
    switch vectors {
    case 1: sumPackedRow(One.self, p)
    case 2: sumPackedRow(Two.self, p)
    case 3: sumPackedRow(Three.self, p)
    case 4: sumPackedRow(Four.self, p)
    case 5: sumPackedRow(AcrossPanels<Four, One>.self, p)
    case 6: sumPackedRow(AcrossPanels<Four, Two>.self, p)
    case 7: sumPackedRow(AcrossPanels<Four, Three>.self, p)
    default: sumPackedRow(AcrossPanels<Four, Four>.self, p)
    }
  }
}

@inlinable @inline(__always)
func sumPackedRow<Sums: PackedRowSums, Element: PanelElement>(_: Sums.Type, _ p: PackedRowProduct<Element>) {
  let isWhole = p.columns == Sums.vectors * Sums.I.lanes
  let target = isWhole ? p.c : p.edge
  let panelStride = p.depth * Sums.I.tileVectors * Sums.I.lanes
  var first = 0
  repeat {
    let end = min(first + p.depthBlock, p.depth)
    var sums = Sums.zero
    var k = first
    while k < end {
      sums.addProduct(Sums.I.Vector(repeating: p.a[k * p.aStride]), p.b, row: k, panelStride: panelStride)
      k += 1
    }
    if first == 0 { sums.store(target) } else { sums.add(to: target) }
    first = end
  } while first < p.depth
  if !isWhole {
    for j in 0..<p.columns { p.c[j] = target[j] }
  }
}

/// Sums of one row across one or more panels, each in a register.
public protocol PackedRowSums {
  associatedtype I: InstructionSet
  static var vectors: Int { get }
  static var panels: Int { get }
  static var zero: Self { get }
  /// Adds `a` times row `k` of the panels, the first of which begins at `b`.
  mutating func addProduct<Element: PanelElement>(_ a: I.Vector, _ b: UnsafePointer<Element>, row k: Int, panelStride: Int)
  func store(_ p: UnsafeMutablePointer<Float>)
  /// Adds to what is at `p`.
  func add(to p: UnsafeMutablePointer<Float>)
}

@frozen
public struct InPanel<Row: TileRow>: PackedRowSums {
  public typealias I = Row.I
  @usableFromInline var row: Row

  @inlinable @inline(__always)
  init(_ row: Row) { self.row = row }

  @inlinable @inline(__always)
  public static var vectors: Int { Row.vectors }

  @inlinable @inline(__always)
  public static var panels: Int { 1 }

  @inlinable @inline(__always)
  public static var zero: Self { Self(.zero) }

  @inlinable @inline(__always)
  public mutating func addProduct<Element: PanelElement>(
    _ a: Row.I.Vector, _ b: UnsafePointer<Element>, row k: Int, panelStride: Int
  ) {
    row.addProduct(a, Row.load(b + k * (Row.vectors * Row.I.lanes)))
  }

  @inlinable @inline(__always)
  public func store(_ p: UnsafeMutablePointer<Float>) { row.store(p) }

  @inlinable @inline(__always)
  public func add(to p: UnsafeMutablePointer<Float>) { row.add(to: p) }
}

@frozen
public struct AcrossPanels<Left: PackedRowSums, Right: PackedRowSums>: PackedRowSums where Left.I == Right.I {
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
  public static var panels: Int { Left.panels + Right.panels }

  @inlinable @inline(__always)
  public static var zero: Self { Self(.zero, .zero) }

  @inlinable @inline(__always)
  public mutating func addProduct<Element: PanelElement>(
    _ a: Left.I.Vector, _ b: UnsafePointer<Element>, row k: Int, panelStride: Int
  ) {
    left.addProduct(a, b, row: k, panelStride: panelStride)
    right.addProduct(a, b + Left.panels * panelStride, row: k, panelStride: panelStride)
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
