// The gradient of a convolution's input: for each phase of the stride a convolution of the output's gradient.
import MartletKernels

extension Compute {
  /// Scratch memory of ``convolutionGradInput(_:weights:_:algorithm:into:accumulate:workspace:)`` for at most so many samples, and any thread count.
  public func convolutionGradInputWorkspaceByteCount(
    _ s: ConvolutionShape, algorithm: ConvolutionAlgorithm = .automatic
  ) -> Int {
    if s.isProduct { return multiplyWorkspaceByteCount(rows: s.positions, columns: s.inChannels, depth: s.outChannels) }
    var most = 0
    for phase in 0..<s.phases {
      let grid = s.backwardPhase(phase).grid
      if grid.taps == 0 || grid.positionsPerSample == 0 { continue }
      if grid.usesWinograd(algorithm) {
        let filters = WinogradPanels(grid, kernels.convolution).floatCount * MemoryLayout<Float>.stride
        most = max(most, WinogradCut(grid, kernels.convolution).workspaceByteCount + filters + 64)
      } else if s.isDepthwise {
        most = max(most, DepthwiseCut(grid, kernels).workspaceByteCount + grid.depth * grid.channels * 4 + 64)
      } else {
        let filters = FilterPanels(grid, kernels.convolution).floatCount * MemoryLayout<Float>.stride
        most = max(most, TapCut(grid, kernels.convolution).workspaceByteCount + filters + 64)
      }
    }
    return most
  }

  /// `gradInput[n, ih, iw, c] (+)= Σ_(oh, ow, o) gradOutput[n, oh, ow, o]·w[o, c, i, j]` over the outputs that read the value.
  ///
  /// - Parameter weights: the filters as they are, `[outChannels, inChannels / groups, kernelHeight, kernelWidth]`; they are packed here.
  ///
  /// Edge cases: values that no output reads get 0. No samples, nothing happens. gradInput must not overlap gradOutput.
  public func convolutionGradInput(
    _ gradOutput: UnsafePointer<Float>, weights: UnsafePointer<Float>, _ s: ConvolutionShape,
    algorithm: ConvolutionAlgorithm = .automatic, into gradInput: UnsafeMutablePointer<Float>, accumulate: Bool = false,
    workspace: UnsafeMutableRawPointer
  ) {
    guard s.samples > 0 else { return }
    if s.isProduct {
      return multiply(
        rows: s.positions, columns: s.inChannels, depth: s.outChannels,
        MatrixView(gradOutput, rowStride: s.outChannels, columnStride: 1),
        MatrixView(weights, rowStride: s.inChannels, columnStride: 1), into: gradInput, rowStride: s.inChannels,
        accumulate: accumulate, workspace: workspace)
    }
    if !accumulate, (0..<s.phases).contains(where: { s.backwardPhase($0).grid.taps == 0 }) {
      fillZero(gradInput, count: s.inputCount)
    }
    for phase in 0..<s.phases {
      let backward = s.backwardPhase(phase)
      if backward.grid.taps == 0 || backward.grid.positionsPerSample == 0 { continue }
      let filters = alignedFloats(workspace)
      if backward.grid.usesWinograd(algorithm) {
        packWinograd(
          backward.grid, weights + backward.firstFilterTap, rowStride: backward.rowStride, tapStride: backward.tapStride,
          channelStride: s.inChannels * s.taps, columnStride: s.taps, into: filters)
        convolveWinograd(
          gradOutput, filters: filters, backward.grid, tail: MatrixTail(), into: gradInput, accumulate: accumulate,
          workspace: filters + WinogradPanels(backward.grid, kernels.convolution).floatCount)
      } else if s.isDepthwise {
        transposeFilters(weights, s, backward, into: filters)
        convolveDepthwise(
          gradOutput, filters: filters, backward.grid, tail: MatrixTail(), into: gradInput, accumulate: accumulate,
          workspace: filters + backward.grid.taps * s.inChannels)
      } else {
        let panels = FilterPanels(backward.grid, kernels.convolution)
        pack(
          panels, weights + backward.firstFilterTap, groupStride: s.outChannelsPerGroup * s.inChannelsPerGroup * s.taps,
          rowStride: backward.rowStride, tapStride: backward.tapStride, channelStride: s.inChannelsPerGroup * s.taps,
          columnStride: s.taps, into: filters)
        convolveTaps(
          gradOutput, filters: filters, backward.grid, tail: MatrixTail(), into: gradInput, accumulate: accumulate,
          workspace: filters + panels.floatCount)
      }
    }
  }

  private func fillZero(_ p: UnsafeMutablePointer<Float>, count: Int) {
    let cut = PieceCut.elements(count)
    run(ZeroFill(p: p, cut: cut), pieces: cut.pieces)
  }
}

private struct ZeroFill: PieceWork {
  let p: UnsafeMutablePointer<Float>
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    (p + start).update(repeating: 0, count: count)
  }
}
