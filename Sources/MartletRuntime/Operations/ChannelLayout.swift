// How batch norm's kernels see data of any shape: as columns, or as runs; and how the work is cut into pieces.
import MartletKernels

/// A length cut into pieces of a fixed size; the last one has between half and one and a half of it.
struct Cut {
  let length: Int
  let size: Int
  let count: Int

  init(_ length: Int, size: Int) {
    self.length = length
    self.size = size
    count = length == 0 ? 0 : max(1, (length + size / 2) / size)
  }

  func start(_ piece: Int) -> Int { piece * size }
  func count(_ piece: Int) -> Int { (piece == count - 1 ? length : (piece + 1) * size) - piece * size }
}

/// The view of a shape that suits vectors.
///
/// - Runs of 16 or more values side by side in a channel (channels-first images): each run on its own.
/// - All else is rows of columns, each column with coefficients of its own: a row is `channels·inner` values. Where this is few and not
///   a whole number of vectors (1, 3, 10 channels), 2, 4, 8 … rows are laid end to end, which costs nothing as they are contiguous:
///   the columns then repeat the channels. Rows that do not fill the last long row are `leftover` columns of it.
///
/// The view depends on the shape alone, never on the instruction set or the threads.
struct ChannelLayout {
  /// Lanes of the widest vector; the least width of a block that a kernel takes.
  static let leastWidth = 16
  /// Rows from this width on stay as they are: one partial vector in five costs less than coefficients that must be spread out.
  static let leastUnmergedColumns = 64
  /// Narrower ones are laid end to end up to this many columns.
  static let mostMergedColumns = 256

  let shape: ChannelShape
  let isRuns: Bool
  /// Columns of a (long) row; in the view of runs, the channels.
  let columns: Int
  /// Whole (long) rows; in the view of runs, 0.
  let rows: Int
  /// Columns of the last, partial row.
  let leftover: Int

  init(_ shape: ChannelShape) {
    self.shape = shape
    isRuns = shape.inner >= Self.leastWidth
    if isRuns {
      columns = shape.channels
      rows = 0
      leftover = 0
      return
    }
    let row = shape.channels * shape.inner
    var merged = 1
    while row > 0 && row < Self.leastUnmergedColumns && row * merged * 2 <= Self.mostMergedColumns
      && (row * merged % Self.leastWidth != 0 || row * merged < Self.leastUnmergedColumns)
    {
      merged *= 2
    }
    columns = row * merged
    rows = shape.outer / merged
    leftover = shape.outer % merged * row
  }

  /// Whether column and channel are the same thing.
  var columnsAreChannels: Bool { columns == shape.channels }

  /// Columns side by side that belong to one channel.
  var columnInner: Int { isRuns ? 1 : shape.inner }

  /// Gives each of `count` columns from `first` on its channel's value.
  func expand<From: BinaryFloatingPoint, To: BinaryFloatingPoint>(
    _ values: UnsafePointer<From>, first: Int = 0, count: Int, into columnValues: UnsafeMutablePointer<To>,
    _ convert: (From) -> To
  ) {
    forEachChannel(first: first, count: count) { channel, columns in
      let value = convert(values[channel])
      for column in columns { columnValues[column] = value }
    }
  }

  /// Adds each column's value to its channel's, columns in order.
  func fold(_ columnValues: UnsafePointer<Double>, count: Int, into sums: UnsafeMutablePointer<Double>) {
    let channels = shape.channels
    if columnInner == 1 {
      // One row of channels after the other: plain loops that vectors can do.
      for row in stride(from: 0, to: count, by: channels) {
        for channel in 0..<min(channels, count &- row) { sums[channel] += columnValues[row &+ channel] }
      }
      return
    }
    forEachChannel(first: 0, count: count) { channel, columns in
      var sum = sums[channel]
      for column in columns { sum += columnValues[column] }
      sums[channel] = sum
    }
  }

  /// Calls `body` with each group of neighbouring columns that belong to one channel, counted from `first`, in order.
  @inline(__always)
  func forEachChannel(first: Int, count: Int, _ body: (_ channel: Int, _ columns: Range<Int>) -> Void) {
    let inner = columnInner
    let channels = shape.channels
    var channel = first == 0 ? 0 : first / inner % channels
    var column = 0
    var end = first == 0 ? inner : inner - first % inner
    while column < count {
      body(channel, Range(uncheckedBounds: (column, min(end, count))))
      column = end
      end &+= inner
      channel = channel &+ 1 == channels ? 0 : channel &+ 1
    }
  }
}

