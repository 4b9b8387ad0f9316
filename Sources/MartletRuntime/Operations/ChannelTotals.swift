// Sums over channels: shared by the moments and the gradient.
import MartletKernels

/// Two sums a channel over data of one shape, in scratch memory of the caller.
///
/// Each piece leaves partial sums of its columns in Float64; they are combined in the order of the pieces, so the threads
/// do not matter.
struct ChannelTotals {
  private(set) var grid: ChannelGrid
  /// What is subtracted from x, one a column, in Float32 …
  let center: UnsafeMutablePointer<Float>
  /// The map, one of each a column, where a derivative needs it: multiplier, slope, offset.
  let map: (multiplier: UnsafeMutablePointer<Float>, slope: UnsafeMutablePointer<Float>, offset: UnsafeMutablePointer<Float>)
  /// … and for sums that are Float64 throughout.
  let exactCenter: UnsafeMutablePointer<Double>
  /// The results, one a channel.
  let sum: UnsafeMutablePointer<Double>
  let products: UnsafeMutablePointer<Double>
  /// Channels to be done again in Float64.
  let isRedone: UnsafeMutablePointer<Bool>
  /// `[chunk][sum or products][column]`, the leftover columns as one more chunk.
  private let partial: UnsafeMutablePointer<Double>

  var layout: ChannelLayout { grid.layout }
  var channels: Int { grid.layout.shape.channels }

  static func byteCount(_ shape: ChannelShape) -> Int {
    let grid = ChannelGrid(summing: ChannelLayout(shape))
    let columns = grid.layout.columns
    return 64 + 8 * (2 * (grid.chunks + 1) * columns + columns + 2 * shape.channels) + 16 * columns + shape.channels
  }

  init(_ shape: ChannelShape, workspace: UnsafeMutableRawPointer) {
    grid = ChannelGrid(summing: ChannelLayout(shape))
    let columns = grid.layout.columns
    partial = workspace.alignedUp(toMultipleOf: 64).assumingMemoryBound(to: Double.self)
    exactCenter = partial + 2 * (grid.chunks + 1) * columns
    sum = exactCenter + columns
    products = sum + shape.channels
    center = UnsafeMutableRawPointer(products + shape.channels).assumingMemoryBound(to: Float.self)
    map = (center + columns, center + 2 * columns, center + 3 * columns)
    isRedone = UnsafeMutableRawPointer(center + 4 * columns).assumingMemoryBound(to: Bool.self)
  }

  private var coefficients: ChannelCoefficients {
    ChannelCoefficients(center: center, multiplier: map.multiplier, slope: map.slope, offset: map.offset)
  }

  /// The same sums, for work that takes block after block.
  func blockwise(elements: Int) -> ChannelTotals {
    var totals = self
    totals.grid = grid.blockwise(elements: elements)
    return totals
  }

  // MARK: - The sums

  /// Fills `sum` and `products` of the channels in `scope` by `kernels`, about `center` or, where `exact`, about `exactCenter` and only for
  /// channels that are redone (the others' results mean nothing then).
  func run(_ kernels: ChannelSumKernels, _ operands: ChannelOperands, exact: Bool, _ scope: ChannelScope) {
    var job = Job(totals: self, kernels: kernels, operands: operands.readOnly(layout), exact: exact)
    switch scope.extent {
    case .block(let block):
      for chunk in 0..<grid.chunks { job.run(grid.piece(chunk: chunk, block: block)) }
      job.runLeftover()
    case .everything(let pool):
      withUnsafeMutablePointer(to: &job) { job in
        pool.run(pieces: grid.pieces, job) { job, piece in job.assumingMemoryBound(to: Job.self).pointee.run(piece) }
        job.pointee.runLeftover()
      }
    }
    combine(scope)
  }

  private struct Job {
    let totals: ChannelTotals
    let kernels: ChannelSumKernels
    let operands: ChannelOperands
    let exact: Bool

