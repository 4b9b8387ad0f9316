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

  /// One of the blocks of a grid of runs.
  func block(_ block: Int) -> ChannelScope {
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
/// - All else is walked over from end to end and back, which hardware prefetches best; the second pass begins with what the first
///   left in the cache, on the same threads. Columns are in this class at any size: reading a few hundred bytes of each row
///   costs more than the cache saves, and more than the threads' meeting twice (both measured).
enum ChannelBlocks {
  /// - Parameter tensors: how many are read.
  static func run<Work: ChannelBlockWork>(_ work: Work, tensors: Int, on compute: Compute) {
    let layout = work.totals.layout
    let elements = layout.shape.channels * layout.shape.valuesPerChannel
    let threads = compute.pool.threadCount
    // Half of the cache is left to what is written.
    let mostElements = compute.sharedCacheBytes / (2 * 4 * tensors)
    var blockWork = work
    blockWork.totals = work.totals.blockwise(elements: min(mostElements / 2, elements / (2 * threads)))
    let grid = blockWork.totals.grid
    let blocks = grid.across.count
    guard layout.isRuns, 4 * elements * tensors > compute.sharedCacheBytes, blocks >= threads,
      grid.across.size * layout.shape.valuesPerChannel <= mostElements
    else {
      work.prepare(work.totals.everything(on: compute.pool))
      return work.pass.run(on: compute.pool, backwards: true)
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
