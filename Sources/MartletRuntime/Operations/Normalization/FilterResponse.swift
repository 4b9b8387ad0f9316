// Filter response normalisation with its thresholded linear unit.
import MartletKernels

/// The learned numbers of filter response norm, one a channel; nil means scale 1, shift 0, no threshold, nothing added to epsilon.
public struct FilterResponseParameters {
  public var scale: UnsafePointer<Float>?
  public var shift: UnsafePointer<Float>?
  public var threshold: UnsafePointer<Float>?
  public var learnedEpsilon: UnsafePointer<Float>?

  public init(
    scale: UnsafePointer<Float>?, shift: UnsafePointer<Float>?, threshold: UnsafePointer<Float>?,
    learnedEpsilon: UnsafePointer<Float>?
  ) {
    self.scale = scale
    self.shift = shift
    self.threshold = threshold
    self.learnedEpsilon = learnedEpsilon
  }

  fileprivate func epsilon(_ channel: Int, _ fixed: Double) -> Double {
    fixed + (learnedEpsilon.map { abs(Double($0[channel])) } ?? 0)
  }
}

/// Where their gradients go; nil: not wanted.
public struct FilterResponseGradients {
  public var scale: UnsafeMutablePointer<Float>?
  public var shift: UnsafeMutablePointer<Float>?
  public var threshold: UnsafeMutablePointer<Float>?
  public var learnedEpsilon: UnsafeMutablePointer<Float>?
  public var accumulates: Bool

  public init(
    scale: UnsafeMutablePointer<Float>?, shift: UnsafeMutablePointer<Float>?, threshold: UnsafeMutablePointer<Float>?,
    learnedEpsilon: UnsafeMutablePointer<Float>?, accumulates: Bool = false
  ) {
    self.scale = scale
    self.shift = shift
    self.threshold = threshold
    self.learnedEpsilon = learnedEpsilon
    self.accumulates = accumulates
  }
}

extension Compute {
  /// Float64 numbers that the forward pass leaves for the backward pass: one a channel of each sample.
  public func filterResponseContextByteCount(_ shape: SampleShape) -> Int { 8 * shape.samples * shape.channels }

  /// Scratch memory of both passes for this shape or fewer samples.
  public func filterResponseWorkspaceByteCount(_ shape: SampleShape) -> Int {
    SamplePieces.byteCount(shape, sumsPerChannel: 4)
  }

  /// `y = max(z, threshold)`, `z = scale·x/√(ν² + epsilon + |learned epsilon|) + shift`, ν² the mean of x² over the positions of each
  /// channel of each sample. `y` may be `x`; nil: only the inverse deviations are wanted.
  ///
  /// - Parameter inverseDeviation: receives 1/√(ν² + …) of each channel of each sample.
  ///
  /// Edge cases: a channel of zeros yields max(shift, threshold); a NaN spoils its own channel of its own sample.
  /// Source: Singh & Krishnan 2020.
  public func filterResponse(
    _ x: UnsafePointer<Float>, _ shape: SampleShape, epsilon: Double, _ parameters: FilterResponseParameters,
    inverseDeviation: UnsafeMutablePointer<Double>, into y: UnsafeMutablePointer<Float>?, workspace: UnsafeMutableRawPointer
  ) {
    guard shape.samples > 0, shape.length > 0 else { return }
    let pieces = SamplePieces(shape, sumsPerChannel: 4, workspace: workspace)
    run(
      FilterResponseForward(
        compute: self, pieces: pieces, x: x, y: y, epsilon: epsilon, parameters: parameters, inverseDeviation: inverseDeviation),
      pieces: pieces.cut.pieces)
  }

  /// Gradients after ``filterResponse(_:_:epsilon:_:inverseDeviation:into:workspace:)``.
  ///
  /// With g = gradOutput where z ≥ threshold, else 0; inv = 1/√(ν² + …); means over the positions, sums over positions and samples:
  ///
  ///     gradInput (+)= scale·inv·(g − x·inv²·mean(g·x))
  ///     gradScale (+)= Σ g·x·inv,   gradShift (+)= Σ g,   gradThreshold (+)= Σ (gradOutput − g)
  ///     gradEpsilon (+)= −½·sign(learned epsilon)·scale·Σ g·x·inv³
  ///
  /// - Parameter gradInput: nil: not wanted; may be `gradOutput`.
  public func filterResponseGradients(
    gradOutput: UnsafePointer<Float>, input x: UnsafePointer<Float>, _ shape: SampleShape,
    _ parameters: FilterResponseParameters, inverseDeviation: UnsafePointer<Double>,
    into gradInput: UnsafeMutablePointer<Float>?, accumulate: Bool, _ gradients: FilterResponseGradients,
    workspace: UnsafeMutableRawPointer
  ) {
    guard shape.samples > 0, shape.length > 0 else { return }
    let pieces = SamplePieces(shape, sumsPerChannel: 4, workspace: workspace)
    let work = FilterResponseBackward(
      compute: self, pieces: pieces, gradOutput: gradOutput, x: x, parameters: parameters, inverseDeviation: inverseDeviation,
      gradInput: gradInput, accumulates: accumulate,
      wantsThreshold: gradients.threshold != nil && parameters.threshold != nil)
    run(work, pieces: pieces.cut.pieces)
    let sums = pieces.combineSums()
    storeSums(sums, shape.channels, into: gradients.scale, adding: gradients.accumulates)
    storeSums(sums + shape.channels, shape.channels, into: gradients.shift, adding: gradients.accumulates)
    storeSums(sums + 2 * shape.channels, shape.channels, into: gradients.threshold, adding: gradients.accumulates)
    storeSums(sums + 3 * shape.channels, shape.channels, into: gradients.learnedEpsilon, adding: gradients.accumulates)
  }
}

