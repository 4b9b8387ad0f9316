// Layer norm, RMS norm, and group norm of rows without positions: every row (or group of a row) is normalised by itself.
import MartletKernels

/// Rows seen as `[samples, groups, length]`, contiguous: each length is normalised by itself, scale and shift are `[groups, length]`.
public struct RowShape: Equatable, Sendable {
  public var samples: Int
  public var groups: Int
  public var length: Int
  public init(samples: Int, groups: Int = 1, length: Int) {
    self.samples = samples
    self.groups = groups
    self.length = length
  }
  public var rows: Int { samples * groups }
  /// Values of a sample.
  public var width: Int { groups * length }
}

/// What a row normalisation keeps for its gradient, in a block that someone else owns: two numbers a row, in Float64.
public struct RowContext: @unchecked Sendable {
  public let mean: UnsafeMutablePointer<Double>
  public let inverseDeviation: UnsafeMutablePointer<Double>

  public static func byteCount(rows: Int) -> Int { 16 * rows }

  /// - Parameter rows: as many as the block has room for.
  public init(_ base: UnsafeMutableRawPointer, rows: Int) {
    mean = base.assumingMemoryBound(to: Double.self)
    inverseDeviation = mean + rows
  }
}

extension Compute {
  /// `y = scale·(x − mean)/√(variance + epsilon) + shift`, mean and biased variance of each row; with `centers` false
  /// `y = scale·x/√(mean of squares + epsilon) + shift`. `y` may be `x`;
  /// nil: only the context is wanted.
  ///
  /// Edge cases: a row of equal values yields exactly `shift`; a NaN or infinity spoils its own row. Cost: one read, one write; the
  /// second read comes from the nearest cache that holds a row.
  public func normalizeRows(
    _ x: UnsafePointer<Float>, _ shape: RowShape, centers: Bool, epsilon: Double, _ affine: ScaleShift, _ context: RowContext,
    into y: UnsafeMutablePointer<Float>?
  ) {
    guard shape.samples > 0, shape.width > 0 else { return }
    var operands = RowNormalizationOperands(
      input: x, output: y, rows: shape.rows, length: shape.length, groups: shape.groups, scale: affine.scale,
      shift: affine.shift, epsilon: epsilon, centers: centers, mean: context.mean, inverseDeviation: context.inverseDeviation)
    // As batch norm's passes: half of the shared cache or more, in whole cache lines.
    operands.streams =
      4 * shape.samples * shape.width >= sharedCacheBytes / 2 && UInt(bitPattern: y) % 64 == 0 && shape.length % 16 == 0
      && y.map { UnsafePointer($0) } != x
    let cut = PieceCut.rows(shape.samples, columns: shape.width)
    run(RowWork(kernels: kernels.normalization, operands: operands, cut: cut), pieces: cut.pieces)
  }

  /// Scratch memory of ``rowGradients(gradOutput:input:_:centers:scale:_:into:accumulate:_:workspace:)`` for this shape or fewer
  /// samples.
  public func rowGradientWorkspaceByteCount(_ shape: RowShape) -> Int {
    let pieces = max(min(shape.samples, RowGradientCut.leastPieces), RowGradientCut(shape).cut.pieces)
    return 64 + pieces * 2 * shape.width * MemoryLayout<Double>.stride
  }

