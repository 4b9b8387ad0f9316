// Rows that count more or less, or not at all, in the statistics of a batch.
import MartletKernels

/// How often each row of `[rows, channels]` counts, in memory of the caller.
///
///     mean = Σ w·x / Σ w      variance = Σ w·(x − mean)² / Σ w
///
/// The weights are spread over the channels, one beside every value: batch norm's passes then read them as one more tensor, whatever
/// the number of channels.
public struct RowWeights {
  /// Σ of all rows' weights.
  public let total: Double
  /// Rows of a weight above 0.
  public let countedRows: Int
  /// `[rows, channels]`, 0 or above.
  let spread: UnsafePointer<Float>
}

extension Compute {
  /// Memory that ``spreadRowWeights(_:_:into:)`` fills.
  public func rowWeightsByteCount(_ shape: ChannelShape) -> Int { 4 * shape.outer * shape.channels }

  /// - Parameter weights: one a row. What is not above 0, NaN included, counts as 0.
  ///
  /// Cost: one write of the size of the data.
  public func spreadRowWeights(
    _ weights: UnsafePointer<Float>, _ shape: ChannelShape, into spread: UnsafeMutablePointer<Float>
  ) -> RowWeights {
    var (total, countedRows) = (0.0, 0)
    for row in 0..<shape.outer where weights[row] > 0 {
      total += Double(weights[row])
      countedRows += 1
    }
    let cut = PieceCut.rows(shape.outer, columns: shape.channels)
    run(SpreadWork(weights: weights, channels: shape.channels, spread: spread, cut: cut), pieces: cut.pieces)
    return RowWeights(total: total, countedRows: countedRows, spread: spread)
  }
}

private struct SpreadWork: PieceWork {
  let weights: UnsafePointer<Float>
  let channels: Int
  let spread: UnsafeMutablePointer<Float>
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    for row in start..<start + count {
      let weight = weights[row]
      (spread + row * channels).update(repeating: weight > 0 ? weight : 0, count: channels)
    }
  }
}

extension ChannelPivots {
  /// The mean of up to eight values that count, spread over the rows: rows that do not may hold anything.
  static func fill(
    _ pivots: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ weights: RowWeights, _ layout: ChannelLayout,
    _ scope: Range<Int>
  ) {
    let (rows, channels) = (layout.shape.outer, layout.shape.channels)
    for channel in scope { pivots[channel] = 0 }
    var first: UnsafePointer<Float>?
    var count: Float = 0
    for sample in 0..<samples {
      let end = (sample + 1) * rows / samples
      var row = sample * rows / samples
      while row < end, !(weights.spread[row * channels] > 0) { row += 1 }
      if row == end { continue }
      let values = x + row * channels
      let start = first ?? values
      for channel in scope { pivots[channel] += values[channel] - start[channel] }
      first = start
      count += 1
    }
    if let first {
      let factor = 1 / count
      for channel in scope { pivots[channel] = first[channel] + pivots[channel] * factor }
    }
    spread(pivots, layout)
  }
}
