// Sums and extremes over one axis.
import MartletKernels

public enum ReductionOperation: Int32, Sendable, CaseIterable {
  case sum = 0, mean, maximum, minimum
}

extension Compute {
  public func reductionWorkspaceByteCount(outer: Int, axis: Int, inner: Int) -> Int {
    let cut = ReductionCut(outer: outer, axis: axis, inner: inner)
    return outer * inner * cut.chunks * MemoryLayout<Double>.stride
  }

  /// Reduces the middle axis of `x[outer, axis, inner]` into `y[outer, inner]`. Sums are gathered in Float64 and rounded once; a NaN
  /// makes every result it belongs to NaN. `axis ≥ 1` for the extremes; an empty sum is 0, an empty mean NaN.
  public func reduce(
    _ operation: ReductionOperation, _ x: UnsafePointer<Float>, outer: Int, axis: Int, inner: Int,
    into y: UnsafeMutablePointer<Float>, workspace: UnsafeMutableRawPointer
  ) {
    let function: ReductionKernel
    switch operation {
    case .sum, .mean: function = .sum
    case .maximum: function = .maximum
    case .minimum: function = .minimum
    }
    reduce(
      function, x, ReductionCut(outer: outer, axis: axis, inner: inner), divisor: operation == .mean ? Double(axis) : 1,
      into: y, accumulate: false, workspace: workspace)
  }

  /// `y[c] (+)= Σ_r x[r, c]` (a bias's gradient), gathered in Float64; `workspace` as for reduce(outer: 1, axis: rows, inner: columns).
  public func columnSums(
    _ x: UnsafePointer<Float>, rows: Int, columns: Int, into y: UnsafeMutablePointer<Float>, accumulate: Bool,
    workspace: UnsafeMutableRawPointer
  ) {
    reduce(
      .sum, x, ReductionCut(outer: 1, axis: rows, inner: columns), divisor: 1, into: y, accumulate: accumulate,
      workspace: workspace)
  }

  private func reduce(
    _ function: ReductionKernel, _ x: UnsafePointer<Float>, _ cut: ReductionCut, divisor: Double,
    into y: UnsafeMutablePointer<Float>, accumulate: Bool, workspace: UnsafeMutableRawPointer
  ) {
    let count = cut.outer * cut.inner
    if count == 0 { return }
    let partial = workspace.bindMemory(to: Double.self, capacity: count * cut.chunks)
    run(ReductionWork(kernels: kernels.reduction, function: function, x: x, cut: cut, partial: partial), pieces: cut.pieces)
    let results = PieceCut.elements(count)
    let combine = CombineWork(
      kernels: kernels.reduction, function: function, partial: partial, chunks: cut.chunks, divisor: divisor, y: y,
      accumulate: accumulate, cut: results)
    run(combine, pieces: results.pieces)
  }

  /// Index of the first largest value of each row; a NaN counts as largest. `columns ≥ 1`.
  public func argmaxRows(_ x: UnsafePointer<Float>, rows: Int, columns: Int, into y: UnsafeMutablePointer<Int32>) {
    let cut = PieceCut.rows(rows, columns: columns)
    run(ArgmaxWork(kernels: kernels.reduction, x: x, columns: columns, y: y, cut: cut), pieces: cut.pieces)
  }
}

/// How a reduction is cut; by the shape alone.
struct ReductionCut {
  let outer: Int
  let axis: Int
  let inner: Int
  /// Rows of the axis that one piece gathers; all of them where the results by themselves make enough pieces.
  let chunkSize: Int
  let chunks: Int
  /// Columns that one piece gathers, and how many pieces a row makes.
  let blockSize: Int
  let blocks: Int
  /// Outer indices that one piece covers; 1 where the axis or the columns are cut.
  let groupSize: Int

  init(outer: Int, axis: Int, inner: Int) {
    self.outer = outer
    self.axis = axis
    self.inner = inner
    blockSize = min(max(inner, 1), 4096)
    blocks = (inner + blockSize - 1) / blockSize
    // Sixteen pieces occupy any few threads; fewer, over a long axis, are worth cutting it.
    let longAxis = max(1, 32768 / blockSize)
    chunkSize = outer * blocks < 16 && axis > longAxis ? longAxis : max(axis, 1)
    chunks = max(1, (axis + chunkSize - 1) / chunkSize)
    let valuesPerOuter = max(1, axis * inner)
    groupSize = chunks == 1 && blocks == 1 ? max(1, 32768 / valuesPerOuter) : 1
  }

  var groups: Int { (outer + groupSize - 1) / groupSize }
  var pieces: Int { groups * chunks * blocks }
}

private struct ReductionWork: PieceWork {
  let kernels: ReductionKernels
  let function: ReductionKernel
  let x: UnsafePointer<Float>
  let cut: ReductionCut
  /// [chunks, outer, inner]
  let partial: UnsafeMutablePointer<Double>

  func run(_ piece: Int) {
    let block = piece % cut.blocks
    let chunk = piece / cut.blocks % cut.chunks
    let first = piece / (cut.blocks * cut.chunks) * cut.groupSize
    let row = chunk * cut.chunkSize
    let rows = min(cut.chunkSize, cut.axis - row)
    let column = block * cut.blockSize
    let columns = min(cut.blockSize, cut.inner - column)
    let outers = min(cut.groupSize, cut.outer - first)
    if cut.inner == 1 {
      // A group has the whole axis: its rows lie side by side.
      kernels.rows(function, x + first * cut.axis + row, outers, rows, partial + chunk * cut.outer + first)
      return
    }
    for o in first..<first + outers {
      kernels.columns(
        function, x + (o * cut.axis + row) * cut.inner + column, rows, columns, cut.inner,
        partial + (chunk * cut.outer + o) * cut.inner + column)
    }
  }
}

private struct CombineWork: PieceWork {
  let kernels: ReductionKernels
  let function: ReductionKernel
  let partial: UnsafePointer<Double>
  let chunks: Int
  let divisor: Double
  let y: UnsafeMutablePointer<Float>
  let accumulate: Bool
  let cut: PieceCut

  init(
    kernels: ReductionKernels, function: ReductionKernel, partial: UnsafeMutablePointer<Double>, chunks: Int,
    divisor: Double, y: UnsafeMutablePointer<Float>, accumulate: Bool, cut: PieceCut
  ) {
    self.kernels = kernels
    self.function = function
    self.partial = UnsafePointer(partial)
    self.chunks = chunks
    self.divisor = divisor
    self.y = y
    self.accumulate = accumulate
    self.cut = cut
  }

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    kernels.combine(function, partial + start, cut.count, chunks, count, divisor, y + start, accumulate)
  }
}

private struct ArgmaxWork: PieceWork {
  let kernels: ReductionKernels
  let x: UnsafePointer<Float>
  let columns: Int
  let y: UnsafeMutablePointer<Int32>
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    kernels.argmax(x + start * columns, count, columns, y + start)
  }
}
