// Moments of an operation's output, gathered block by block while a block is in the core's cache.
import MartletKernels

/// Means and sums of squared deviations of each channel, one of each for every piece of rows ("chunk"), in memory of the caller.
///
/// A chunk's are gathered by the piece that writes it; they are combined in the order of the chunks, so the threads do not matter.
///
///     n = n₁ + n₂,   mean = mean₁ + (mean₂ − mean₁)·n₂/n,   S = S₁ + S₂ + (mean₂ − mean₁)²·n₁·n₂/n
///
/// Source: Chan, Golub & LeVeque 1979, Updating formulae and a pairwise algorithm for computing sample variances, equation 2.1.
struct OutputMoments {
  static var maximumChunks: Int { 32 }

  let channels: Int
  /// How many chunks there are (0: nothing was gathered), then the values per channel of each.
  private let header: UnsafeMutablePointer<Int>
  /// `[chunk][mean or squares][channel]`
  private let moments: UnsafeMutablePointer<Double>

  static func byteCount(chunks: Int, pieces: Int, channels: Int) -> Int {
    64 + headerByteCount + chunks * 2 * channels * MemoryLayout<Double>.stride + pieces * BlockScratch.byteCount
  }
  private static var headerByteCount: Int { 8 * (maximumChunks + 8) }

  init(_ memory: UnsafeMutableRawPointer, channels: Int) {
    self.channels = channels
    let start = memory.alignedUp(toMultipleOf: 64)
    header = start.bindMemory(to: Int.self, capacity: Self.maximumChunks + 8)
    moments = (start + Self.headerByteCount).assumingMemoryBound(to: Double.self)
  }

  var chunks: Int { header[0] }
  func count(_ chunk: Int) -> Int { header[1 + chunk] }
  func mean(_ chunk: Int) -> UnsafeMutablePointer<Double> { moments + 2 * chunk * channels }
  func squares(_ chunk: Int) -> UnsafeMutablePointer<Double> { moments + (2 * chunk + 1) * channels }

  /// Nothing was gathered.
  func clear() { header[0] = 0 }

  /// - Parameter count: values per channel of a chunk.
  func begin(chunks: Int, count: (Int) -> Int) {
    header[0] = chunks
    for chunk in 0..<chunks { header[1 + chunk] = count(chunk) }
  }

  /// Of a piece, behind the chunks.
  func scratch(_ piece: Int) -> BlockScratch {
    BlockScratch(UnsafeMutableRawPointer(moments + 2 * chunks * channels) + piece * BlockScratch.byteCount)
  }

  /// Whether these are the moments of so many values per channel.
  func cover(_ valuesPerChannel: Int) -> Bool {
    if chunks == 0 { return false }
    var sum = 0
    for chunk in 0..<chunks { sum += count(chunk) }
    return sum == valuesPerChannel
  }

  /// Mean and biased variance of the channels in `scope`.
  func combine(_ scope: Range<Int>, mean: UnsafeMutablePointer<Double>, variance: UnsafeMutablePointer<Double>) {
    let (firstMean, firstSquares) = (self.mean(0), squares(0))
    for c in scope {
      mean[c] = firstMean[c]
      variance[c] = firstSquares[c]
    }
    var total = Double(count(0))
    for chunk in stride(from: 1, to: chunks, by: 1) {
      let merging = MomentMerging(before: total, added: Double(count(chunk)))
      let (nextMean, nextSquares) = (self.mean(chunk), squares(chunk))
      for c in scope { merging.merge(nextMean[c], nextSquares[c], into: &mean[c], &variance[c]) }
      total += Double(count(chunk))
    }
    for c in scope { variance[c] /= total }
  }
}

/// How the moments of some values join those of others before them.
struct MomentMerging {
  private let weight: Double
  private let squareWeight: Double

  init(before: Double, added: Double) {
    weight = added / (before + added)
    squareWeight = before * weight
  }

