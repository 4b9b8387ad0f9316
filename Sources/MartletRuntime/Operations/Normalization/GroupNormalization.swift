// Group norm and instance norm: batch norm's moments and map, sample by sample, the moments of a group's channels merged.
import MartletKernels

/// What group norm keeps for its gradient, in a block that someone else owns: two numbers a group of each sample, in Float64.
public struct GroupContext: @unchecked Sendable {
  public let groups: Int
  public let mean: UnsafeMutablePointer<Double>
  public let inverseDeviation: UnsafeMutablePointer<Double>

  public static func byteCount(samples: Int, groups: Int) -> Int { 16 * samples * groups }

  /// - Parameter samples: as many as the block has room for.
  public init(_ base: UnsafeMutableRawPointer, samples: Int, groups: Int) {
    self.groups = groups
    mean = base.assumingMemoryBound(to: Double.self)
    inverseDeviation = mean + samples * groups
  }
}

extension Compute {
  /// Scratch memory of ``normalizeGroups(_:_:epsilon:_:_:into:workspace:)`` and
  /// ``groupGradients(gradOutput:input:_:scale:_:into:accumulate:_:workspace:)`` for this shape or fewer samples.
  public func groupNormWorkspaceByteCount(_ shape: SampleShape) -> Int { SamplePieces.byteCount(shape, sumsPerChannel: 2) }

  /// `y = scale·(x − mean)/√(variance + epsilon) + shift`, mean and biased variance over the positions and channels of each of the
  /// context's groups in each sample; scale and shift are one a channel. `y` may be `x`; nil: only
  /// the context is wanted.
  ///
  /// The moments of a group are merged from its channels', in Float64: variance = mean of variances + variance of means.
  ///
  /// Edge cases: a group of equal values yields exactly `shift`; a NaN or infinity spoils its own group of its own sample.
  /// Cost: reads `x` once from memory where a sample fits the cache, else twice; one write.
  public func normalizeGroups(
    _ x: UnsafePointer<Float>, _ shape: SampleShape, epsilon: Double, _ affine: ScaleShift, _ context: GroupContext,
    into y: UnsafeMutablePointer<Float>?, workspace: UnsafeMutableRawPointer
  ) {
    guard shape.samples > 0, shape.length > 0 else { return }
    let pieces = SamplePieces(shape, sumsPerChannel: 2, workspace: workspace)
    run(
      GroupForwardWork(compute: self, pieces: pieces, x: x, y: y, epsilon: epsilon, affine: affine, context: context),
      pieces: pieces.cut.pieces)
  }

  /// Gradients after ``normalizeGroups(_:_:epsilon:_:_:into:workspace:)`` filled `context`.
  ///
  /// With x̂ the normalised value, u = gradOutput·scale and means over a group:
  ///
  ///     gradInput (+)= (u − mean(u) − x̂·mean(u·x̂))/√(variance + epsilon)
  ///     gradScale (+)= Σ gradOutput·x̂,   gradShift (+)= Σ gradOutput             of each channel
  ///
  /// - Parameter gradInput: nil: not wanted; may be `gradOutput`.
  public func groupGradients(
    gradOutput: UnsafePointer<Float>, input x: UnsafePointer<Float>, _ shape: SampleShape, scale: UnsafePointer<Float>?,
    _ context: GroupContext, into gradInput: UnsafeMutablePointer<Float>?, accumulate: Bool, _ affine: ScaleShiftGradients,
    workspace: UnsafeMutableRawPointer
  ) {
    guard shape.samples > 0, shape.length > 0 else { return }
    let pieces = SamplePieces(shape, sumsPerChannel: 2, workspace: workspace)
    let work = GroupBackwardWork(
      compute: self, pieces: pieces, gradOutput: gradOutput, x: x, scale: scale, context: context, gradInput: gradInput,
      accumulates: accumulate)
    run(work, pieces: pieces.cut.pieces)
    let sums = pieces.combineSums()
    storeSums(sums, shape.channels, into: affine.scale, adding: affine.accumulates)
    storeSums(sums + shape.channels, shape.channels, into: affine.shift, adding: affine.accumulates)
  }
}

private struct GroupForwardWork: PieceWork {
  let compute: Compute
  let pieces: SamplePieces
  let x: UnsafePointer<Float>
  let y: UnsafeMutablePointer<Float>?
  let epsilon: Double
  let affine: ScaleShift
  let context: GroupContext