  /// Gradients after ``normalizeRows(_:_:centers:epsilon:_:_:into:)`` filled `context`.
  ///
  /// With x̂ the normalised value, u = gradOutput·scale and means over a row:
  ///
  ///     gradInput (+)= (u − mean(u) − x̂·mean(u·x̂))/√(variance + epsilon)      without centring no mean(u)
  ///     gradScale (+)= Σ gradOutput·x̂,   gradShift (+)= Σ gradOutput             over the samples
  ///
  /// - Parameter gradInput: nil: not wanted; may be `gradOutput`.
  ///
  /// Cost: reads `gradOutput` and `x` once from memory where four rows fit the cache; one write.
  public func rowGradients(
    gradOutput: UnsafePointer<Float>, input x: UnsafePointer<Float>, _ shape: RowShape, centers: Bool,
    scale: UnsafePointer<Float>?, _ context: RowContext, into gradInput: UnsafeMutablePointer<Float>?, accumulate: Bool,
    _ affine: ScaleShiftGradients, workspace: UnsafeMutableRawPointer
  ) {
    guard shape.samples > 0, shape.width > 0 else { return }
    let wantsSums = affine.scale != nil || affine.shift != nil
    let cut = RowGradientCut(shape).cut
    let partial = workspace.alignedUp(toMultipleOf: 64).assumingMemoryBound(to: Double.self)
    let work = RowGradientWork(
      kernels: kernels.normalization, shape: shape, gradOutput: gradOutput, input: x, gradInput: gradInput,
      accumulates: accumulate, centers: centers, scale: scale, context: context, partial: wantsSums ? partial : nil, cut: cut)
    run(work, pieces: cut.pieces)
    if !wantsSums { return }
    let columns = PieceCut.elements(shape.width)
    run(
      RowSumWork(partial: partial, pieces: cut.pieces, width: shape.width, affine: affine, cut: columns), pieces: columns.pieces
    )
  }
}

/// Samples that one piece of the gradient sums over: whole fours where there are many, and enough values; but some pieces, whatever
/// a sample's width.
private struct RowGradientCut {
  static let leastPieces = 8
  let cut: PieceCut

  init(_ shape: RowShape) {
    let few = min(32, (shape.samples + Self.leastPieces - 1) / Self.leastPieces)
    cut = PieceCut(count: shape.samples, size: max(32768 / max(shape.width, 1) / 4 * 4, few, 1))
  }
}

private struct RowWork: PieceWork {
  let kernels: NormalizationKernels
  let operands: RowNormalizationOperands
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    kernels.rows(operands.rows(from: start * operands.groups, count: count * operands.groups))
  }
}

private struct RowGradientWork: PieceWork {
  let kernels: NormalizationKernels
  let shape: RowShape
  let gradOutput: UnsafePointer<Float>
  let input: UnsafePointer<Float>
  let gradInput: UnsafeMutablePointer<Float>?
  let accumulates: Bool
  let centers: Bool
  let scale: UnsafePointer<Float>?
  let context: RowContext
  let partial: UnsafeMutablePointer<Double>?
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    let sums = partial.map { $0 + piece * 2 * shape.width }
    sums?.initialize(repeating: 0, count: 2 * shape.width)
    for group in 0..<shape.groups {
      let first = start * shape.width + group * shape.length
      let row = start * shape.groups + group
      kernels.rowGradients(
        RowGradientOperands(
          gradOutput: gradOutput + first, input: input + first, gradInput: gradInput.map { $0 + first },
          accumulates: accumulates, rows: count, length: shape.length, rowStride: shape.width,
          scale: scale.map { $0 + group * shape.length }, mean: context.mean + row,
          inverseDeviation: context.inverseDeviation + row, statisticsStride: shape.groups, centers: centers,
          gradScale: sums.map { $0 + group * shape.length },
          gradShift: sums.map { $0 + shape.width + group * shape.length }))
    }
  }
}

/// Adds up what the pieces found, in their order.
private struct RowSumWork: PieceWork {
  let partial: UnsafeMutablePointer<Double>
  let pieces: Int
  let width: Int
  let affine: ScaleShiftGradients
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    for other in stride(from: 1, to: pieces, by: 1) {
      let from = partial + other * 2 * width
      for column in start..<start + count {
        partial[column] += from[column]
        partial[width &+ column] += from[width &+ column]
      }
    }
    store(partial, start, count, into: affine.scale)
    store(partial + width, start, count, into: affine.shift)
  }

  private func store(_ sums: UnsafePointer<Double>, _ start: Int, _ count: Int, into target: UnsafeMutablePointer<Float>?) {
    guard let target else { return }
    for column in start..<start + count {
      target[column] = Float(affine.accumulates ? Double(target[column]) + sums[column] : sums[column])
    }
  }
}
