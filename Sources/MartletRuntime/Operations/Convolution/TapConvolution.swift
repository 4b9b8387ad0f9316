// A convolution under way: what a piece of it computes.
import MartletKernels

/// How the work of one ``TapGrid`` is cut and where its scratch memory lies; by the shape and the instruction set alone.
struct TapCut {
  let blocks: TapBlocks
  let panels: FilterPanels
  /// Pieces that share the blocks, and pieces that share the strips of filters.
  let blockPieces: Int
  let stripPieces: Int
  let mostPieces: Int
  private let slotFloats: Int
  /// Segments a position reads at most.
  private let segmentCount: Int

  /// Depth summed in registers before y is touched, at most: a panel this deep stays in the second-level cache on its way through the
  /// positions, from where it comes fast enough for twelve rows a tile, and a deep result is rounded like a sum of shorter sums.
  static var depthBlock: Int { 576 }
  private static var positionsPerBlock: Int { 1024 }
  /// Multiply-adds worth a thread that watches for them.
  static var workPerPiece: Double { 0x1p17 }
  static var maximumPieces: Int { 32 }
  private static var enoughPieces: Int { 16 }

  init(_ grid: TapGrid, _ kernels: ConvolutionKernels) {
    blocks = TapBlocks(grid, isDepthwise: false, mostPositions: Self.positionsPerBlock)
    panels = FilterPanels(grid, kernels)
    let wanted = Int(min(max(grid.multiplyAdds / Self.workPerPiece, 1), Double(Self.maximumPieces)))
    blockPieces = max(1, min(blocks.count, wanted))
    stripPieces = blockPieces >= Self.enoughPieces ? 1 : max(1, min(panels.strips, wanted / blockPieces))
    mostPieces = wanted
    slotFloats = blocks.windowFloats + kernels.edgeFloats
    segmentCount = grid.taps * ((grid.channelsPerGroup + Self.depthBlock - 1) / Self.depthBlock + 1)
  }

  var pieces: Int { blockPieces * stripPieces }

  /// The channels of a part of the strips.
  func columns(_ part: Int) -> Range<Int> { panels.channels(part, of: stripPieces) }

  /// Whether the taps of a kernel's row are those of ``NeighbourTaps``. By the shape alone, as it decides the order of summation.
  var hasNeighbours: Bool {
    let axis = blocks.grid.horizontal
    return axis.taps == NeighbourTaps.taps && axis.stride == 1 && axis.dilation == 1
      && blocks.channels == NeighbourTaps.channels
  }

  var gathersMoments: Bool {
    let channels = blocks.grid.resultChannels
    return (0..<stripPieces).allSatisfy {
      OutputMomentsGathering.allows(columns($0), channels: channels, lanes: panels.lanes)
    }
  }

  /// As ``MatrixBlocking/moments(_:_:)``.
  func moments(_ memory: UnsafeMutableRawPointer, _ kernels: ChannelSumKernels) -> OutputMomentsGathering? {
    blocks.moments(memory, kernels, pieces: blockPieces, isAllowed: gathersMoments)
  }

  // Offsets of every position's input and result, the segments, then the slots.
  private var tableByteCount: Int {
    2 * blocks.positionsPerBlock * MemoryLayout<Int>.stride + segmentCount * MemoryLayout<TapSegment>.stride + 64
  }
  var workspaceByteCount: Int {
    tableByteCount + WorkspaceSlots.byteCount(slots: mostPieces, floats: slotFloats)
  }

  /// Fills the tables.
  func prepare(_ workspace: UnsafeMutableRawPointer) -> TapTables {
    let start = workspace.alignedUp(toMultipleOf: 64)
    let sources = start.bindMemory(to: Int.self, capacity: blocks.positionsPerBlock)
    let targets = sources + blocks.positionsPerBlock
    let segments = UnsafeMutableRawPointer(targets + blocks.positionsPerBlock)
      .bindMemory(to: TapSegment.self, capacity: segmentCount)
    fillOffsets(sources, targets)
    return TapTables(
      sources: sources, targets: targets, segments: segments, segmentCount: fillSegments(segments),
      slots: WorkspaceSlots(workspace + tableByteCount, floats: slotFloats), windowFloats: blocks.windowFloats)
  }

