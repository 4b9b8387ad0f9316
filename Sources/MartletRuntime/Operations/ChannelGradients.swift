// The gradient of batch norm: two sums a channel, then one pass to the input's gradient.
import MartletKernels

extension Compute {
  /// With g = gradOutput·activation′(y): Σg and Σg·(x − center) of each channel, in Float64 (short Float32 runs inside).
  /// `y` is the activation's output, unused for `.identity`.
  ///
  /// A channel whose sums are not finite is done again in Float64 throughout: a product that overflowed Float32 is right then.
  ///
  /// Edge cases: no values yield 0. Cost: reads `gradOutput` and `x` once, and `y` unless the activation is `.identity`.
  public func channelGradientSums(
    gradOutput: UnsafePointer<Float>, output y: UnsafePointer<Float>?, input x: UnsafePointer<Float>,
    _ shape: ChannelShape, center: UnsafePointer<Float>, activation: Activation,
    sum: UnsafeMutablePointer<Double>, sumCentered: UnsafeMutablePointer<Double>, workspace: UnsafeMutableRawPointer
  ) {
    if shape.channels * shape.valuesPerChannel == 0 {
      for channel in 0..<shape.channels {
        sum[channel] = 0
        sumCentered[channel] = 0
      }
      return
    }
    let totals = ChannelTotals(shape, workspace: workspace)
    ChannelGradientSumsWork(
      totals: totals, kernels: kernels.batchNorm[activation].gradientSums,
      operands: ChannelOperands(
        input: x, gradOutput: gradOutput, output: y ?? x, result: UnsafeMutablePointer(mutating: x)),
      center: center, map: nil, sum: sum, sumCentered: sumCentered
    ).run(totals.everything(on: pool))
  }

  /// `gradInput (+)= multiplier·(g − meanTerm − (x − center)·slope)`, each factor one Float32 a channel.
  /// With meanTerm and slope nil (statistics were constants): `multiplier·g`. `gradInput` may be `gradOutput`.
  ///
  /// Cost: reads `gradOutput` once, `x` unless the statistics were constants, `y` unless the activation is `.identity`; one write.
  public func channelGradientInput(
    gradOutput: UnsafePointer<Float>, output y: UnsafePointer<Float>?, input x: UnsafePointer<Float>,
    _ shape: ChannelShape, center: UnsafePointer<Float>, multiplier: UnsafePointer<Float>,
    meanTerm: UnsafePointer<Float>?, slope: UnsafePointer<Float>?, activation: Activation,
    into gradInput: UnsafeMutablePointer<Float>, accumulate: Bool
  ) {
    let activated = kernels.batchNorm[activation]
    let kernels = meanTerm != nil && slope != nil ? activated.gradientInput : activated.scaledGradient
    ChannelPassJob(
      kernels: kernels,
      operands: ChannelOperands(
        input: x, gradOutput: gradOutput, output: y ?? gradOutput, result: gradInput, accumulate: accumulate
      ).streaming(shape, on: self),
      coefficients: ChannelCoefficients(
        center: center, multiplier: multiplier, slope: slope ?? multiplier, offset: meanTerm ?? multiplier),
      shape
    ).run(on: pool)
  }
}

/// The gradient's sums of some channels, done again where Float32 was not enough.
struct ChannelGradientSumsWork {
  var totals: ChannelTotals
  let kernels: ChannelSumKernels
  let operands: ChannelOperands
  let center: UnsafePointer<Float>
  /// What a derivative that needs the map computes it from; its center is `center`.
  let map: ChannelMap?
  let sum: UnsafeMutablePointer<Double>
  let sumCentered: UnsafeMutablePointer<Double>

  func run(_ scope: ChannelScope) {
    totals.expand(center, into: totals.center, scope) { $0 }
    if let map {
      totals.expand(map.multiplier, into: totals.map.multiplier, scope) { $0 }
      totals.expand(map.multiplierLow, into: totals.map.slope, scope) { $0 }
      totals.expand(map.offset, into: totals.map.offset, scope) { $0 }
    }
    totals.run(kernels, operands, exact: false, scope)
    var anyRedone = false
    for channel in scope.channels {
      sum[channel] = totals.sum[channel]
      sumCentered[channel] = totals.products[channel]
      let isRedone = !(sum[channel].isFinite && sumCentered[channel].isFinite)
      totals.isRedone[channel] = isRedone
      anyRedone = anyRedone || isRedone
    }
    if !anyRedone { return }
    totals.expand(center, into: totals.exactCenter, scope) { Double($0) }
    totals.run(kernels, operands, exact: true, scope)
    for channel in scope.channels where totals.isRedone[channel] {
      sum[channel] = totals.sum[channel]
      sumCentered[channel] = totals.products[channel]
    }
  }
}
