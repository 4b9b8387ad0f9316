// The one form that a convolution and each phase of its input's gradient take.

/// One axis of a ``TapGrid``: position p reads at `p·stride + tap·dilation + origin` and belongs to result `p·step + phase`.
struct TapAxis: Equatable {
  /// Of what is read; beyond it there are zeros.
  var length: Int
  var positions: Int
  var taps: Int
  var stride: Int
  var dilation: Int
  var origin: Int
  /// Of what is written.
  var resultLength: Int
  var step: Int
  var phase: Int

  /// What `count` positions read.
  func window(_ count: Int) -> Int { (count - 1) * stride + (taps - 1) * dilation + 1 }

  /// No position reads outside.
  var staysInside: Bool { origin >= 0 && origin + window(positions) <= length }

  /// The output's axis of a convolution.
  static func forward(length: Int, positions: Int, kernel: Int, stride: Int, dilation: Int, pad: Int) -> TapAxis {
    TapAxis(
      length: length, positions: positions, taps: kernel, stride: stride, dilation: dilation, origin: -pad,
      resultLength: positions, step: 1, phase: 0)
  }

  /// The input's positions `q·stride + phase`, whose gradient sums over gradOutput at `(q·stride + phase + pad − k·dilation) / stride`
  /// for the k that make it whole: every `tapStep`-th from `firstTap` on. In ascending order of places, so of descending k, it
  /// is a convolution of stride 1.
  static func backward(
    length: Int, outLength: Int, kernel: Int, stride: Int, dilation: Int, pad: Int, phase: Int
  ) -> (axis: TapAxis, lastTap: Int, tapStep: Int) {
    let tapStep = stride / greatestCommonDivisor(stride, dilation)
    let first = (0..<min(tapStep, kernel)).first { (phase + pad - $0 * dilation) % stride == 0 }
    let taps = first.map { (kernel - 1 - $0) / tapStep + 1 } ?? 0
    let lastTap = first.map { $0 + (taps - 1) * tapStep } ?? 0
    let axis = TapAxis(
      length: outLength, positions: phase < length ? (length - phase - 1) / stride + 1 : 0, taps: taps, stride: 1,
      dilation: tapStep * dilation / stride, origin: (phase + pad - lastTap * dilation) / stride, resultLength: length,
      step: stride, phase: phase)
    return (axis, lastTap, tapStep)
  }

  private static func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int { b == 0 ? a : greatestCommonDivisor(b, a % b) }
}

/// `y[n, p·step + phase, …, o] (+)= Σ_(taps i, j; channels c) x[n, p·stride + i·dilation + origin, …, c]·w[i, j, c, o]`.
struct TapGrid {
  var samples: Int
  var vertical: TapAxis
  var horizontal: TapAxis
  var groups: Int
  /// All groups together, as the result's.
  var channels: Int
  var resultChannels: Int

  var channelsPerGroup: Int { channels / groups }
  var resultChannelsPerGroup: Int { resultChannels / groups }
  var taps: Int { vertical.taps * horizontal.taps }
  /// Values each result sums.
  var depth: Int { taps * channelsPerGroup }
  var positionsPerSample: Int { vertical.positions * horizontal.positions }
  var multiplyAdds: Double {
    Double(samples) * Double(positionsPerSample) * Double(depth) * Double(resultChannels)
  }

  /// Where windows must be copied: zeros around the input, or a group's channels side by side.
  var needsWindow: Bool { !vertical.staysInside || !horizontal.staysInside }
}

extension ConvolutionShape {
  var forwardGrid: TapGrid {
    TapGrid(
      samples: samples,
      vertical: .forward(
        length: height, positions: outHeight, kernel: kernelHeight, stride: strideHeight, dilation: dilationHeight,
        pad: padTop),
      horizontal: .forward(
        length: width, positions: outWidth, kernel: kernelWidth, stride: strideWidth, dilation: dilationWidth, pad: padLeft),
      groups: groups, channels: inChannels, resultChannels: outChannels)
  }

  /// One of the strideHeight · strideWidth phases of the input's gradient, and where its taps are in the filters.
  func backwardPhase(_ phase: Int) -> BackwardPhase {
    let (vertical, lastRow, rowStep) = TapAxis.backward(
      length: height, outLength: outHeight, kernel: kernelHeight, stride: strideHeight, dilation: dilationHeight, pad: padTop,
      phase: phase / strideWidth)
    let (horizontal, lastColumn, columnStep) = TapAxis.backward(
      length: width, outLength: outWidth, kernel: kernelWidth, stride: strideWidth, dilation: dilationWidth, pad: padLeft,
      phase: phase % strideWidth)
    return BackwardPhase(
      grid: TapGrid(
        samples: samples, vertical: vertical, horizontal: horizontal, groups: groups, channels: outChannels,
        resultChannels: inChannels),
      firstFilterTap: lastRow * kernelWidth + lastColumn, rowStride: -rowStep * kernelWidth, tapStride: -columnStep)
  }

  var phases: Int { strideHeight * strideWidth }
}

/// A phase of the input's gradient: tap (i, j) of the grid is tap `firstFilterTap + i·rowStride + j·tapStride` of a filter.
struct BackwardPhase {
  let grid: TapGrid
  let firstFilterTap: Int
  let rowStride: Int
  let tapStride: Int
}
