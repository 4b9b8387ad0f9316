// What group norm and filter response norm share: each sample is a batch of its own for batch norm's kernels.
import MartletKernels

/// Samples seen as `[samples, positions, channels]`, contiguous, channels last.
public struct SampleShape: Equatable, Sendable {
  public var samples: Int
  public var positions: Int
  public var channels: Int
  public init(samples: Int, positions: Int, channels: Int) {
    self.samples = samples
    self.positions = positions
    self.channels = channels
  }
  /// Values of a sample.
  public var length: Int { positions * channels }
  /// One sample as a batch.
  var batch: ChannelShape { ChannelShape(outer: positions, channels: channels) }
}

/// How samples are shared by the threads: large ones go one after the other, each in pieces; small ones are pieces themselves, at
/// most 64, and each of these runs on one thread. The cut depends on the shape alone.
///
/// A piece has scratch memory: room for one sample's channels, and for sums over its samples.
struct SamplePieces {
  /// 512 KB: one sample is work enough for several threads.
  static let leastElementsOfLargeSample = 131_072
  static let leastElementsOfPiece = 16384
  static let mostPieces = 64

  let shape: SampleShape
  /// Samples of each piece.
  let cut: PieceCut
  let sumsPerChannel: Int
  private let memory: UnsafeMutableRawPointer
  private let byteCountOfPiece: Int

  init(_ shape: SampleShape, sumsPerChannel: Int, workspace: UnsafeMutableRawPointer) {
    self.shape = shape
    self.sumsPerChannel = sumsPerChannel
    cut = Self.cut(shape)
    memory = workspace.alignedUp(toMultipleOf: 64)
    byteCountOfPiece = Self.byteCountOfPiece(shape, sumsPerChannel)
  }

  private static func isLarge(_ shape: SampleShape) -> Bool { shape.length >= leastElementsOfLargeSample }

  private static func cut(_ shape: SampleShape) -> PieceCut {
    if isLarge(shape) { return PieceCut(count: shape.samples, size: max(shape.samples, 1)) }
    let size = max(1, leastElementsOfPiece / max(shape.length, 1), (shape.samples + mostPieces - 1) / mostPieces)
    return PieceCut(count: shape.samples, size: size)
  }

  /// For `shape` or fewer samples.
  static func byteCount(_ shape: SampleShape, sumsPerChannel: Int) -> Int {
    let pieces = isLarge(shape) ? 1 : min(shape.samples, mostPieces)
    return 64 + pieces * byteCountOfPiece(shape, sumsPerChannel)
  }

  private static func byteCountOfPiece(_ shape: SampleShape, _ sumsPerChannel: Int) -> Int {
    let bytes = BatchNormContext.byteCount(channels: shape.channels) + 8 * sumsPerChannel * shape.channels + floatBytes(shape)
    return (bytes + ChannelTotals.byteCount(shape.batch) + 63) / 64 * 64
  }

  /// One more Float32 a channel.
  private static func floatBytes(_ shape: SampleShape) -> Int { 4 * shape.channels + 4 * (shape.channels % 2) }

  /// The piece's scratch memory; `sums` is `[sumsPerChannel, channels]`.
  func scratch(_ piece: Int) -> SampleScratch {
    let start = memory + piece * byteCountOfPiece
    let sums = start + BatchNormContext.byteCount(channels: shape.channels)
    let floats = sums + 8 * sumsPerChannel * shape.channels
    return SampleScratch(
      context: BatchNormContext(start, channels: shape.channels), sums: sums.assumingMemoryBound(to: Double.self),
      values: floats.assumingMemoryBound(to: Float.self), workspace: floats + Self.floatBytes(shape))
  }

  /// The sums of all pieces added up, pieces in order, into those of the first.
  func combineSums() -> UnsafeMutablePointer<Double> {
    let total = scratch(0).sums
    for piece in stride(from: 1, to: cut.pieces, by: 1) {
      let part = scratch(piece).sums
      for i in 0..<sumsPerChannel * shape.channels { total[i] += part[i] }
    }
    return total
  }
}

struct SampleScratch {
  /// Of the sample at hand.
  let context: BatchNormContext
  /// Over the piece's samples.
  let sums: UnsafeMutablePointer<Double>
  /// One a channel.
  let values: UnsafeMutablePointer<Float>
  let workspace: UnsafeMutableRawPointer
}

/// Sums to a parameter's gradient.
func storeSums(_ sums: UnsafePointer<Double>, _ count: Int, into target: UnsafeMutablePointer<Float>?, adding: Bool) {
  guard let target else { return }
  for i in 0..<count { target[i] = Float(adding ? Double(target[i]) + sums[i] : sums[i]) }
}
