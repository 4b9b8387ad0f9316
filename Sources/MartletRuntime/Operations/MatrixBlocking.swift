// How a matrix product is cut: into blocks that fit the caches, and into pieces that threads share.
import MartletKernels

/// The cuts of one product. Those that change bits, of the depth and (for moments) of the rows, follow from the shape and the instruction
/// set alone, so that neither threads nor the way the operands lie in memory change a bit of the result. Other cuts change none: one
/// thread alone takes as much in one piece as it may, which copies and reads less.
///
/// Columns are cut into strips, as wide as a register tile at most and as even as whole vectors allow. A piece is a run of
/// strips of a run of rows, and packs the parts of B it needs into the slot of the workspace that its thread has: pieces share nothing.
struct MatrixBlocking {
  let rows: Int
  let columns: Int
  let depth: Int
  /// Vectors that cover the columns.
  private let vectors: Int
  private let lanes: Int
  private let panelColumns: Int
  private let tileRows: Int
  /// Vectors of each strip but the last where the panels were packed beforehand; nil where strips are as even as can be.
  private let packedStripVectors: Int?
  private let slotPanelFloats: Int
  private let edgeFloats: Int
  /// No number of rows up to `rows` is cut into more pieces.
  let mostPieces: Int
  let stripCount: Int
  /// Pieces side by side, and pieces on top of each other.
  let columnPieces: Int
  let rowPieces: Int
  /// Pieces side by side if there are threads to share them.
  private let sharedColumnPieces: Int

  /// Depth summed in registers before C is touched: a panel of B this deep stays in the first-level cache on its way through
  /// the rows, and a deep product is rounded like a sum of short sums instead of one long one.
  ///
  /// The same for every instruction set: those that fuse multiply-add agree to the bit.
  static var depthBlock: Int { 128 }
  /// Rows that use one copy of a part of B.
  static var rowsPerBlock: Int { 516 }
  /// Values of A (516 KiB) that stay in the second-level cache.
  private static var nearbyValues: Int { rowsPerBlock * 2 * depthBlock }
  /// Multiply-adds worth a thread that watches for them: 1 to 15 µs.
  private static var workPerPiece: Int { 1 << 17 }
  /// More pieces balance no better, and each needs its slot of the workspace.
  private static var maximumPieces: Int { 32 }
  /// A piece this wide reads A, and this tall copies B, often enough to make up for other pieces doing so too.
  private static var columnsPerPiece: Int { 256 }
  private static var rowsPerPiece: Int { 192 }
  /// Pieces worth making the narrower ones for.
  private static var enoughPieces: Int { 16 }

  /// How the right operand lies in memory.
  enum OperandB {
    case view
    /// In panels already, so that strips end where panels end.
    case packed
    /// The same, and to be widened, which a single row does as it reads.
    case halves
  }

  /// - Parameters:
  ///   - isShared: whether several threads will share the pieces.
  ///   - hasMoments: whether moments of the product are wanted.
  init(
    rows: Int, columns: Int, depth: Int, b: OperandB = .view, isShared: Bool = true, hasMoments: Bool = true,
    _ kernels: MatrixKernels
  ) {
    let isPacked = b != .view
    self.rows = rows
    self.columns = columns
    self.depth = depth
    lanes = kernels.lanes
    if isPacked {
      panelColumns = rows == 1 ? kernels.packedRowColumns : kernels.panelColumns
    } else {
      panelColumns = rows == 1 ? kernels.rowColumns : kernels.panelColumns
    }
    packedStripVectors = isPacked ? panelColumns / lanes : nil
    tileRows = kernels.tileRows
    vectors = Self.quotientUp(columns, lanes)
    stripCount = Self.quotientUp(vectors, panelColumns / lanes)
    // In floating point, where no product of three sizes overflows.
    let work = Double(rows) * Double(columns) * Double(depth) / Double(Self.workPerPiece)
    let wanted = Int(min(max(work, 1), Double(Self.maximumPieces)))
    let widest = isPacked ? kernels.panelColumns : max(kernels.panelColumns, kernels.rowColumns)
    slotPanelFloats = b == .packed ? 0 : min(depth, Self.depthBlock) * widest
    edgeFloats = max(kernels.tileRows * widest, isPacked ? kernels.packedRowColumns : 0)
    let mostStrips = Self.quotientUp(vectors, kernels.panelColumns / lanes)
    mostPieces = max(1, min(wanted, mostStrips * max(1, rows / Self.rowsPerPiece)))
    let wide = min(max(stripCount, 1), wanted, Self.quotientUp(columns, Self.columnsPerPiece))
    let tall = max(1, min(wanted / max(wide, 1), rows / Self.rowsPerPiece))
    sharedColumnPieces = wide * tall >= min(wanted, Self.enoughPieces) ? wide : min(max(stripCount, 1), wanted / tall)
    rowPieces = isShared || hasMoments ? tall : 1
    columnPieces = isShared ? sharedColumnPieces : 1
  }

  static func quotientUp(_ a: Int, _ b: Int) -> Int { (a + b - 1) / b }