    func run(_ piece: Int) {
      let grid = totals.grid
      let (first, count) = grid.columns(piece)
      if exact && !totals.containsRedone(first: first, count: count) { return }
      let sums = totals.partialSums(grid.chunk(piece), first: first)
      let coefficients = totals.coefficients.advanced(by: first)
      let exactCenter = totals.exactCenter + first
      if grid.layout.isRuns {
        let (offset, block) = grid.runBlock(piece)
        if exact {
          kernels.exactRuns(operands.advanced(by: offset), exactCenter, coefficients, block, sums)
        } else {
          kernels.runs(operands.advanced(by: offset), coefficients, block, sums)
        }
      } else {
        let (offset, block) = grid.columnBlock(piece)
        if exact {
          kernels.exactColumns(operands.advanced(by: offset), exactCenter, coefficients, block, sums)
        } else {
          kernels.columns(operands.advanced(by: offset), coefficients, block, sums)
        }
      }
    }

    func runLeftover() {
      let layout = totals.layout
      let count = layout.leftover
      if count == 0 { return }
      let sums = totals.partialSums(totals.grid.chunks, first: 0)
      let rest = operands.advanced(by: layout.rows * layout.columns)
      // Never fewer than 16 columns have room for their sums and centers: a long row has at least 64.
      PaddedColumns.use(rest, count: count) { operands, columns in
        let block = ColumnBlock(rows: 1, columns: columns, rowStride: 0)
        if exact {
          kernels.exactColumns(operands, totals.exactCenter, totals.coefficients, block, sums)
        } else {
          kernels.columns(operands, totals.coefficients, block, sums)
        }
      }
    }
  }

  private func partialSums(_ chunk: Int, first: Int) -> ChannelSums {
    let start = partial + 2 * chunk * layout.columns + first
    return ChannelSums(sum: start, products: start + layout.columns)
  }

  private func containsRedone(first: Int, count: Int) -> Bool {
    for column in first..<first + count where isRedone[column / layout.columnInner % channels] { return true }
    return false
  }

  /// Adds up the partial sums: chunks in order, then the columns of a channel in order.
  private func combine(_ scope: ChannelScope) {
    let columns = layout.columns
    combine(partial, into: sum, scope)
    combine(partial + columns, into: products, scope)
  }

  private func combine(_ first: UnsafeMutablePointer<Double>, into target: UnsafeMutablePointer<Double>, _ scope: ChannelScope)
  {
    let columns = layout.columns
    let chunks = grid.chunks
    for chunk in stride(from: 1, to: chunks, by: 1) {
      let from = first + 2 * chunk * columns
      for i in scope.columns { first[i] += from[i] }
    }
    if layout.columnsAreChannels && layout.leftover == 0 {
      for channel in scope.channels { target[channel] = first[channel] }
      return
    }
    for channel in scope.channels { target[channel] = 0 }
    if chunks > 0 { layout.fold(first, count: columns, into: target) }
    if layout.leftover > 0 { layout.fold(first + 2 * chunks * columns, count: layout.leftover, into: target) }
  }
}

/// Fewer columns than a vector has lanes, at the end of a tensor: copied to where a whole vector may be read and written.
enum PaddedColumns {
  /// Calls `body` with operands of at least ``ChannelLayout/leastWidth`` columns in one row, then copies the result back if
  /// `writes`.
  static func use(
    _ operands: ChannelOperands, count: Int, writes: Bool = false, _ body: (ChannelOperands, Int) -> Void
  ) {
    let width = ChannelLayout.leastWidth
    if count >= width { return body(operands, count) }
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 64) { scratch in
      scratch.initialize(repeating: 0)
      let start = scratch.baseAddress.unsafelyUnwrapped
      let padded = ChannelOperands(
        input: start, gradOutput: start + width, output: start + 2 * width, result: start + 3 * width,
        accumulate: operands.accumulate)
      for column in 0..<count {
        start[column] = operands.input[column]
        start[width + column] = operands.gradOutput[column]
        start[2 * width + column] = operands.output[column]
        if operands.accumulate { padded.result[column] = operands.result[column] }
      }
      body(padded, width)
      if writes {
        for column in 0..<count { operands.result[column] = padded.result[column] }
      }
    }
  }
}
