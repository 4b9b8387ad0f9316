// Gradients of batch normalisation. With g = dL/dy (through the fused activation), n values a channel, x̂ = (x − mean)·inv:
//
//     dL/dshift = Σ g        dL/dscale = Σ g·x̂
//     dL/dx = scale·inv·(g − Σg/n − x̂·Σ(g·x̂)/n)       statistics of the batch
//     dL/dx = scale·inv·g                                statistics that were constants
//
// Source: Ioffe & Szegedy 2015, section 3, simplified.
import MartletRuntime

/// Where the gradients of scale and shift go; nil: not wanted.
struct ScaleShiftGradients {
  var scale: UnsafeMutablePointer<Float>?
  var shift: UnsafeMutablePointer<Float>?
  var accumulates = false
}

extension BatchNormContext {
  /// After a forward pass with this context. `y` is the fused activation's output (unused for `.identity`).
  ///
  /// Cost: reads the gradient and `x` twice, writes `gradInput` once.
  func gradients(
    gradOutput: UnsafePointer<Float>, output y: UnsafePointer<Float>?, input x: UnsafePointer<Float>, _ shape: ChannelShape,
    activation: Activation, statisticsAreConstant: Bool, into gradInput: UnsafeMutablePointer<Float>?, accumulate: Bool,
    _ affine: ScaleShiftGradients, workspace: UnsafeMutableRawPointer, _ compute: Compute
  ) {
    let wantsInput = gradInput != nil && !statisticsAreConstant
    if wantsInput || affine.scale != nil || affine.shift != nil {
      compute.channelGradientSums(
        gradOutput: gradOutput, output: y, input: x, shape, center: map.center, activation: activation, sum: sum,
        sumCentered: sumCentered, workspace: workspace)
      finishSums(valuesPerChannel: shape.valuesPerChannel, affine)
    }
    guard let gradInput else { return }
    compute.channelGradientInput(
      gradOutput: gradOutput, output: y, input: x, shape, center: map.center, multiplier: map.multiplier,
      meanTerm: statisticsAreConstant ? nil : UnsafePointer(meanTerm),
      slope: statisticsAreConstant ? nil : UnsafePointer(slope),
      activation: activation, into: gradInput, accumulate: accumulate)
  }

  /// From Σg and Σg·(x − center) to the gradients of scale and shift and the terms of the input's gradient, in Float64.
  ///
  /// x̂ = (x − center − low)·inv with low = mean − center, the part of the mean that Float32 cannot hold.
  private func finishSums(valuesPerChannel n: Int, _ affine: ScaleShiftGradients) {
    for c in 0..<channels {
      let inv = inverseDeviation[c]
      let low = mean[c] - Double(map.center[c])
      let gradScale = (sumCentered[c] - low * sum[c]) * inv
      let slopeValue = inv * gradScale / Double(n)
      slope[c] = Float(slopeValue)
      meanTerm[c] = Float(sum[c] / Double(n) - low * slopeValue)
      if let target = affine.scale { target[c] = Float(affine.accumulates ? Double(target[c]) + gradScale : gradScale) }
      if let target = affine.shift { target[c] = Float(affine.accumulates ? Double(target[c]) + sum[c] : sum[c]) }
    }
  }
}
