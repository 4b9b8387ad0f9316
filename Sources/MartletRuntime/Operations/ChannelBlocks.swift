// Two passes over a block of channels while it is in the cache: sums, then what they are needed for.
import MartletKernels

/// Which channels the work between two passes is about.
struct ChannelScope {
  enum Extent {
    /// All channels; the pieces are shared by the threads.
    case everything(ThreadPool)
    /// One block of the grid, on the thread that took it.
    case block(Int)
  }

  let extent: Extent
  let channels: Range<Int>
  let columns: Range<Int>
}

extension ChannelTotals {
  func everything(on pool: ThreadPool) -> ChannelScope {
    ChannelScope(extent: .everything(pool), channels: 0..<channels, columns: 0..<layout.columns)
  }

  /// One of the blocks of a grid whose blocks are separable.
  func block(_ block: Int) -> ChannelScope {
    if !layout.columnsAreChannels {
      return ChannelScope(extent: .block(block), channels: 0..<channels, columns: 0..<layout.columns)
    }
    let (first, count) = grid.columns(block)
    return ChannelScope(extent: .block(block), channels: first..<first + count, columns: first..<first + count)
  }

  /// Gives each column in `scope` its channel's value.
  func expand<From: BinaryFloatingPoint, To: BinaryFloatingPoint>(
    _ values: UnsafePointer<From>, into columnValues: UnsafeMutablePointer<To>, _ scope: ChannelScope, _ convert: (From) -> To
  ) {
    if layout.columnsAreChannels {
      for channel in scope.channels { columnValues[channel] = convert(values[channel]) }
    } else {
      layout.expand(values, count: layout.columns, into: columnValues, convert)
    }
  }
}

/// A pass over data that needs sums over it first.
protocol ChannelBlockWork {
  var totals: ChannelTotals { get set }
  /// The second pass.
  var pass: ChannelPassJob { get }
  /// The first pass over the channels in `scope`, and what follows from it.
  func prepare(_ scope: ChannelScope)
}

/// How the two passes are ordered. A block of channels has the same sums as the whole, to the bit, so the order may be chosen by the
/// machine and the threads.
///
/// - Runs that the shared cache cannot hold go block by block: the second pass finds a block in the cache.
/// - Small tensors that several threads share go block by block, too: the threads then meet once instead of twice.
/// - All else is walked over from end to end and back, which hardware prefetches best; the second pass begins with what the first
///   left in the cache. Columns are in this class at any size: reading a few hundred bytes of each row costs more than the cache
///   saves (measured).
enum ChannelBlocks {
  /// Less is done before another thread has woken up.
  static let mostElementsOfOneThread = 32768
  /// What the threads' own caches hold.
  static let smallBytes = 2 << 20

  /// - Parameter tensors: how many are read.
  static func run<Work: ChannelBlockWork>(_ work: Work, tensors: Int, on compute: Compute) {
    let layout = work.totals.layout
    let elements = layout.shape.channels * layout.shape.valuesPerChannel
    let threads = elements <= mostElementsOfOneThread ? 1 : compute.pool.threadCount
    let bytes = 4 * elements * tensors
    let isSmall = threads > 1 && bytes <= smallBytes
    // Half of the cache is left to what is written.
    let mostElements = isSmall ? elements : compute.sharedCacheBytes / (2 * 4 * tensors)
    var blockWork = work
    blockWork.totals = work.totals.blockwise(elements: min(mostElements / 2, elements / (2 * threads)))
    let grid = blockWork.totals.grid
    let blocks = grid.across.count
    guard isSmall || (layout.isRuns && bytes > compute.sharedCacheBytes), grid.blocksAreSeparable, blocks >= threads,
      grid.elementsPerBlock <= mostElements
    else {
      work.prepare(work.totals.everything(on: compute.pool))
      return work.pass.runBackwards(on: compute.pool)
    }
    let pieces = Pieces(work: blockWork, pass: ChannelPassJob(work.pass, in: grid))
    if threads == 1 {
      for block in 0..<blocks { pieces.run(block) }
    } else {
      compute.run(pieces, pieces: blocks)
    }
  }

  private struct Pieces<Work: ChannelBlockWork>: PieceWork {
    let work: Work
    let pass: ChannelPassJob

    func run(_ block: Int) {
      work.prepare(work.totals.block(block))
      pass.runBackwards(block: block)
    }
  }
}

extension ChannelGrid {
  /// Whether every channel lies in one block, and coefficients that must be spread out fit where that is done.
  fileprivate var blocksAreSeparable: Bool {
    layout.columnsAreChannels || (across.count == 1 && layout.columns <= ChannelLayout.mostMergedColumns)
  }

  fileprivate var elementsPerBlock: Int {
    layout.isRuns ? across.size * layout.shape.valuesPerChannel : across.size * layout.rows
  }
}
