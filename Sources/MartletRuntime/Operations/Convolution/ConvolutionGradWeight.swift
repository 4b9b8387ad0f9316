// The gradient of a convolution's filters: windows of the input times the output's gradient, summed over all positions.
import MartletKernels

/// How the sum over positions is cut: pieces of blocks, each with sums of its own that are added up in order, and pieces of the strips of
/// filters. By the shape and the instruction set alone.
struct FilterGradientCut {
  let blocks: TapBlocks
  let panels: FilterPanels
  let isDepthwise: Bool
  let blockPieces: Int
  let stripPieces: Int
  private let mostPieces: Int
  /// Of one piece's sums: a group's `[taps, channels, columns]`, whole vectors wide, after the other.
  let sumFloats: Int
  /// Rows of a group's sums.
  let sumRows: Int
  /// Windows have too few neighbours in memory to fill a tile with: its rows are then of several taps.
  let isNarrow: Bool

  /// A tile's windows and gradients of so many positions stay in the first-level cache.
  private static var positionsPerBlock: Int { 256 }
  private static var maximumBlockPieces: Int { 16 }
  private static var sumBudget: Int { 1 << 20 }
  private static var wantedPieces: Int { 8 }

  init(_ s: ConvolutionShape, _ kernels: ConvolutionKernels) {
    let grid = s.forwardGrid
    isDepthwise = s.isDepthwise
    blocks = TapBlocks(grid, isDepthwise: isDepthwise, mostPositions: Self.positionsPerBlock)
    panels = FilterPanels(grid, kernels)
    // Neighbours in memory: the channels of a kernel's row.
    let neighbours = grid.horizontal.dilation == 1 ? grid.horizontal.taps * blocks.channels : blocks.channels
    isNarrow = !isDepthwise && neighbours < FilterGradientProduct.rowMultiple
    let multiple = isNarrow ? FilterGradientProduct.rowMultiple : 1
    sumRows = (grid.depth + multiple - 1) / multiple * multiple
    sumFloats =
      isDepthwise
      ? grid.taps * grid.channels + 2 * kernels.lanes : panels.paddedColumns * sumRows * grid.groups
    let work = grid.multiplyAdds * (isDepthwise ? 4 : 1) / TapCut.workPerPiece
    let wanted = Int(min(max(work, 1), Double(TapCut.maximumPieces)))
    let most = max(1, min(Self.maximumBlockPieces, Self.sumBudget / max(sumFloats, 1)))
    blockPieces = max(1, min(blocks.count, wanted, most))
    stripPieces = isDepthwise ? 1 : max(1, min(panels.strips, min(wanted, Self.wantedPieces) / blockPieces))
    mostPieces = min(wanted, max(blockPieces, Self.wantedPieces))
    packsGradient = grid.resultChannelsPerGroup % kernels.lanes != 0 && !isDepthwise
    slotFloats = max(
      blocks.windowFloats + (packsGradient ? blocks.positionsPerBlock * kernels.panelColumns : 0),
      grid.taps * kernels.lanes * kernels.lanes)
    gatheringPieces = max(1, min(mostPieces, (isDepthwise ? 1 : grid.groups) * panels.stripsPerGroup))
  }

  /// Where a group's columns are no whole vectors, its last strip of gradients is copied with zeros after it.
  let packsGradient: Bool
  private let slotFloats: Int
  /// Pieces of the step that adds up and turns round the sums.
  let gatheringPieces: Int

  var pieces: Int { blockPieces * stripPieces }

  private var sumsByteCount: Int { blockPieces * WorkspaceSlots.alignedByteCount(sumFloats) + 64 }
  /// Two lists: gradients in place, and packed.
  private var runsByteCount: Int {
    2 * blocks.runsPerBlock * MemoryLayout<PositionRun>.stride + (isNarrow ? sumRows * MemoryLayout<Int>.stride : 0)
  }
  var workspaceByteCount: Int {
    runsByteCount + sumsByteCount + WorkspaceSlots.byteCount(slots: mostPieces, floats: slotFloats)
  }

  func prepare(_ workspace: UnsafeMutableRawPointer) -> FilterGradientTables {
    let sums = workspace.alignedUp(toMultipleOf: 64).assumingMemoryBound(to: Float.self)
    let runs = (workspace + sumsByteCount).alignedUp(toMultipleOf: 16)
      .bindMemory(to: PositionRun.self, capacity: 2 * blocks.runsPerBlock)
    let grid = blocks.grid
    let packedWidth = panels.width(panels.stripsPerGroup - 1)
    for i in 0..<blocks.runsPerBlock {
      let (sample, row) = (i / blocks.rowsPerBlock, i % blocks.rowsPerBlock)
      let x = sample * blocks.sampleStride + row * grid.vertical.stride * blocks.rowStride
      runs[i] = PositionRun(x: x, gradient: i * grid.horizontal.positions * grid.resultChannels)
      runs[blocks.runsPerBlock + i] = PositionRun(x: x, gradient: i * grid.horizontal.positions * packedWidth)
    }
    let offsets = UnsafeMutableRawPointer(runs + 2 * blocks.runsPerBlock).bindMemory(to: Int.self, capacity: sumRows)
    if isNarrow {
      for i in 0..<sumRows {
        // The rows past the last stand for it; nobody reads their sums.
        let (tap, channel) = min(i, grid.depth - 1).quotientAndRemainder(dividingBy: blocks.channels)
        offsets[i] =
          tap / grid.horizontal.taps * grid.vertical.dilation * blocks.rowStride
          + tap % grid.horizontal.taps * grid.horizontal.dilation * blocks.channels + channel
      }
    }
    return FilterGradientTables(
      offsets: isNarrow ? UnsafePointer(offsets) : nil, sums: sums,
      sumStride: WorkspaceSlots.alignedByteCount(sumFloats) / MemoryLayout<Float>.stride, runs: runs,
      slots: WorkspaceSlots(workspace + sumsByteCount + runsByteCount, floats: slotFloats))
  }
}