  @inline(__always)
  func merge(_ mean: Double, _ squares: Double, into totalMean: inout Double, _ totalSquares: inout Double) {
    let difference = mean - totalMean
    totalMean += difference * weight
    totalSquares += squares + difference * difference * squareWeight
  }
}

/// Scratch memory for the moments of one block at a time.
struct BlockScratch {
  /// Columns whose sums there is room for, and those done at a time where a row has more.
  static var columns: Int { ChannelLayout.mostMergedColumns }
  static var columnsPerPass: Int { 128 }

  let pivot: UnsafeMutablePointer<Float>
  let center: UnsafeMutablePointer<Float>
  let exactCenter: UnsafeMutablePointer<Double>
  let columnSums: ChannelSums
  let sums: ChannelSums
  let mean: UnsafeMutablePointer<Double>
  let variance: UnsafeMutablePointer<Double>
  let isRedone: UnsafeMutablePointer<Bool>

  static var byteCount: Int { columns * (2 * 4 + 7 * 8 + 1) }

  init(_ memory: UnsafeMutableRawPointer) {
    let doubles = memory.assumingMemoryBound(to: Double.self)
    let size = Self.columns
    exactCenter = doubles
    columnSums = ChannelSums(sum: doubles + size, products: doubles + 2 * size)
    sums = ChannelSums(sum: doubles + 3 * size, products: doubles + 4 * size)
    mean = doubles + 5 * size
    variance = doubles + 6 * size
    pivot = (memory + 7 * 8 * size).assumingMemoryBound(to: Float.self)
    center = pivot + size
    isRedone = UnsafeMutableRawPointer(center + size).assumingMemoryBound(to: Bool.self)
  }
}

/// What the pieces of an operation need to gather the moments of what they write.
struct OutputMomentsGathering {
  let kernels: ChannelSumKernels
  let moments: OutputMoments

  /// Columns that a piece may gather: whole rows, or as many as a vector has lanes.
  static func allows(_ columns: Range<Int>, channels: Int, lanes: Int) -> Bool {
    columns.count == channels || columns.count >= lanes
  }

  /// Adds the moments of a block, which was just written, to its chunk's.
  ///
  /// - Parameters:
  ///   - y: the block's first value.
  ///   - columns: the channels it covers, within a row of `OutputMoments.channels`.
  ///   - before: rows of the chunk that have been gathered.
  ///   - piece: whose scratch memory is used.
  func gather(
    _ y: UnsafePointer<Float>, rows: Int, columns: Range<Int>, chunk: Int, before: Int, piece: Int
  ) {
    if rows <= 0 { return }
    let scratch = moments.scratch(piece)
    let shape = ChannelShape(outer: rows, channels: columns.count)
    let layout = ChannelLayout(shape)
    if columns.count == moments.channels, !layout.columnsAreChannels {
      let block = MomentBlock(
        kernels: kernels, scratch: scratch, y: y, values: rows, channels: columns.count,
        block: ColumnBlock(rows: layout.rows, columns: layout.columns, rowStride: layout.columns), layout: layout)
      return merge(block, first: columns.lowerBound, chunk: chunk, before: before)
    }
    let cut = Cut(columns.count, size: BlockScratch.columnsPerPass)
    for pass in 0..<cut.count {
      let (first, count) = (cut.start(pass), cut.count(pass))
      let block = MomentBlock(
        kernels: kernels, scratch: scratch, y: y + first, values: rows, channels: count,
        block: ColumnBlock(rows: rows, columns: count, rowStride: moments.channels), layout: nil, rowStride: moments.channels)
      merge(block, first: columns.lowerBound + first, chunk: chunk, before: before)
    }
  }

