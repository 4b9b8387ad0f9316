// Gradients of batch normalisation. With g = dL/dy (through the fused activation), n values a channel, x̂ = (x − mean)·inv:
//
//     dL/dshift = Σ g        dL/dscale = Σ g·x̂
//     dL/dx = scale·inv·(g − Σg/n − x̂·Σ(g·x̂)/n)       statistics of the batch
//     dL/dx = scale·inv·g                                statistics that were constants
//
// With weights w of the rows, n = Σ w, the terms Σg/n and x̂·Σ(g·x̂)/n count w times; with a renormalisation r, d:
//
//     dL/dscale = Σ g·(x̂·r + d)      dL/dx = r times the above
//
// Source: Ioffe & Szegedy 2015, section 3, simplified.
import MartletKernels

/// The tensors of a backward pass.
public struct BatchNormGradientOperands {
  public var gradOutput: UnsafePointer<Float>
  /// The fused activation's output. Unused for `.identity`; nil for `.relu`: which side of zero the map falls on is computed again
  /// from the input and the context's map, which must be the forward pass's, shift included.
  public var output: UnsafePointer<Float>?
  public var input: UnsafePointer<Float>
  /// Where the input's gradient goes; nil: not wanted. May be `gradOutput`.
  public var gradInput: UnsafeMutablePointer<Float>?
  /// Add to `gradInput` instead of replacing it.
  public var accumulates: Bool

  public init(
    gradOutput: UnsafePointer<Float>, output: UnsafePointer<Float>?, input: UnsafePointer<Float>,
    gradInput: UnsafeMutablePointer<Float>?, accumulates: Bool = false
  ) {
    self.gradOutput = gradOutput
    self.output = output
    self.input = input
    self.gradInput = gradInput
    self.accumulates = accumulates
  }
}

extension Compute {
  /// All gradients, after a forward pass that filled `context` (or its map and inverse deviation, for constant statistics).
  ///
  /// - Parameters:
  ///   - weights: those of the forward pass, whose statistics were not constants. Then `activation` is `.identity`.
  ///   - renormalization: that of the forward pass, with its correction.
  ///
  /// Cost: where a block of whole channels fits the cache, reads the gradient and `x` once from memory, else twice; writes
  /// `gradInput` once. With constant statistics and neither scale nor shift wanted, one pass that does not read `x`.
  public func batchNormGradients(
    _ tensors: BatchNormGradientOperands, _ shape: ChannelShape, _ context: BatchNormContext, activation: Activation,
    statisticsAreConstant: Bool, _ affine: ScaleShiftGradients, weights: RowWeights? = nil,
    renormalization: RenormalizationCorrection? = nil, workspace: UnsafeMutableRawPointer
  ) {
    if shape.channels * shape.valuesPerChannel == 0 { return }
    let wantsSums = (tensors.gradInput != nil && !statisticsAreConstant) || affine.scale != nil || affine.shift != nil
    let recomputes = activation == .relu && tensors.output == nil
    let activated = recomputes ? kernels.batchNorm.recomputedRelu : kernels.batchNorm[activation]
    let pass = tensors.gradInput.map { gradInput in
      ChannelPassJob(
        kernels: statisticsAreConstant
          ? activated.scaledGradient : weights == nil ? activated.gradientInput : kernels.batchNorm.weightedGradientInput,
        operands: ChannelOperands(
          input: tensors.input, gradOutput: tensors.gradOutput,
          output: weights?.spread ?? tensors.output ?? tensors.gradOutput, result: gradInput,
          accumulate: tensors.accumulates
        ).streaming(shape, on: self),
        coefficients: context.gradientCoefficients, shape)
    }
    guard wantsSums else {
      pass?.run(on: pool)
      return
    }
    let totals = ChannelTotals(shape, workspace: workspace)
    let sums = ChannelGradientSumsWork(
      totals: totals, kernels: activated.gradientSums,
      operands: ChannelOperands(
        input: tensors.input, gradOutput: tensors.gradOutput, output: tensors.output ?? tensors.gradOutput,
        result: UnsafeMutablePointer(mutating: tensors.input)),
      center: context.map.center, map: recomputes ? context.map : nil, sum: context.sum, sumCentered: context.sumCentered)
    let finish = SumsFinishing(
      context: context, count: weights?.total ?? Double(shape.valuesPerChannel), affine: affine,
      renormalization: renormalization)
    if let pass {
      ChannelBlocks.run(
        BackwardWork(sums: sums, pass: pass, finish: finish),
        tensors: (activation == .identity || recomputes ? 2 : 3) + (weights == nil ? 0 : 1), on: self)
    } else {
      sums.run(totals.everything(on: pool))
      finish.run(0..<shape.channels)
    }
  }
}

private struct BackwardWork: ChannelBlockWork {
  var sums: ChannelGradientSumsWork
  let pass: ChannelPassJob
  let finish: SumsFinishing
  var totals: ChannelTotals {
    get { sums.totals }
    set { sums.totals = newValue }
  }

  func prepare(_ scope: ChannelScope) {
    sums.run(scope)
    finish.run(scope.channels)
  }
}

extension BatchNormContext {
  fileprivate var gradientCoefficients: ChannelCoefficients {
    ChannelCoefficients(
      center: map.center, multiplier: map.multiplier, slope: slope, offset: meanTerm, mapSlope: map.multiplierLow,
      mapOffset: map.offset)
  }
}

/// What follows from the sums of some channels.
private struct SumsFinishing {
  let context: BatchNormContext
  /// Values of a channel, or the sum of their weights.
  let count: Double
  let affine: ScaleShiftGradients
  let renormalization: RenormalizationCorrection?

  /// From Σg and Σg·(x − center) to the gradients of scale and shift and the terms of the input's gradient, in Float64.
  ///
  /// x̂ = (x − center − low)·inv with low = mean − center, the part of the mean that Float32 cannot hold.
  func run(_ scope: Range<Int>) {
    let weight = 1 / count
    let (sum, sumCentered, slope, meanTerm) = (context.sum, context.sumCentered, context.slope, context.meanTerm)
    for c in scope {
      let inv = context.inverseDeviation[c]
      let low = context.mean[c] - Double(context.map.center[c])
      let gradScale = (sumCentered[c] - low * sum[c]) * inv
      let slopeValue = inv * gradScale * weight
      slope[c] = Float(slopeValue)
      meanTerm[c] = Float(sum[c] * weight - low * slopeValue)
      // Kept for the loops below: gradients that are not wanted cost no test a channel.
      sumCentered[c] = gradScale
    }
    if let renormalization {
      for c in scope { sumCentered[c] = renormalization.gradScale(sumCentered[c], sum: sum[c], c) }
    }
    if let target = affine.scale { store(sumCentered, scope, into: target, adding: affine.accumulates) }
    if let target = affine.shift { store(sum, scope, into: target, adding: affine.accumulates) }
  }

  private func store(
    _ values: UnsafePointer<Double>, _ scope: Range<Int>, into target: UnsafeMutablePointer<Float>, adding: Bool
  ) {
    if adding {
      for c in scope { target[c] = Float(Double(target[c]) + values[c]) }
    } else {
      for c in scope { target[c] = Float(values[c]) }
    }
  }
}
