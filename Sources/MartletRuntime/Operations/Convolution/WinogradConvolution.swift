// A 3×3 convolution of stride 1 by Winograd's F(2×2, 3×3): patches transformed, sixteen matrix products over the channels, tiles transformed
// back.
import MartletKernels

extension TapGrid {
  var tileRows: Int { (vertical.positions + 1) / 2 }
  var tileColumns: Int { (horizontal.positions + 1) / 2 }
  var tilesPerSample: Int { tileRows * tileColumns }
}

/// Panels of transformed filters: strip after strip, in a strip the sixteen elements, each `[channels, width]`.
struct WinogradPanels {
  let grid: TapGrid
  let panels: FilterPanels

  init(_ grid: TapGrid, _ kernels: ConvolutionKernels) {
    self.grid = grid
    panels = FilterPanels(grid, kernels)
  }

  static var elements: Int { 16 }
  var floatCount: Int { Self.elements * grid.channels * panels.paddedColumns }
  func offset(_ strip: Int) -> Int { Self.elements * grid.channels * panels.columns(strip).lowerBound }
}

/// Packs and transforms one strip of filters a piece; strides as in ``PanelPackingWork``.
struct WinogradPackingWork: PieceWork {
  let kernels: ConvolutionKernels
  let panels: WinogradPanels
  let filters: UnsafePointer<Float>
  let rowStride: Int
  let tapStride: Int
  let channelStride: Int
  let columnStride: Int
  let target: UnsafeMutablePointer<Float>

  func run(_ strip: Int) {
    let columns = panels.panels.columns(strip)
    let channels = panels.grid.channels
    let count = channels * panels.panels.width(strip)
    let panel = target + panels.offset(strip)
    kernels.packFilters(
      FilterPacking(
        filters: filters + columns.lowerBound * columnStride, tapsHeight: 3, tapsWidth: 3, channels: channels,
        columns: columns.count, rowStride: rowStride, tapStride: tapStride, channelStride: channelStride,
        columnStride: columnStride, panel: panel + 7 * count))
    kernels.winogradFilters(panel, count)
  }
}

/// How the work is cut, by the shape and the instruction set alone: blocks of neighbouring tiles, and parts of the strips.
struct WinogradCut {
  let grid: TapGrid
  let panels: WinogradPanels
  let tilesPerBlock: Int
  let blockPieces: Int
  let stripPieces: Int
  let mostPieces: Int
  /// A block's tiles are whole rows of them.
  private let hasWholeRows: Bool
  private let panelColumns: Int
  private let edgeFloats: Int

  /// Floats of a block's transformed patches that stay in the second-level cache, and tiles that make up for reading all filters.
  private static var patchFloats: Int { 64 * 1024 }
  private static var fewestTiles: Int { 48 }
  private static var mostTiles: Int { 64 }

  init(_ grid: TapGrid, _ kernels: ConvolutionKernels) {
    self.grid = grid
    panels = WinogradPanels(grid, kernels)
    panelColumns = kernels.panelColumns
    edgeFloats = kernels.edgeFloats
    let fitting = Self.patchFloats / (WinogradPanels.elements * grid.channels)
    let tiles = max(1, min(max(Self.fewestTiles, min(fitting, Self.mostTiles)), grid.samples * grid.tilesPerSample))
    // Whole rows of tiles, so that a block's outputs lie side by side.
    let tileColumns = max(grid.tileColumns, 1)
    hasWholeRows = tileColumns <= Self.mostTiles
    tilesPerBlock = hasWholeRows ? max(1, (tiles + tileColumns / 2) / tileColumns) * tileColumns : tiles
    let wanted = Int(min(max(grid.multiplyAdds / 2 / TapCut.workPerPiece, 1), Double(TapCut.maximumPieces)))
    let blocks = (grid.samples * grid.tilesPerSample + tilesPerBlock - 1) / tilesPerBlock
    blockPieces = max(1, min(blocks, wanted))
    stripPieces = blockPieces >= 8 ? 1 : max(1, min(panels.panels.strips, min(wanted, 8) / blockPieces))
    mostPieces = wanted
  }

