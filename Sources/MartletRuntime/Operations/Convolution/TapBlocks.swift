// How a convolution is cut: into blocks of positions whose part of the input stays in a nearby cache.
import MartletKernels

/// The blocks of one ``TapGrid``: several whole samples each, or some rows of one sample. They follow from the shape alone.
///
/// Where zeros surround the input, or a group's channels lie apart, a block's *window* of the input is copied first, so that whatever a
/// position reads lies at the same distance from it.
struct TapBlocks {
  let grid: TapGrid
  let hasWindow: Bool
  /// Channels at each place of what is read: of a group where windows are copied group by group.
  let channels: Int
  let samplesPerBlock: Int
  let rowsPerBlock: Int
  private let blocksPerSample: Int

  /// Bytes of a window, which stays in the second-level cache beside the filters.
  private static var windowFloats: Int { 40 * 1024 }

  /// - Parameters:
  ///   - isDepthwise: all channels of a window are copied together.
  ///   - mostPositions: at least one row of one sample even so.
  init(_ grid: TapGrid, isDepthwise: Bool, mostPositions: Int) {
    self.grid = grid
    let isGrouped = grid.groups > 1 && !isDepthwise
    hasWindow = grid.needsWindow || isGrouped
    channels = isGrouped ? grid.channelsPerGroup : grid.channels
    let rowFloats = grid.horizontal.window(grid.horizontal.positions) * channels
    let rows = max(grid.vertical.positions, 1)
    let sampleFloats = max(1, grid.vertical.window(rows) * rowFloats)
    if sampleFloats <= Self.windowFloats, grid.positionsPerSample <= mostPositions {
      let fitting = min(Self.windowFloats / sampleFloats, mostPositions / max(grid.positionsPerSample, 1))
      samplesPerBlock = max(1, min(fitting, grid.samples))
      rowsPerBlock = rows
      blocksPerSample = 1
    } else {
      // window(r) = (r − 1)·stride + the rest
      let rest = grid.vertical.window(1)
      let fitting = (Self.windowFloats / rowFloats - rest) / grid.vertical.stride + 1
      let most = max(1, min(fitting, mostPositions / max(grid.horizontal.positions, 1), rows))
      samplesPerBlock = 1
      blocksPerSample = (rows + most - 1) / most
      rowsPerBlock = (rows + blocksPerSample - 1) / blocksPerSample
    }
  }

  var count: Int {
    grid.positionsPerSample == 0 ? 0 : (grid.samples + samplesPerBlock - 1) / samplesPerBlock * blocksPerSample
  }

  /// Positions of the largest block.
  var positionsPerBlock: Int { samplesPerBlock * rowsPerBlock * grid.horizontal.positions }
  /// Rows of positions of the largest block.
  var runsPerBlock: Int { samplesPerBlock * rowsPerBlock }

  private var windowWidth: Int { grid.horizontal.window(grid.horizontal.positions) }
  private var windowHeight: Int { grid.vertical.window(rowsPerBlock) }
  var windowFloats: Int { hasWindow ? samplesPerBlock * windowHeight * windowWidth * channels : 0 }

  /// Floats between neighbouring rows of what is read, and between the blocks' samples.
  var rowStride: Int { (hasWindow ? windowWidth : grid.horizontal.length) * channels }
  var sampleStride: Int { (hasWindow ? windowHeight : grid.vertical.length) * rowStride }

  /// A block's part of the output.
  func block(_ index: Int) -> Block {
    let sample = index / blocksPerSample * samplesPerBlock
    let row = index % blocksPerSample * rowsPerBlock
    return Block(
      sample: sample, samples: min(samplesPerBlock, grid.samples - sample), row: row,
      rows: max(0, min(rowsPerBlock, grid.vertical.positions - row)))
  }

  /// The blocks of one of `pieces` pieces.
  func range(_ piece: Int, of pieces: Int) -> Range<Int> { piece * count / pieces..<(piece + 1) * count / pieces }

  /// Where a block's results lie, side by side: only where the grid writes every place.
  func positions(_ index: Int) -> (first: Int, count: Int) {
    let block = block(index)
    let width = grid.horizontal.positions
    return ((block.sample * grid.vertical.positions + block.row) * width, block.runs * width)
  }

  /// As ``MatrixBlocking/moments(_:_:)``, for a convolution's own output; a chunk is a piece of blocks.
  func moments(
    _ memory: UnsafeMutableRawPointer, _ kernels: ChannelSumKernels, pieces: Int, isAllowed: Bool = true
  ) -> OutputMomentsGathering? {
    let moments = OutputMoments(memory, channels: grid.resultChannels)
    guard isAllowed else {
      moments.clear()
      return nil
    }
    moments.begin(chunks: pieces) { range($0, of: pieces).reduce(0) { $0 + positions($1).count } }
    return OutputMomentsGathering(kernels: kernels, moments: moments)
  }

  /// The first value that a block reads, padding aside.
  func start(_ x: UnsafePointer<Float>, _ block: Block) -> UnsafePointer<Float> {
    let row = max(0, block.row * grid.vertical.stride + grid.vertical.origin)
    return x + (block.sample * grid.vertical.length + row) * grid.horizontal.length * grid.channels
  }

  struct Block {
    let sample: Int
    let samples: Int
    let row: Int
    let rows: Int
    var runs: Int { samples * rows }
  }

  /// Where the first position of a block reads its first tap, windows copied first.
  func read(
    _ x: UnsafePointer<Float>, _ block: Block, group: Int, window: UnsafeMutablePointer<Float>
  ) -> UnsafePointer<Float> {
    let sampleFloats = grid.vertical.length * grid.horizontal.length * grid.channels
    let top = block.row * grid.vertical.stride + grid.vertical.origin
    let source = x + block.sample * sampleFloats
    guard hasWindow else {
      return source + (top * grid.horizontal.length + grid.horizontal.origin) * grid.channels
    }
    let height = grid.vertical.window(block.rows)
    for sample in 0..<block.samples {
      for row in 0..<height {
        copyRow(
          source + sample * sampleFloats + group * channels, top + row, window + sample * sampleStride + row * rowStride)
      }
    }
    return UnsafePointer(window)
  }

  /// One row of a window: zeros, the row of x, zeros.
  private func copyRow(_ sample: UnsafePointer<Float>, _ row: Int, _ target: UnsafeMutablePointer<Float>) {
    guard 0..<grid.vertical.length ~= row else { return target.update(repeating: 0, count: rowStride) }
    let origin = grid.horizontal.origin
    let first = min(max(-origin, 0), windowWidth)
    let end = max(first, min(grid.horizontal.length - origin, windowWidth))
    target.update(repeating: 0, count: first * channels)
    let source = sample + (row * grid.horizontal.length + first + origin) * grid.channels
    if channels == grid.channels {
      (target + first * channels).update(from: source, count: (end - first) * channels)
    } else {
      for i in 0..<end - first {
        (target + (first + i) * channels).update(from: source + i * grid.channels, count: channels)
      }
    }
    (target + end * channels).update(repeating: 0, count: (windowWidth - end) * channels)
  }
}