  var pieceCount: Int { columnPieces * rowPieces }

  /// The rows of a piece; a whole number of tiles but for the last.
  func rowRange(_ piece: Int) -> Range<Int> {
    let tiles = Self.quotientUp(rows, tileRows)
    let i = piece / columnPieces
    return min(i * tiles / rowPieces * tileRows, rows)..<min((i + 1) * tiles / rowPieces * tileRows, rows)
  }

  /// Rows of each block of a piece, a whole number of tiles: as few blocks as can be, alike.
  func blockHeight(of rows: Int) -> Int {
    let blocks = Self.quotientUp(rows, Self.rowsPerBlock)
    return Self.quotientUp(Self.quotientUp(rows, max(blocks, 1)), tileRows) * tileRows
  }

  /// Depth that a block of so many rows does in one go, as its part of A stays near: the part of C that it is added to is read and written once
  /// for each group.
  func groupDepth(rows: Int) -> Int { max(Self.nearbyValues / max(rows, 1) / Self.depthBlock, 2) * Self.depthBlock }

  /// The strips of a piece.
  func stripRange(_ piece: Int) -> Range<Int> {
    let j = piece % columnPieces
    return j * stripCount / columnPieces..<(j + 1) * stripCount / columnPieces
  }

  /// The columns of a piece.
  func columnRange(_ piece: Int) -> Range<Int> { columnRange(stripRange(piece)) }

  private func columnRange(_ strips: Range<Int>) -> Range<Int> {
    columnRange(strip: strips.lowerBound).lowerBound..<columnRange(strip: strips.upperBound - 1).upperBound
  }

  /// The columns of a strip.
  func columnRange(strip: Int) -> Range<Int> {
    if let width = packedStripVectors { return strip * width * lanes..<min((strip + 1) * width * lanes, columns) }
    return strip * vectors / stripCount * lanes..<min((strip + 1) * vectors / stripCount * lanes, columns)
  }

  // MARK: - Moments of the product

  /// Whether pieces may gather moments; a single row has none.
  private var gathersMoments: Bool {
    rows > 1
      && (0..<sharedColumnPieces).allSatisfy {
        OutputMomentsGathering.allows(sharedColumnRange($0), channels: columns, lanes: lanes)
      }
  }

  /// The columns whose moments a piece gathers at a time: how many they are changes bits, so that they are the same for any thread count.
  func momentColumns(_ piece: Int) -> some Sequence<Range<Int>> {
    let shared = columnPieces == sharedColumnPieces ? piece % columnPieces..<piece % columnPieces + 1 : 0..<sharedColumnPieces
    return shared.lazy.map { sharedColumnRange($0) }
  }

  private func sharedColumnRange(_ j: Int) -> Range<Int> {
    columnRange(j * stripCount / sharedColumnPieces..<(j + 1) * stripCount / sharedColumnPieces)
  }

  /// For these rows and for any fewer; 0 if these rows' are not gathered.
  var momentsByteCount: Int {
    guard gathersMoments else { return 0 }
    return OutputMoments.byteCount(
      chunks: max(1, min(rows / Self.rowsPerPiece, Self.maximumPieces)), pieces: mostPieces, channels: columns)
  }

  /// Prepares the memory for a product's pieces; nil where its cut does not allow it.
  func moments(_ memory: UnsafeMutableRawPointer, _ kernels: ChannelSumKernels) -> OutputMomentsGathering? {
    let moments = OutputMoments(memory, channels: columns)
    guard gathersMoments else {
      moments.clear()
      return nil
    }
    moments.begin(chunks: rowPieces) { rowRange($0 * columnPieces).count }
    return OutputMomentsGathering(kernels: kernels, moments: moments)
  }

  // MARK: - Scratch memory

  // A slot holds one packed panel of B, one tile and one packed block of A, each from a new cache line on.
  private var rowFloats: Int { min(min(depth, Self.nearbyValues) * min(rows, Self.rowsPerBlock), Self.nearbyValues) }
  private var slotFloats: Int { (slotPanelFloats + edgeFloats + rowFloats + 15) & ~15 }

  /// Of these rows alone.
  var neededByteCount: Int { WorkspaceSlots.byteCount(slots: pieceCount, floats: slotFloats) }

  /// Enough for these rows and for any fewer, which may be cut into more pieces or wider strips, and for any thread count: a plan's smaller
  /// batches run in the workspace of its largest. As much of it is touched as there are threads at work.
  var workspaceByteCount: Int { WorkspaceSlots.byteCount(slots: mostPieces, floats: slotFloats) }

  /// All free.
  func slots(_ workspace: UnsafeMutableRawPointer) -> WorkspaceSlots { WorkspaceSlots(workspace, floats: slotFloats) }

  /// The parts of a slot.
  func parts(
    _ slot: UnsafeMutablePointer<Float>
  ) -> (panel: UnsafeMutablePointer<Float>, edge: UnsafeMutablePointer<Float>, rows: UnsafeMutablePointer<Float>) {
    (slot, slot + slotPanelFloats, slot + slotPanelFloats + edgeFloats)
  }
}