/// The pieces of an operation: rectangles of about `elements` values, in a grid of blocks of columns (or channels) and chunks of
/// what is summed over.
struct ChannelGrid {
  let layout: ChannelLayout
  /// Columns, or channels of the view of runs.
  private(set) var across: Cut
  /// Rows, or samples of the view of runs.
  let along: Cut
  /// The values of a run; a single piece in the view of columns.
  let within: Cut

  /// - Parameter samples: of a run at least, where there are so many.
  init(_ layout: ChannelLayout, elements: Int, columnBlock: Int, samples: Int = 1) {
    self.layout = layout
    if layout.isRuns {
      within = Cut(layout.shape.inner, size: max(elements, layout.shape.inner < 2 * elements ? layout.shape.inner : 0))
      let run = min(layout.shape.inner, within.size)
      // Neighbouring channels first: they are neighbours in memory.
      across = Cut(layout.shape.channels, size: max(1, elements / (run * max(1, min(layout.shape.outer, samples)))))
      let width = max(1, min(layout.shape.channels, across.size))
      along = Cut(layout.shape.outer, size: max(1, elements / (run * width)))
    } else {
      within = Cut(1, size: 1)
      across = Cut(layout.columns, size: columnBlock)
      let width = max(1, min(layout.columns, columnBlock))
      along = Cut(layout.rows, size: max(32, elements / width / 32 * 32))
    }
  }

  /// How sums over a channel are cut: about 256 KB of each operand a piece, less than a core's second-level cache, and many pieces
  /// for the threads.
  init(summing layout: ChannelLayout) {
    // What is done once a channel and piece shall be small beside short runs.
    self.init(layout, elements: 65536, columnBlock: 256, samples: 1024 / max(1, layout.shape.inner))
    // Longer stretches of memory side by side; the chunks stay what they are.
    if !layout.isRuns { across = Cut(layout.columns, size: 512) }
  }

  /// The same chunks (so the same sums, to the bit) of blocks of channels that hold about `elements` values of an operand in all their
  /// chunks together. In the view of runs.
  func blockwise(elements: Int) -> ChannelGrid {
    var grid = self
    grid.across = Cut(layout.columns, size: max(1, elements / max(1, layout.shape.valuesPerChannel)))
    return grid
  }

  /// Pieces along a column (or channel): each leaves a partial sum.
  var chunks: Int { along.count * within.count }
  var pieces: Int { chunks * across.count }

  func piece(chunk: Int, block: Int) -> Int { chunk * across.count + block }
  func chunk(_ piece: Int) -> Int { piece / across.count }
  /// The first of the piece's columns (or channels), and how many.
  func columns(_ piece: Int) -> (first: Int, count: Int) {
    let block = piece % across.count
    return (across.start(block), across.count(block))
  }

  /// Where the piece begins in the tensor, and its rectangle, in the view of columns.
  func columnBlock(_ piece: Int) -> (offset: Int, block: ColumnBlock) {
    let (first, count) = columns(piece)
    let chunk = chunk(piece)
    return (
      along.start(chunk) * layout.columns + first,
      ColumnBlock(rows: along.count(chunk), columns: count, rowStride: layout.columns)
    )
  }

  /// All runs of a block, in the view of runs.
  func wholeRuns(block: Int) -> (offset: Int, block: RunBlock)? {
    if !layout.isRuns { return nil }
    let shape = layout.shape
    return (
      across.start(block) * shape.inner,
      RunBlock(
        samples: shape.outer, sampleStride: shape.channels * shape.inner, channels: across.count(block),
        channelStride: shape.inner, length: shape.inner)
    )
  }

  /// The same in the view of runs.
  func runBlock(_ piece: Int) -> (offset: Int, block: RunBlock) {
    let shape = layout.shape
    let (first, count) = columns(piece)
    let part = chunk(piece) % within.count
    let sample = chunk(piece) / within.count
    return (
      (along.start(sample) * shape.channels + first) * shape.inner + within.start(part),
      RunBlock(
        samples: along.count(sample), sampleStride: shape.channels * shape.inner, channels: count, channelStride: shape.inner,
        length: within.count(part))
    )
  }
}
