// The linear map of each channel: its coefficients, and the pass that applies it.
import CMartletShims
import MartletKernels

extension Compute {
  /// Fills `map` with center = mean, factor = scale / √(variance + epsilon), offset from shift (nil: 1 and 0), in Float64 inside.
  /// `inverseStandardDeviation` (Float64, may be nil) receives 1/√(variance + epsilon).
  ///
  /// Edge cases: a NaN statistic makes its own channel's map NaN; variance + epsilon = 0 makes it infinite.
  public func fillChannelMap(
    _ map: ChannelMap, channels: Int, mean: UnsafePointer<Double>, variance: UnsafePointer<Double>, epsilon: Double,
    scale: UnsafePointer<Float>?, shift: UnsafePointer<Float>?, inverseStandardDeviation: UnsafeMutablePointer<Double>?
  ) {
    map.fill(
      0..<channels, mean: mean, variance: variance, epsilon: epsilon, scale: scale, shift: shift,
      inverseStandardDeviation: inverseStandardDeviation)
  }

  /// `y = activation(map(x) + residual)`; `y` may be `x`, but not `residual` (nil: no sum).
  ///
  /// Edge cases: a NaN yields NaN (relu keeps it, too); an infinite x yields NaN, as ∞·multiplier +
  /// ∞·multiplierLow has no value. |x − center| beyond Float32's range counts as infinite. Cost: one read, one write.
  public func applyChannelMap(
    _ map: ChannelMap, _ x: UnsafePointer<Float>, _ shape: ChannelShape, residual: UnsafePointer<Float>? = nil,
    activation: Activation, into y: UnsafeMutablePointer<Float>
  ) {
    mapPass(map, x, shape, residual: residual, activation: activation, into: y).run(on: pool)
  }

  func mapPass(
    _ map: ChannelMap, _ x: UnsafePointer<Float>, _ shape: ChannelShape, residual: UnsafePointer<Float>?,
    activation: Activation, into y: UnsafeMutablePointer<Float>
  ) -> ChannelPassJob {
    let activated = kernels.batchNorm[activation]
    return ChannelPassJob(
      kernels: residual == nil ? activated.map : activated.residualMap,
      operands: ChannelOperands(input: x, gradOutput: residual ?? x, output: x, result: y).streaming(shape, on: self),
      coefficients: ChannelCoefficients(
        center: map.center, multiplier: map.multiplier, slope: map.multiplierLow, offset: map.offset),
      shape)
  }
}

extension ChannelMap {
  /// See ``Compute/fillChannelMap(_:channels:mean:variance:epsilon:scale:shift:inverseStandardDeviation:)``.
  func fill(
    _ channels: Range<Int>, mean: UnsafePointer<Double>, variance: UnsafePointer<Double>, epsilon: Double,
    scale: UnsafePointer<Float>?, shift: UnsafePointer<Float>?, inverseStandardDeviation: UnsafeMutablePointer<Double>?
  ) {
    for channel in channels {
      let inverse = 1 / (variance[channel] + epsilon).squareRoot()
      let factor = (scale.map { Double($0[channel]) } ?? 1) * inverse
      let low = Float(mean[channel])
      let rounded = Float(factor)
      center[channel] = low
      multiplier[channel] = rounded
      multiplierLow[channel] = Float(factor - Double(rounded))
      offset[channel] = Float((shift.map { Double($0[channel]) } ?? 0) - (mean[channel] - Double(low)) * factor)
      inverseStandardDeviation?[channel] = inverse
    }
  }
}

extension BatchNormKernels {
  subscript(_ activation: Activation) -> ActivatedChannelKernels {
    switch activation {
    case .identity: identity
    case .sigmoid: sigmoid
    case .tanh: tanh
    case .relu: relu
    }
  }
}

extension ChannelOperands {
  /// Writes past the caches where that pays and can be done: half of the shared cache or more, memory of its own, rows of whole cache
  /// lines. What is written first would have left the cache before anyone reads it.
  func streaming(_ shape: ChannelShape, on compute: Compute) -> ChannelOperands {
    let layout = ChannelLayout(shape)
    // A row (or run) that begins inside a cache line shares it with the one before: writing one half past the caches and the other into
    // them costs five to ten times what either way does alone.
    let beginsLine = UInt(bitPattern: result) % 64 == 0
    let isWhole = beginsLine && (layout.isRuns ? shape.inner % 16 == 0 : layout.columns % 16 == 0 && layout.leftover == 0)
    let target = UnsafePointer(result)
    var changed = self
    changed.asksForReads =
      Self.machineAsksForReads || 4 * shape.channels * shape.valuesPerChannel >= Self.leastBytesOfAsking
    changed.streams =
      4 * shape.channels * shape.valuesPerChannel >= compute.sharedCacheBytes / 2 && isWhole && !accumulate && target != input
      && target != gradOutput && target != output
    return changed
  }
}

extension ChannelOperands {
  /// False where the processor's own prefetching follows a read better than a loop that asks: AMD. Measured on Zen 4 (AVX-512) in one
  /// process, both ways in turn (docs/decisions/0032), time without asking beside time with it: sums over runs and rows of 64 columns 0.66 to 0.95, over
  /// wide rows 0.94 at 1 MB and 1.06 from 6 MB on; passes that write as well 0.78 to 0.92 at 1 MB, up to 1.27 from 6 MB on and
  /// up to 1.45 where rows begin inside a cache line.
  fileprivate static var machineAsksForReads: Bool { martlet_shims_asks_for_reads() != 0 }

  fileprivate static let leastBytesOfAsking = 4 << 20

