// What happens to each value of a product before it is stored, a batch norm at inference included.
import MartletRuntime

/// The tail of a layer with weights: its bias, the batch norm folded in at inference, the activation.
///
///     y = activation((x + bias − mean)·multiplier + shift + residual)      multiplier = scale / √(variance + epsilon)
///
/// Subtracting the mean before multiplying keeps precision where the mean is large.
struct FoldedTail {
  private let bias: Variable?
  private let norm: ModelLayer?
  private let options: BatchNorm?
  private let moving: MovingStatistics?
  private let activation: Activation
  private let channels: Int
  /// What the numbers are made from.
  private let sources: [Variable]

  init(_ site: StepSite, channels: Int) {
    bias = site.layer.variable("bias")
    norm = site.norm
    options = site.norm?.layer as? BatchNorm
    moving = site.norm.flatMap(MovingStatistics.init)
    activation = site.activation
    self.channels = channels
    sources = (bias.map { [$0] } ?? []) + (site.norm?.variables ?? [])
  }

  /// Memory that keeps the numbers from run to run: bias less mean, multiplier, shift; before them, in a cache line of their own, the
  /// version of what they were made from, plus one. None without a batch norm.
  var keptByteCount: Int { moving == nil ? 0 : Storage.alignment + 3 * channels * 4 }

  /// Grows with every change of what the numbers are made from, above 0; nil where a caller may write to it at any time.
  var version: Int? {
    var version = 1
    for source in sources {
      guard !source.isExposed else { return nil }
      version &+= source.version
    }
    return version
  }

  /// - Parameters:
  ///   - kept: of ``keptByteCount`` bytes, zeros before the first call.
  ///   - residual: what is added before the activation.
  func current(_ kept: UnsafeMutableRawPointer?, residual: UnsafePointer<Float>?) -> MatrixTail {
    guard let moving, let options, let norm, let kept else {
      return MatrixTail(bias: bias?.floats, activation: activation, residual: residual)
    }
    let numbers = (kept + Storage.alignment).assumingMemoryBound(to: Float.self)
    let made = kept.assumingMemoryBound(to: Int.self)
    if made.pointee != version {
      fold(norm, options, moving, into: numbers)
      made.pointee = version ?? 0
    }
    return MatrixTail(
      bias: numbers, multiplier: numbers + channels, offset: numbers + 2 * channels, activation: activation,
      residual: residual)
  }

  private func fold(
    _ norm: ModelLayer, _ options: BatchNorm, _ moving: MovingStatistics, into numbers: UnsafeMutablePointer<Float>
  ) {
    let (less, multiplier, offset) = (numbers, numbers + channels, numbers + 2 * channels)
    let (scale, shift) = (norm.variable("weight")?.floats, norm.variable("bias")?.floats)
    for c in 0..<channels {
      let deviation = (Double(moving.variance[c]) + options.epsilon).squareRoot()
      less[c] = Float(Double(bias?.floats[c] ?? 0) - Double(moving.mean[c]))
      multiplier[c] = Float(Double(scale?[c] ?? 1) / deviation)
      offset[c] = shift?[c] ?? 0
    }
  }
}