  private func fillOffsets(_ sources: UnsafeMutablePointer<Int>, _ targets: UnsafeMutablePointer<Int>) {
    let grid = blocks.grid
    let (vertical, horizontal) = (grid.vertical, grid.horizontal)
    var i = 0
    for sample in 0..<blocks.samplesPerBlock {
      for row in 0..<blocks.rowsPerBlock {
        let source = sample * blocks.sampleStride + row * vertical.stride * blocks.rowStride
        let target = ((sample * vertical.resultLength + row * vertical.step) * horizontal.resultLength) * grid.resultChannels
        for column in 0..<horizontal.positions {
          sources[i] = source + column * horizontal.stride * blocks.channels
          targets[i] = target + column * horizontal.step * grid.resultChannels
          i += 1
        }
      }
    }
  }

  /// Contiguous runs of values, none deeper than ``depthBlock``.
  private func fillSegments(_ segments: UnsafeMutablePointer<TapSegment>) -> Int {
    let (vertical, horizontal) = (blocks.grid.vertical, blocks.grid.horizontal)
    let isContiguous = horizontal.dilation == 1 || horizontal.taps == 1
    let run = isContiguous ? horizontal.taps * blocks.channels : blocks.channels
    let parts = (run + Self.depthBlock - 1) / Self.depthBlock
    var count = 0
    for i in 0..<vertical.taps {
      for j in 0..<(isContiguous ? 1 : horizontal.taps) {
        let offset = i * vertical.dilation * blocks.rowStride + j * horizontal.dilation * blocks.channels
        for part in 0..<parts {
          let first = part * run / parts
          segments[count] = TapSegment(offset: offset + first, depth: (part + 1) * run / parts - first)
          count += 1
        }
      }
    }
    return count
  }
}

/// What every piece of one convolution reads.
struct TapTables {
  let sources: UnsafePointer<Int>
  let targets: UnsafePointer<Int>
  let segments: UnsafePointer<TapSegment>
  let segmentCount: Int
  let slots: WorkspaceSlots
  let windowFloats: Int
}

struct TapConvolution: PieceWork {
  let kernels: KernelTable
  let cut: TapCut
  let tables: TapTables
  let x: UnsafePointer<Float>
  let filters: UnsafePointer<Float>
  let y: UnsafeMutablePointer<Float>
  let accumulate: Bool
  /// Only where results lie side by side.
  let tail: MatrixTail
  let moments: OutputMomentsGathering?

  func run(_ piece: Int) {
    let slot = tables.slots.take()
    defer { tables.slots.giveBack(slot.index) }
    let part = piece % cut.stripPieces
    let index = piece / cut.stripPieces
    let strips = part * cut.panels.strips / cut.stripPieces..<(part + 1) * cut.panels.strips / cut.stripPieces
    var done = 0
    for block in cut.blocks.range(index, of: cut.blockPieces) {
      compute(block, strips, window: slot.memory, edge: slot.memory + tables.windowFloats)
      if let moments { done += gather(moments, block, cut.columns(part), chunk: index, before: done, piece: piece) }
    }
  }

  /// This strip's share of what the next block will copy, and y a little further on.
  private func lookahead(_ index: Int, _ block: TapBlocks.Block, _ strip: Int, of strips: Range<Int>) -> TapLookahead {
    let (blocks, grid) = (cut.blocks, cut.blocks.grid)
    let position = grid.horizontal.step * grid.resultChannels
    let y = (Self.floatsAhead + position - 1) / position * position
    guard blocks.hasWindow, index + 1 < blocks.count else { return TapLookahead(x: x, xPerPosition: 0, y: y) }
    let share = (grid.vertical.stride * grid.horizontal.stride * grid.channels + strips.count - 1) / strips.count
    let before = (strip - strips.lowerBound) * block.runs * grid.horizontal.positions * share
    return TapLookahead(x: blocks.start(x, blocks.block(index + 1)) + before, xPerPosition: share, y: y)
  }