  /// For sums, which write nothing.
  func readOnly(_ layout: ChannelLayout) -> ChannelOperands {
    let bytes = 4 * layout.shape.channels * layout.shape.valuesPerChannel
    let jumps = !layout.isRuns && layout.columns > 128
    var changed = self
    changed.asksForReads = Self.machineAsksForReads || (jumps && bytes >= Self.leastBytesOfAsking)
    return changed
  }
}

/// A pass that writes one value for each it reads, cut into pieces.
struct ChannelPassJob {
  /// About 128 KB of each operand a piece.
  static let elementsPerPiece = 32768
  /// Whole rows where they fit the first-level cache together with their coefficients; else blocks of this many columns.
  static let columnBlock = 1024
  /// Columns whose coefficients a piece has to spread out on its stack: at most 1½ times this many, 1 KB of each.
  static let expandedColumnBlock = 128

  let kernels: ChannelPassKernels
  let operands: ChannelOperands
  /// One a channel.
  let coefficients: ChannelCoefficients
  let grid: ChannelGrid

  /// In a grid that was made for other work: its blocks have at most 256 columns whose coefficients must be spread out.
  init(_ other: ChannelPassJob, in grid: ChannelGrid) {
    kernels = other.kernels
    operands = other.operands
    coefficients = other.coefficients
    self.grid = grid
  }

  init(kernels: ChannelPassKernels, operands: ChannelOperands, coefficients: ChannelCoefficients, _ shape: ChannelShape) {
    self.kernels = kernels
    self.operands = operands
    self.coefficients = coefficients
    let layout = ChannelLayout(shape)
    // Rows laid end to end are whole pieces: they fit the stack as they are.
    let isSmall = layout.columns <= ChannelLayout.mostMergedColumns
    let expandedBlock = isSmall ? ChannelLayout.mostMergedColumns : Self.expandedColumnBlock
    grid = ChannelGrid(
      layout, elements: Self.elementsPerPiece,
      columnBlock: layout.columnsAreChannels ? Self.columnBlock : expandedBlock)
  }

  /// - Parameter backwards: after another pass over the same tensors: last things first, which may still be in the cache.
  func run(on pool: ThreadPool, backwards: Bool = false) {
    if grid.layout.shape.channels * grid.layout.shape.valuesPerChannel == 0 { return }
    var job = self
    withUnsafeMutablePointer(to: &job) { job in
      pool.run(pieces: grid.pieces, backwards: backwards, job) { job, piece in
        job.assumingMemoryBound(to: ChannelPassJob.self).pointee.run(piece)
      }
    }
    runLeftover()
  }

  /// All rows (or runs) of one block of `grid`.
  func runBackwards(block: Int) {
    if let (offset, whole) = grid.wholeRuns(block: block) {
      // One call for all samples: a run may be short.
      return kernels.runs(operands.advanced(by: offset), coefficients.advanced(by: grid.across.start(block)), whole)
    }
    for chunk in (0..<grid.chunks).reversed() { run(grid.piece(chunk: chunk, block: block)) }
    runLeftover()
  }

  private func run(_ piece: Int) {
    let (first, count) = grid.columns(piece)
    if grid.layout.isRuns {
      let (offset, block) = grid.runBlock(piece)
      kernels.runs(operands.advanced(by: offset), coefficients.advanced(by: first), block)
      return
    }
    let (offset, block) = grid.columnBlock(piece)
    if grid.layout.columnsAreChannels {
      kernels.columns(operands.advanced(by: offset), coefficients.advanced(by: first), block)
    } else {
      withExpandedCoefficients(first: first, count: count) { kernels.columns(operands.advanced(by: offset), $0, block) }
    }
  }

  /// The rows that do not fill a long one: fewer columns than ``ChannelLayout/mostMergedColumns``.
  private func runLeftover() {
    let layout = grid.layout
    let count = layout.leftover
    if count == 0 { return }
    let rest = operands.advanced(by: layout.rows * layout.columns)
    withExpandedCoefficients(first: 0, count: max(count, ChannelLayout.leastWidth)) { coefficients in
      PaddedColumns.use(rest, count: count, writes: true) { operands, columns in
        kernels.columns(operands, coefficients, ColumnBlock(rows: 1, columns: columns, rowStride: 0))
      }
    }
  }

  /// The coefficients of `count` columns from `first` on, side by side on the stack.
  private func withExpandedCoefficients(first: Int, count: Int, _ body: (ChannelCoefficients) -> Void) {
    // Of constant size: a stack allocation beyond 1 KB, or of a size that varies, may go to the heap.
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 256) { center in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: 256) { multiplier in
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 256) { slope in
          withUnsafeTemporaryAllocation(of: Float.self, capacity: 256) { offset in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: 256) { mapSlope in
              withUnsafeTemporaryAllocation(of: Float.self, capacity: 256) { mapOffset in
                func expanded(
                  _ values: UnsafePointer<Float>, _ target: UnsafeMutableBufferPointer<Float>
                ) -> UnsafePointer<Float> {
                  let start = target.baseAddress.unsafelyUnwrapped
                  grid.layout.expand(values, first: first, count: count, into: start) { $0 }
                  return UnsafePointer(start)
                }
                let needsMap = coefficients.mapSlope != coefficients.slope
                body(
                  ChannelCoefficients(
                    center: expanded(coefficients.center, center), multiplier: expanded(coefficients.multiplier, multiplier),
                    slope: expanded(coefficients.slope, slope), offset: expanded(coefficients.offset, offset),
                    mapSlope: needsMap ? expanded(coefficients.mapSlope, mapSlope) : nil,
                    mapOffset: needsMap ? expanded(coefficients.mapOffset, mapOffset) : nil))
              }
            }
          }
        }
      }
    }
  }
}