  var pieces: Int { blockPieces * stripPieces }
  var blocks: Int { (grid.samples * grid.tilesPerSample + tilesPerBlock - 1) / tilesPerBlock }

  /// The channels of a part of the strips.
  func columns(_ part: Int) -> Range<Int> { panels.panels.channels(part, of: stripPieces) }

  /// The blocks of a piece.
  func range(_ piece: Int) -> Range<Int> { piece * blocks / blockPieces..<(piece + 1) * blocks / blockPieces }

  /// Where the outputs of blocks lie, side by side.
  func positions(_ range: Range<Int>) -> Range<Int> {
    func first(_ block: Int) -> Int {
      let row = min(block * tilesPerBlock / grid.tileColumns, grid.samples * grid.tileRows)
      let (sample, rowInside) = row.quotientAndRemainder(dividingBy: grid.tileRows)
      return (sample * grid.vertical.positions + 2 * rowInside) * grid.horizontal.positions
    }
    return first(range.lowerBound)..<first(range.upperBound)
  }

  var gathersMoments: Bool {
    hasWholeRows
      && (0..<stripPieces).allSatisfy {
        OutputMomentsGathering.allows(columns($0), channels: grid.resultChannels, lanes: panels.panels.lanes)
      }
  }

  /// As ``MatrixBlocking/moments(_:_:)``.
  func moments(_ memory: UnsafeMutableRawPointer, _ kernels: ChannelSumKernels) -> OutputMomentsGathering? {
    let moments = OutputMoments(memory, channels: grid.resultChannels)
    guard gathersMoments else {
      moments.clear()
      return nil
    }
    moments.begin(chunks: blockPieces) { positions(range($0)).count }
    return OutputMomentsGathering(kernels: kernels, moments: moments)
  }

  /// Between the elements: one cache line more than they need, as a power of two would put all sixteen into one set of the cache.
  var patchStride: Int { tilesPerBlock * grid.channels + 16 }
  var tileStride: Int { tilesPerBlock * panelColumns + 16 }
  var patchCount: Int { WinogradPanels.elements * patchStride }
  var tileCount: Int { WinogradPanels.elements * tileStride }
  private var slotFloats: Int { patchCount + tileCount + edgeFloats }
  private var tableByteCount: Int {
    3 * tilesPerBlock * MemoryLayout<Int>.stride + segmentCount * MemoryLayout<TapSegment>.stride + 64
  }
  var segmentCount: Int { (grid.channels + TapCut.depthBlock - 1) / TapCut.depthBlock }
  var workspaceByteCount: Int { tableByteCount + WorkspaceSlots.byteCount(slots: mostPieces, floats: slotFloats) }

  func prepare(_ workspace: UnsafeMutableRawPointer) -> WinogradTables {
    let start = workspace.alignedUp(toMultipleOf: 64)
    let sources = start.bindMemory(to: Int.self, capacity: 3 * tilesPerBlock)
    for i in 0..<tilesPerBlock {
      sources[i] = i * grid.channels
      sources[tilesPerBlock + i] = i * panelColumns
      sources[2 * tilesPerBlock + i] = i * panelColumns / 2
    }
    let segments = UnsafeMutableRawPointer(sources + 3 * tilesPerBlock).bindMemory(to: TapSegment.self, capacity: segmentCount)
    for i in 0..<segmentCount {
      let first = i * grid.channels / segmentCount
      segments[i] = TapSegment(offset: first, depth: (i + 1) * grid.channels / segmentCount - first)
    }
    return WinogradTables(
      sources: sources, wide: sources + tilesPerBlock, narrow: sources + 2 * tilesPerBlock, segments: segments,
      slots: WorkspaceSlots(workspace + tableByteCount, floats: slotFloats))
  }
}