  func run(_ piece: Int) {
    let (first, count) = pieces.cut.range(piece)
    let scratch = pieces.scratch(piece)
    let (shape, channel) = (pieces.shape, scratch.context)
    for sample in first..<first + count {
      let offset = sample * shape.length
      compute.channelMoments(
        x + offset, shape.batch, mean: channel.mean, variance: channel.variance, workspace: scratch.workspace)
      mergeGroups(channel, sample)
      compute.fillChannelMap(
        channel.map, channels: shape.channels, mean: channel.mean, variance: channel.variance, epsilon: epsilon,
        scale: affine.scale, shift: affine.shift, inverseStandardDeviation: channel.inverseDeviation)
      let size = shape.channels / context.groups
      for group in 0..<context.groups {
        context.mean[sample * context.groups + group] = channel.mean[group * size]
        context.inverseDeviation[sample * context.groups + group] = channel.inverseDeviation[group * size]
      }
      guard let y else { continue }
      compute.applyChannelMap(channel.map, x + offset, shape.batch, activation: .identity, into: y + offset)
    }
  }

  /// Gives each channel its group's moments.
  private func mergeGroups(_ channel: BatchNormContext, _ sample: Int) {
    let size = channel.channels / context.groups
    if size == 1 { return }
    for group in 0..<context.groups {
      let members = group * size..<(group + 1) * size
      // About the first channel's mean, so that equal means have exactly that mean and no variance.
      let pivot = channel.mean[members.lowerBound]
      var (difference, square, inside) = (0.0, 0.0, 0.0)
      for c in members {
        let d = channel.mean[c] - pivot
        difference += d
        square += d * d
        inside += channel.variance[c]
      }
      difference /= Double(size)
      let between = square / Double(size) - difference * difference
      let variance = inside / Double(size) + (between < 0 ? 0 : between)
      let mean = pivot.isFinite ? pivot + difference : .nan
      for c in members {
        channel.mean[c] = mean
        channel.variance[c] = variance
      }
    }
  }
}

private struct GroupBackwardWork: PieceWork {
  let compute: Compute
  let pieces: SamplePieces
  let gradOutput: UnsafePointer<Float>
  let x: UnsafePointer<Float>
  let scale: UnsafePointer<Float>?
  let context: GroupContext
  let gradInput: UnsafeMutablePointer<Float>?
  let accumulates: Bool

  func run(_ piece: Int) {
    let (first, count) = pieces.cut.range(piece)
    let scratch = pieces.scratch(piece)
    let (shape, channel) = (pieces.shape, scratch.context)
    scratch.sums.initialize(repeating: 0, count: 2 * shape.channels)
    for sample in first..<first + count {
      let offset = sample * shape.length
      let size = shape.channels / context.groups
      for c in 0..<shape.channels {
        channel.map.center[c] = Float(context.mean[sample * context.groups + c / size])
      }
      compute.channelGradientSums(
        gradOutput: gradOutput + offset, output: nil, input: x + offset, shape.batch, center: channel.map.center,
        activation: .identity, sum: channel.sum, sumCentered: channel.sumCentered, workspace: scratch.workspace)
      for group in 0..<context.groups { finishGroup(group, of: sample, scratch) }
      guard let gradInput else { continue }
      ChannelPassJob(
        kernels: compute.kernels.normalization.groupGradient,
        operands: ChannelOperands(
          input: x + offset, gradOutput: gradOutput + offset, output: x + offset, result: gradInput + offset,
          accumulate: accumulates),
        coefficients: ChannelCoefficients(
          center: channel.map.center, multiplier: channel.map.multiplier, slope: channel.slope, offset: channel.meanTerm),
        shape.batch
      ).run(on: compute.pool, backwards: true)
    }
  }

  /// From Σg and Σg·(x − center) of the group's channels to the sums over samples and the coefficients of the last pass.
  private func finishGroup(_ group: Int, of sample: Int, _ scratch: SampleScratch) {
    let (shape, channel) = (pieces.shape, scratch.context)
    let size = shape.channels / context.groups
    let place = sample * context.groups + group
    let (mean, inverse) = (context.mean[place], context.inverseDeviation[place])
    let low = mean - Double(Float(mean))
    var (sum, projection) = (0.0, 0.0)
    for c in group * size..<(group + 1) * size {
      let factor = scale.map { Double($0[c]) } ?? 1
      let gradScale = (channel.sumCentered[c] - low * channel.sum[c]) * inverse
      scratch.sums[c] += gradScale
      scratch.sums[shape.channels + c] += channel.sum[c]
      sum += factor * channel.sum[c]
      projection += factor * gradScale
      channel.map.multiplier[c] = Float(factor * inverse)
    }
    let weight = 1 / Double(size * shape.positions)
    // gradInput = inverse·(u − sum·weight − (d − low)·inverse·projection·weight)
    let slope = inverse * inverse * projection * weight
    let meanTerm = inverse * sum * weight - low * slope
    for c in group * size..<(group + 1) * size {
      channel.slope[c] = Float(slope)
      channel.meanTerm[c] = Float(meanTerm)
    }
  }
}