extension SampleScratch {
  /// The map of one sample; its center is the threshold.
  fileprivate func fillMap(_ channels: Int, _ parameters: FilterResponseParameters, inverse: UnsafePointer<Double>) {
    let map = context.map
    for c in 0..<channels {
      let factor = (parameters.scale.map { Double($0[c]) } ?? 1) * inverse[c]
      let rounded = Float(factor)
      map.center[c] = parameters.threshold?[c] ?? -.infinity
      map.multiplier[c] = rounded
      map.multiplierLow[c] = Float(factor - Double(rounded))
      map.offset[c] = parameters.shift?[c] ?? 0
    }
  }

  fileprivate var coefficients: ChannelCoefficients {
    ChannelCoefficients(
      center: context.map.center, multiplier: context.map.multiplier, slope: context.slope, offset: context.map.offset,
      mapSlope: context.map.multiplierLow, mapOffset: context.map.offset)
  }
}

private struct FilterResponseForward: PieceWork {
  let compute: Compute
  let pieces: SamplePieces
  let x: UnsafePointer<Float>
  let y: UnsafeMutablePointer<Float>?
  let epsilon: Double
  let parameters: FilterResponseParameters
  let inverseDeviation: UnsafeMutablePointer<Double>

  func run(_ piece: Int) {
    let (first, count) = pieces.cut.range(piece)
    let scratch = pieces.scratch(piece)
    let (shape, context) = (pieces.shape, scratch.context)
    for sample in first..<first + count {
      let offset = sample * shape.length
      compute.channelMoments(
        x + offset, shape.batch, mean: context.mean, variance: context.variance, workspace: scratch.workspace)
      let inverse = inverseDeviation + sample * shape.channels
      for c in 0..<shape.channels {
        // No cancellation: both terms of ν² are positive.
        let square = context.variance[c] + context.mean[c] * context.mean[c]
        inverse[c] = 1 / (square + parameters.epsilon(c, epsilon)).squareRoot()
        context.slope[c] = 0
      }
      guard let y else { continue }
      scratch.fillMap(shape.channels, parameters, inverse: inverse)
      ChannelPassJob(
        kernels: compute.kernels.normalization.filterResponse,
        operands: ChannelOperands(input: x + offset, gradOutput: x + offset, output: x + offset, result: y + offset)
          .streaming(shape.batch, on: compute),
        coefficients: scratch.coefficients, shape.batch
      ).run(on: compute.pool, backwards: true)
    }
  }
}

private struct FilterResponseBackward: PieceWork {
  let compute: Compute
  let pieces: SamplePieces
  let gradOutput: UnsafePointer<Float>
  let x: UnsafePointer<Float>
  let parameters: FilterResponseParameters
  let inverseDeviation: UnsafePointer<Double>
  let gradInput: UnsafeMutablePointer<Float>?
  let accumulates: Bool
  let wantsThreshold: Bool

  func run(_ piece: Int) {
    let (first, count) = pieces.cut.range(piece)
    let scratch = pieces.scratch(piece)
    let (shape, context) = (pieces.shape, scratch.context)
    scratch.sums.initialize(repeating: 0, count: 4 * shape.channels)
    for sample in first..<first + count {
      let inverse = inverseDeviation + sample * shape.channels
      scratch.fillMap(shape.channels, parameters, inverse: inverse)
      if wantsThreshold {
        gather(compute.kernels.normalization.thresholdSums, sample, scratch)
        for c in 0..<shape.channels { scratch.sums[2 * shape.channels + c] += context.sum[c] }
      }
      gather(compute.kernels.normalization.filterResponseSums, sample, scratch)
      finish(scratch, inverse)
      guard let gradInput else { continue }
      let offset = sample * shape.length
      ChannelPassJob(
        kernels: compute.kernels.normalization.filterResponseGradient,
        operands: ChannelOperands(
          input: x + offset, gradOutput: gradOutput + offset, output: x + offset, result: gradInput + offset,
          accumulate: accumulates),
        coefficients: scratch.coefficients, shape.batch
      ).run(on: compute.pool, backwards: true)
    }
  }

  private func gather(_ kernels: ChannelSumKernels, _ sample: Int, _ scratch: SampleScratch) {
    let offset = sample * pieces.shape.length
    let totals = ChannelTotals(pieces.shape.batch, workspace: scratch.workspace)
    ChannelGradientSumsWork(
      totals: totals, kernels: kernels,
      operands: ChannelOperands(
        input: x + offset, gradOutput: gradOutput + offset, output: x + offset,
        result: UnsafeMutablePointer(mutating: x + offset)
      ),
      center: scratch.context.map.center, map: scratch.context.map, sum: scratch.context.sum,
      sumCentered: scratch.context.sumCentered
    ).run(totals.everything(on: compute.pool))
  }

  /// From Σg and Σg·x to the sums over samples and the slope of the last pass.
  private func finish(_ scratch: SampleScratch, _ inverse: UnsafePointer<Double>) {
    let (channels, context) = (pieces.shape.channels, scratch.context)
    for c in 0..<channels {
      let factor = parameters.scale.map { Double($0[c]) } ?? 1
      // Two steps, so that inverse³ does not underflow where the product with Σg·x does not.
      let projected = context.sumCentered[c] * inverse[c]
      let inner = factor * inverse[c] * inverse[c] * projected
      context.slope[c] = Float(inner / Double(pieces.shape.positions))
      scratch.sums[c] += projected
      scratch.sums[channels + c] += context.sum[c]
      let sign = parameters.learnedEpsilon.map { $0[c] < 0 ? -1.0 : 1.0 } ?? 0
      scratch.sums[3 * channels + c] -= sign * inner / 2
    }
  }
}