/// What every piece reads.
struct WinogradTables {
  /// Of each tile of a block: its transformed patch, and its sums in strips of two vectors and of one.
  let sources: UnsafePointer<Int>
  let wide: UnsafePointer<Int>
  let narrow: UnsafePointer<Int>
  let segments: UnsafePointer<TapSegment>
  let slots: WorkspaceSlots
}

struct WinogradConvolution: PieceWork {
  let kernels: KernelTable
  let cut: WinogradCut
  let tables: WinogradTables
  let x: UnsafePointer<Float>
  let filters: UnsafePointer<Float>
  let y: UnsafeMutablePointer<Float>
  let accumulate: Bool
  let tail: MatrixTail
  let moments: OutputMomentsGathering?

  func run(_ piece: Int) {
    let slot = tables.slots.take()
    defer { tables.slots.giveBack(slot.index) }
    let part = piece % cut.stripPieces
    let index = piece / cut.stripPieces
    let strips = cut.panels.panels.strips
    let blocks = cut.range(index)
    for block in blocks {
      compute(block, part * strips / cut.stripPieces..<(part + 1) * strips / cut.stripPieces, slot.memory)
      guard let moments else { continue }
      let (positions, columns) = (cut.positions(block..<block + 1), cut.columns(part))
      moments.gather(
        y + positions.lowerBound * cut.grid.resultChannels + columns.lowerBound, rows: positions.count, columns: columns,
        chunk: index, before: positions.lowerBound - cut.positions(blocks).lowerBound, piece: piece)
    }
  }

  private func compute(_ block: Int, _ strips: Range<Int>, _ patches: UnsafeMutablePointer<Float>) {
    let first = block * cut.tilesPerBlock
    let tiles = first..<min(first + cut.tilesPerBlock, cut.grid.samples * cut.grid.tilesPerSample)
    let sums = patches + cut.patchCount
    forEachRun(tiles) { transform($0, patches + ($0.tile - first) * cut.grid.channels) }
    for strip in strips {
      let columns = cut.panels.panels.columns(strip)
      let width = cut.panels.panels.width(strip)
      var b = filters + cut.panels.offset(strip)
      for element in 0..<WinogradPanels.elements {
        for segment in 0..<cut.segmentCount {
          kernels.convolution.multiplyTaps(
            TapProduct(
              positions: tiles.count, columns: width, x: patches + element * cut.patchStride, sources: tables.sources,
              segments: tables.segments + segment, segmentCount: 1, b: b, y: sums + element * cut.tileStride,
              targets: width == kernels.lanes ? tables.narrow : tables.wide, accumulate: segment > 0,
              edge: sums + cut.tileCount, ahead: TapLookahead(x: x, xPerPosition: 0, y: 0)))
          b += tables.segments[segment].depth * width
        }
      }
      forEachRun(tiles) { write($0, sums + ($0.tile - first) * width, columns) }
    }
  }

  /// Neighbouring tiles of one row of tiles.
  struct Run {
    let tile: Int
    let sample: Int
    let row: Int
    let column: Int
    let count: Int
  }

  private func forEachRun(_ tiles: Range<Int>, _ body: (Run) -> Void) {
    let grid = cut.grid
    var tile = tiles.lowerBound
    while tile < tiles.upperBound {
      let (sample, place) = tile.quotientAndRemainder(dividingBy: grid.tilesPerSample)
      let (row, column) = place.quotientAndRemainder(dividingBy: grid.tileColumns)
      let count = min(grid.tileColumns - column, tiles.upperBound - tile)
      body(Run(tile: tile, sample: sample, row: row, column: column, count: count))
      tile += count
    }
  }