struct FilterGradientTables {
  /// Of each row of a group's sums in the window, where it is narrow.
  let offsets: UnsafePointer<Int>?
  let sums: UnsafeMutablePointer<Float>
  let sumStride: Int
  let runs: UnsafeMutablePointer<PositionRun>
  let slots: WorkspaceSlots
}

extension Compute {
  /// Scratch memory of ``convolutionGradWeight(_:gradOutput:_:into:accumulate:workspace:)`` for at most so many samples, and any thread count.
  public func convolutionGradWeightWorkspaceByteCount(_ s: ConvolutionShape) -> Int {
    if s.isProduct { return multiplyWorkspaceByteCount(rows: s.outChannels, columns: s.inChannels, depth: s.positions) }
    return FilterGradientCut(s, kernels.convolution).workspaceByteCount
  }

  /// `gradWeight[o, c, i, j] (+)= Σ_(n, oh, ow) x[n, oh·strideHeight + i·dilationHeight − padTop, …, c]·gradOutput[n, oh, ow, o]`.
  ///
  /// Blocks of positions are summed in registers, then in order; the same bits for any thread count.
  ///
  /// Edge cases: without samples it is zero, or stays as it is.
  public func convolutionGradWeight(
    _ x: UnsafePointer<Float>, gradOutput: UnsafePointer<Float>, _ s: ConvolutionShape,
    into gradWeight: UnsafeMutablePointer<Float>, accumulate: Bool = false, workspace: UnsafeMutableRawPointer
  ) {
    if s.positions == 0 {
      if !accumulate { gradWeight.update(repeating: 0, count: s.weightCount) }
      return
    }
    if s.isProduct {
      return multiply(
        rows: s.outChannels, columns: s.inChannels, depth: s.positions,
        MatrixView(gradOutput, rowStride: 1, columnStride: s.outChannels),
        MatrixView(x, rowStride: s.inChannels, columnStride: 1), into: gradWeight, rowStride: s.inChannels,
        accumulate: accumulate, workspace: workspace)
    }
    let cut = FilterGradientCut(s, kernels.convolution)
    let tables = cut.prepare(workspace)
    run(
      FilterGradientWork(kernels: kernels, cut: cut, tables: tables, x: x, gradOutput: gradOutput), pieces: cut.pieces)
    gather(cut, tables, s, into: gradWeight, accumulate: accumulate)
  }

  private func gather(
    _ cut: FilterGradientCut, _ tables: FilterGradientTables, _ s: ConvolutionShape,
    into gradWeight: UnsafeMutablePointer<Float>, accumulate: Bool
  ) {
    let (groups, columns) = cut.isDepthwise ? (1, s.outChannels) : (s.groups, s.outChannelsPerGroup)
    run(
      FilterGatheringWork(
        kernels: kernels.convolution, cut: cut, tables: tables, groups: groups, channels: s.inChannelsPerGroup,
        columns: columns, gradWeight: gradWeight, accumulate: accumulate),
      pieces: cut.gatheringPieces)
  }
}

private struct FilterGradientWork: PieceWork {
  let kernels: KernelTable
  let cut: FilterGradientCut
  let tables: FilterGradientTables
  let x: UnsafePointer<Float>
  let gradOutput: UnsafePointer<Float>

  func run(_ piece: Int) {
    let slot = tables.slots.take()
    defer { tables.slots.giveBack(slot.index) }
    let part = piece % cut.stripPieces
    let index = piece / cut.stripPieces
    let sums = tables.sums + index * tables.sumStride
    let count = cut.blocks.count
    let blocks = index * count / cut.blockPieces..<(index + 1) * count / cut.blockPieces
    if cut.isDepthwise {
      sums.update(repeating: 0, count: cut.sumFloats)
      for block in blocks { addDepthwise(cut.blocks.block(block), window: slot.memory, sums) }
      return
    }
    let strips = part * cut.panels.strips / cut.stripPieces..<(part + 1) * cut.panels.strips / cut.stripPieces
    for block in blocks {
      add(
        cut.blocks.block(block), strips, window: slot.memory, packed: slot.memory + cut.blocks.windowFloats, sums,
        accumulate: block > blocks.lowerBound)
    }
  }