  private func merge(_ block: MomentBlock, first: Int, chunk: Int, before: Int) {
    block.fill()
    let (mean, squares) = (moments.mean(chunk) + first, moments.squares(chunk) + first)
    let count = Double(block.values)
    let (blockMean, blockVariance) = (block.scratch.mean, block.scratch.variance)
    if before == 0 {
      for c in 0..<block.channels {
        mean[c] = blockMean[c]
        squares[c] = blockVariance[c] * count
      }
      return
    }
    let merging = MomentMerging(before: Double(before), added: count)
    for c in 0..<block.channels { merging.merge(blockMean[c], blockVariance[c] * count, into: &mean[c], &squares[c]) }
  }
}

/// Mean and variance of one block, as ``Compute/channelMoments(_:_:mean:variance:exactly:workspace:)`` finds them: about a pivot, and
/// where that was far off, again in Float64.
private struct MomentBlock {
  let kernels: ChannelSumKernels
  let scratch: BlockScratch
  let y: UnsafePointer<Float>
  /// Of each channel.
  let values: Int
  let channels: Int
  let block: ColumnBlock
  /// Where rows are laid end to end.
  let layout: ChannelLayout?
  var rowStride: Int?

  func fill() {
    ChannelPivots.fill(scratch.pivot, y, rows: values, rowStride: rowStride ?? channels, channels: channels)
    spread(scratch.pivot, into: scratch.center)
    sum(exact: false)
    let (mean, variance, sums) = (scratch.mean, scratch.variance, layout == nil ? scratch.columnSums : scratch.sums)
    let count = Double(values)
    var anyRedone = false
    for c in 0..<channels {
      let found = ChannelMomentsWork.moments(
        sum: sums.sum[c], products: sums.products[c], count: count, pivot: scratch.pivot[c])
      (mean[c], variance[c], scratch.isRedone[c]) = found
      anyRedone = anyRedone || found.isRedone
    }
    if !anyRedone { return }

    for column in 0..<block.columns { scratch.exactCenter[column] = 0 }
    sum(exact: true)
    for c in 0..<channels where scratch.isRedone[c] { mean[c] = sums.sum[c] / count }
    spread(mean, into: scratch.exactCenter)
    sum(exact: true)
    for c in 0..<channels where scratch.isRedone[c] {
      ChannelMomentsWork.refine(&mean[c], &variance[c], sum: sums.sum[c], products: sums.products[c], count: count)
    }
  }

  private func spread<Value: BinaryFloatingPoint>(
    _ values: UnsafePointer<Value>, into columns: UnsafeMutablePointer<Value>
  ) {
    if let layout {
      layout.expand(values, count: block.columns, into: columns) { $0 }
    } else {
      columns.update(from: values, count: channels)
    }
  }

  /// Both sums of each channel.
  private func sum(exact: Bool) {
    var operands = ChannelOperands(input: y, gradOutput: y, output: y, result: UnsafeMutablePointer(mutating: y))
    operands.asksForReads = false  // It has just been written.
    sumColumns(operands, block, exact: exact)
    guard let layout else { return }
    for c in 0..<channels {
      scratch.sums.sum[c] = 0
      scratch.sums.products[c] = 0
    }
    fold(layout, count: block.columns)
    if layout.leftover == 0 { return }
    PaddedColumns.use(operands.advanced(by: block.rows * block.columns), count: layout.leftover) { operands, columns in
      sumColumns(operands, ColumnBlock(rows: 1, columns: columns, rowStride: 0), exact: exact)
    }
    fold(layout, count: layout.leftover)
  }

  private func sumColumns(_ operands: ChannelOperands, _ block: ColumnBlock, exact: Bool) {
    let center = UnsafePointer(scratch.center)
    let coefficients = ChannelCoefficients(center: center, multiplier: center, slope: center, offset: center)
    if exact {
      kernels.exactColumns(operands, scratch.exactCenter, coefficients, block, scratch.columnSums)
    } else {
      kernels.columns(operands, coefficients, block, scratch.columnSums)
    }
  }

  private func fold(_ layout: ChannelLayout, count: Int) {
    layout.fold(scratch.columnSums.sum, count: count, into: scratch.sums.sum)
    layout.fold(scratch.columnSums.products, count: count, into: scratch.sums.products)
  }
}