  /// Patches inside the input side by side, those at its border one by one.
  private func transform(_ run: Run, _ v: UnsafeMutablePointer<Float>) {
    let grid = cut.grid
    let (height, width, channels) = (grid.vertical.length, grid.horizontal.length, grid.channels)
    let image = x + run.sample * height * width * channels
    let top = 2 * run.row + grid.vertical.origin
    let left = 2 * run.column + grid.horizontal.origin
    // The first and the last that lie between left and right.
    let first = min(run.count, left < 0 ? (1 - left) / 2 : 0)
    let end = max(first, min(run.count, left + 4 <= width ? (width - 4 - left) / 2 + 1 : 0))
    func transform(_ i: Int, count: Int) {
      let column = left + 2 * i
      let (rows, columns) = (inside(top, height), inside(column, width))
      // Where the patch would begin: read from its first value inside on.
      kernels.convolution.winogradPatches(
        WinogradPatch(
          x: image + (top * width + column) * channels, rowStride: width * channels, channels: channels,
          v: v + i * channels, elementStride: cut.patchStride, rows: rows, columns: columns), count)
    }
    for i in 0..<first { transform(i, count: 1) }
    if first < end { transform(first, count: end - first) }
    for i in end..<run.count { transform(i, count: 1) }
  }

  /// Of four places from `start` on, those in 0..<length.
  private func inside(_ start: Int, _ length: Int) -> Range<Int> {
    let first = min(max(-start, 0), 4)
    return first..<max(first, min(length - start, 4))
  }

  private func write(_ run: Run, _ m: UnsafeMutablePointer<Float>, _ columns: Range<Int>) {
    let grid = cut.grid
    let channels = grid.resultChannels
    let (height, width) = (grid.vertical.positions, grid.horizontal.positions)
    let target = y + ((run.sample * height + 2 * run.row) * width + 2 * run.column) * channels + columns.lowerBound
    let panelWidth = (columns.count + kernels.lanes - 1) / kernels.lanes * kernels.lanes
    let (rows, pixels) = (min(2, height - 2 * run.row), min(2 * run.count, width - 2 * run.column))
    kernels.convolution.winogradTiles(
      WinogradTiles(
        m: UnsafePointer(m), elementStride: cut.tileStride, columns: columns.count, y: target, rowStride: width * channels,
        pixelStride: channels, rows: rows, pixels: pixels, accumulate: accumulate), panelWidth)
    if tail.isPresent {
      for row in 0..<rows {
        let first = target + row * width * channels
        kernels.matrix.applyTail(
          first, channels, pixels, columns.count, tail.kernelTail(from: columns.lowerBound, element: first - y))
      }
    }
  }
}

extension Compute {
  func packWinograd(
    _ grid: TapGrid, _ filters: UnsafePointer<Float>, rowStride: Int, tapStride: Int, channelStride: Int, columnStride: Int,
    into target: UnsafeMutablePointer<Float>
  ) {
    let panels = WinogradPanels(grid, kernels.convolution)
    run(
      WinogradPackingWork(
        kernels: kernels.convolution, panels: panels, filters: filters, rowStride: rowStride, tapStride: tapStride,
        channelStride: channelStride, columnStride: columnStride, target: target),
      pieces: panels.panels.strips)
  }

  func convolveWinograd(
    _ x: UnsafePointer<Float>, filters: UnsafePointer<Float>, _ grid: TapGrid, tail: MatrixTail,
    into y: UnsafeMutablePointer<Float>, accumulate: Bool, workspace: UnsafeMutableRawPointer,
    moments: UnsafeMutableRawPointer? = nil
  ) {
    let cut = WinogradCut(grid, kernels.convolution)
    run(
      WinogradConvolution(
        kernels: kernels, cut: cut, tables: cut.prepare(workspace), x: x, filters: filters, y: y, accumulate: accumulate,
        tail: tail, moments: moments.flatMap { cut.moments($0, kernels.batchNorm.moments) }),
      pieces: cut.pieces)
  }
}