  private func add(
    _ block: TapBlocks.Block, _ strips: Range<Int>, window: UnsafeMutablePointer<Float>, packed: UnsafeMutablePointer<Float>,
    _ sums: UnsafeMutablePointer<Float>, accumulate: Bool
  ) {
    let grid = cut.blocks.grid
    let (vertical, horizontal) = (grid.vertical, grid.horizontal)
    let first = (block.sample * vertical.positions + block.row) * horizontal.positions
    let isContiguous = horizontal.dilation == 1 || horizontal.taps == 1
    let rows = isContiguous ? horizontal.taps * cut.blocks.channels : cut.blocks.channels
    var source = x
    var group = -1
    for strip in strips {
      if cut.panels.group(strip) != group {
        group = cut.panels.group(strip)
        source = cut.blocks.read(x, block, group: group, window: window)
      }
      let columns = cut.panels.columns(strip)
      var gradient = gradOutput + first * grid.resultChannels + group * grid.resultChannelsPerGroup + columns.lowerBound
      var stride = grid.resultChannels
      var runs = UnsafePointer(tables.runs)
      if columns.count % kernels.lanes != 0 {
        kernels.matrix.packPanel(
          gradient, grid.resultChannels, 1, block.runs * horizontal.positions, columns.count, packed)
        stride = cut.panels.width(strip)
        gradient = UnsafePointer(packed)
        runs += cut.blocks.runsPerBlock
      }
      var product = FilterGradientProduct(
        rows: rows, columns: columns.count, x: source, xStride: horizontal.stride * cut.blocks.channels,
        offsets: tables.offsets, gradient: gradient, gradientStride: stride, runs: runs, runCount: block.runs,
        length: horizontal.positions,
        c: sums + (group * cut.sumRows * cut.panels.paddedColumns + columns.lowerBound),
        cRowStride: cut.panels.paddedColumns, accumulate: accumulate)
      if cut.isNarrow {
        product.rows = grid.depth
        kernels.convolution.multiplyFilterGradient(product)
        continue
      }
      for i in 0..<vertical.taps {
        for j in 0..<(isContiguous ? 1 : horizontal.taps) {
          product.x = source + i * vertical.dilation * cut.blocks.rowStride + j * horizontal.dilation * cut.blocks.channels
          kernels.convolution.multiplyFilterGradient(product)
          product.c += rows * cut.panels.paddedColumns
        }
      }
    }
  }

  private func addDepthwise(
    _ block: TapBlocks.Block, window: UnsafeMutablePointer<Float>, _ sums: UnsafeMutablePointer<Float>
  ) {
    let grid = cut.blocks.grid
    let (vertical, horizontal) = (grid.vertical, grid.horizontal)
    let source = cut.blocks.read(x, block, group: 0, window: window)
    for run in 0..<block.runs {
      let (sample, row) = (run / block.rows, run % block.rows)
      let position = ((block.sample + sample) * vertical.positions + block.row + row) * horizontal.positions
      kernels.convolution.depthwiseFilterGradient(
        DepthwiseGradientRow(
          positions: horizontal.positions, channels: grid.channels, tapsHeight: vertical.taps, tapsWidth: horizontal.taps,
          x: source + sample * cut.blocks.sampleStride + row * vertical.stride * cut.blocks.rowStride,
          xStride: horizontal.stride * grid.channels, rowStride: vertical.dilation * cut.blocks.rowStride,
          tapStride: horizontal.dilation * grid.channels, gradient: gradOutput + position * grid.resultChannels, sums: sums))
    }
  }
}

/// Some strips of filters a piece.
private struct FilterGatheringWork: PieceWork {
  let kernels: ConvolutionKernels
  let cut: FilterGradientCut
  let tables: FilterGradientTables
  let groups: Int
  let channels: Int
  let columns: Int
  let gradWeight: UnsafeMutablePointer<Float>
  let accumulate: Bool

  func run(_ piece: Int) {
    let slot = tables.slots.take()
    defer { tables.slots.giveBack(slot.index) }
    let strips = (columns + kernels.panelColumns - 1) / kernels.panelColumns
    let grid = cut.blocks.grid
    let rowStride = cut.isDepthwise ? columns : cut.panels.paddedColumns
    for strip in piece * groups * strips / cut.gatheringPieces..<(piece + 1) * groups * strips / cut.gatheringPieces {
      let (group, first) = (strip / strips, strip % strips * kernels.panelColumns)
      kernels.gatherFilterGradient(
        FilterGathering(
          partial: tables.sums + group * cut.sumRows * rowStride + first, parts: cut.blockPieces,
          partialStride: tables.sumStride, rowStride: rowStride, taps: grid.taps, channels: channels,
          columns: min(kernels.panelColumns, columns - first),
          filters: gradWeight + (group * columns + first) * channels * grid.taps, accumulate: accumulate,
          scratch: slot.memory))
    }
  }
}