  /// Between a result and the one that is asked for meanwhile: 3 KB.
  private static var floatsAhead: Int { 768 }

  private func gather(
    _ moments: OutputMomentsGathering, _ block: Int, _ columns: Range<Int>, chunk: Int, before: Int, piece: Int
  ) -> Int {
    let (first, count) = cut.blocks.positions(block)
    moments.gather(
      y + first * cut.blocks.grid.resultChannels + columns.lowerBound, rows: count, columns: columns, chunk: chunk,
      before: before, piece: piece)
    return count
  }

  private func compute(
    _ index: Int, _ strips: Range<Int>, window: UnsafeMutablePointer<Float>, edge: UnsafeMutablePointer<Float>
  ) {
    let block = cut.blocks.block(index)
    let nothing = TapLookahead(x: x, xPerPosition: 0, y: 0)
    let grid = cut.blocks.grid
    let (vertical, horizontal) = (grid.vertical, grid.horizontal)
    let firstRow = block.sample * vertical.resultLength + block.row * vertical.step + vertical.phase
    let target = y + (firstRow * horizontal.resultLength + horizontal.phase) * grid.resultChannels
    let positions = block.runs * horizontal.positions
    var source = x
    var group = -1
    for strip in strips {
      if cut.panels.group(strip) != group {
        // Without groups once, as there is one of them.
        group = cut.panels.group(strip)
        source = cut.blocks.read(x, block, group: group, window: window)
      }
      let columns = cut.panels.columns(strip)
      let column = group * grid.resultChannelsPerGroup + columns.lowerBound
      var product = TapProduct(
        positions: positions, columns: columns.count, x: source, sources: tables.sources, segments: tables.segments,
        segmentCount: 0, b: filters + cut.panels.offset(strip), y: target + column, targets: tables.targets,
        accumulate: accumulate, edge: edge, ahead: lookahead(index, block, strip, of: strips))
      let width = cut.panels.width(strip)
      var segment = 0
      while segment < tables.segmentCount {
        var depth = tables.segments[segment].depth
        var end = segment + 1
        while end < tables.segmentCount, depth + tables.segments[end].depth <= TapCut.depthBlock {
          depth += tables.segments[end].depth
          end += 1
        }
        product.segments = tables.segments + segment
        product.segmentCount = end - segment
        if cut.hasNeighbours, width == kernels.lanes {
          kernels.convolution.multiplyNeighbours(
            NeighbourTaps(
              product: product, length: horizontal.positions, targetStride: horizontal.step * grid.resultChannels))
        } else {
          kernels.convolution.multiplyTaps(product)
        }
        product.b += depth * width
        product.accumulate = true
        product.ahead = nothing
        segment = end
      }
      if tail.isPresent {
        kernels.matrix.applyTail(
          target + column, grid.resultChannels, positions, columns.count,
          tail.kernelTail(from: column, element: target + column - y))
      }
    }
  }
}

extension MatrixTail {
  var isPresent: Bool {
    bias != nil || multiplier != nil || offset != nil || residual != nil || activation != .identity
  }

  /// - Parameters:
  ///   - column: the first that the tail is for.
  ///   - element: the first of the result, counted from its start.
  func kernelTail(from column: Int, element: Int) -> ProductTail {
    ProductTail(
      bias: bias.map { $0 + column }, multiplier: multiplier.map { $0 + column }, offset: offset.map { $0 + column },
      activation: activation.rawValue, residual: residual.map { $0 + element })
  }
}
