// The convolution: packing its filters, and the forward pass.
import MartletKernels

extension Compute {
  /// Memory of ``packConvolution(_:_:algorithm:into:)``.
  public func convolutionPackedByteCount(_ s: ConvolutionShape, algorithm: ConvolutionAlgorithm = .automatic) -> Int {
    if s.forwardGrid.usesWinograd(algorithm) {
      return WinogradPanels(s.forwardGrid, kernels.convolution).floatCount * MemoryLayout<Float>.stride + 64
    }
    if s.isProduct { return packedByteCount(columns: s.outChannels, depth: s.inChannels) + 64 }
    if s.isDepthwise { return s.weightCount * MemoryLayout<Float>.stride }
    return FilterPanels(s.forwardGrid, kernels.convolution).floatCount * MemoryLayout<Float>.stride + 64
  }

  /// Copies the filters into the order in which ``convolve(_:packed:_:algorithm:tail:into:workspace:)`` reads them; any number of samples. The copy belongs to
  /// one instruction set, one algorithm and its address.
  public func packConvolution(
    _ weights: UnsafePointer<Float>, _ s: ConvolutionShape, algorithm: ConvolutionAlgorithm = .automatic,
    into packed: UnsafeMutableRawPointer
  ) {
    if s.forwardGrid.usesWinograd(algorithm) {
      return packWinograd(
        s.forwardGrid, weights, rowStride: s.kernelWidth, tapStride: 1, channelStride: s.taps,
        columnStride: s.inChannels * s.taps, into: alignedFloats(packed))
    }
    if s.isProduct {
      let view = MatrixView(weights, rowStride: 1, columnStride: s.inChannels)
      return pack(view, columns: s.outChannels, depth: s.inChannels, into: alignedFloats(packed))
    }
    if s.isDepthwise {
      return transposeFilters(weights, s, into: packed.assumingMemoryBound(to: Float.self))
    }
    let depth = s.inChannelsPerGroup * s.taps
    pack(
      FilterPanels(s.forwardGrid, kernels.convolution), weights, groupStride: s.outChannelsPerGroup * depth,
      rowStride: s.kernelWidth, tapStride: 1, channelStride: s.taps, columnStride: depth, into: alignedFloats(packed))
  }

  /// Scratch memory of ``convolve(_:packed:_:algorithm:tail:into:workspace:)`` for at most so many samples, and any thread count.
  public func convolutionWorkspaceByteCount(_ s: ConvolutionShape, algorithm: ConvolutionAlgorithm = .automatic) -> Int {
    if s.forwardGrid.usesWinograd(algorithm) { return WinogradCut(s.forwardGrid, kernels.convolution).workspaceByteCount }
    if s.isProduct {
      return packedMultiplyWorkspaceByteCount(rows: s.positions, columns: s.outChannels, depth: s.inChannels)
    }
    if s.isDepthwise { return DepthwiseCut(s.forwardGrid, kernels).workspaceByteCount }
    return TapCut(s.forwardGrid, kernels.convolution).workspaceByteCount
  }

  /// Memory in which a convolution of at most so many samples leaves its moments; 0 where its cut does not allow that.
  public func convolutionMomentsByteCount(_ s: ConvolutionShape, algorithm: ConvolutionAlgorithm = .automatic) -> Int {
    let grid = s.forwardGrid
    let pieces: Int
    if grid.usesWinograd(algorithm) {
      let cut = WinogradCut(grid, kernels.convolution)
      pieces = cut.gathersMoments ? cut.mostPieces : 0
    } else if s.isProduct {
      return MatrixBlocking(rows: s.positions, columns: s.outChannels, depth: s.inChannels, b: .packed, kernels.matrix)
        .momentsByteCount
    } else if s.isDepthwise {
      pieces = DepthwiseCut(grid, kernels).mostPieces
    } else {
      let cut = TapCut(grid, kernels.convolution)
      pieces = cut.gathersMoments ? cut.mostPieces : 0
    }
    return pieces == 0 ? 0 : OutputMoments.byteCount(chunks: pieces, pieces: pieces, channels: s.outChannels)
  }

  /// `y = tail(x ∗ w)`, the convolution of ``ConvolutionShape``; the tail's vectors are indexed by output channel.
  ///
  /// Each value is the sum, in order, of chains of multiply-adds that follow from the shape of one sample: a sample alone has the bits it
  /// has in any batch, for any thread count.
  ///
  /// - Parameter moments: receives the moments of y's channels, for ``normalizeBatch(_:_:_:epsilon:_:residual:activation:moments:into:workspace:)``.
  ///
  /// Edge cases: no samples, nothing happens. NaN and infinity reach the values whose window or filter they are in, and no others (a window's
  /// zeros count: infinity in a filter makes NaN at the border); by Winograd's algorithm, all four values of a tile that reads them.
  /// y must not overlap x.
  public func convolve(
    _ x: UnsafePointer<Float>, packed: UnsafeRawPointer, _ s: ConvolutionShape,
    algorithm: ConvolutionAlgorithm = .automatic, tail: MatrixTail = MatrixTail(), into y: UnsafeMutablePointer<Float>,
    workspace: UnsafeMutableRawPointer, moments: UnsafeMutableRawPointer? = nil
  ) {
    guard s.positions > 0 else { return }
    if s.forwardGrid.usesWinograd(algorithm) {
      return convolveWinograd(
        x, filters: alignedFloats(packed), s.forwardGrid, tail: tail, into: y, accumulate: false, workspace: workspace,
        moments: moments)
    }
    if s.isProduct {
      return multiply(
        rows: s.positions, MatrixView(x, rowStride: s.inChannels, columnStride: 1),
        PackedMatrix(panels: alignedFloats(packed), columns: s.outChannels, depth: s.inChannels), into: y,
        rowStride: s.outChannels, tail: tail, workspace: workspace, moments: moments)
    }
    let grid = s.forwardGrid
    if s.isDepthwise {
      return convolveDepthwise(
        x, filters: packed.assumingMemoryBound(to: Float.self), grid, tail: tail, into: y, accumulate: false,
        workspace: workspace, moments: moments)
    }
    convolveTaps(
      x, filters: alignedFloats(packed), grid, tail: tail, into: y, accumulate: false, workspace: workspace,
      moments: moments)
  }

  func pack(
    _ panels: FilterPanels, _ filters: UnsafePointer<Float>, groupStride: Int, rowStride: Int, tapStride: Int,
    channelStride: Int, columnStride: Int, into target: UnsafeMutablePointer<Float>
  ) {
    run(
      PanelPackingWork(
        kernels: kernels.convolution, panels: panels, filters: filters, groupStride: groupStride, rowStride: rowStride,
        tapStride: tapStride, channelStride: channelStride, columnStride: columnStride, target: target),
      pieces: panels.strips)
  }

  func convolveTaps(
    _ x: UnsafePointer<Float>, filters: UnsafePointer<Float>, _ grid: TapGrid, tail: MatrixTail,
    into y: UnsafeMutablePointer<Float>, accumulate: Bool, workspace: UnsafeMutableRawPointer,
    moments: UnsafeMutableRawPointer? = nil
  ) {
    let cut = TapCut(grid, kernels.convolution)
    run(
      TapConvolution(
        kernels: kernels, cut: cut, tables: cut.prepare(workspace), x: x, filters: filters, y: y, accumulate: accumulate,
        tail: tail, moments: moments.flatMap { cut.moments($0, kernels.batchNorm.moments) }),
      pieces: cut.pieces)
  }

  /// From a cache line on: a vector that crosses one takes twice as long to load.
  func alignedFloats(_ p: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Float> {
    p.alignedUp(toMultipleOf: 64).assumingMemoryBound(to: Float.self)
  }
  func alignedFloats(_ p: UnsafeRawPointer) -> UnsafePointer<Float> {
    p.alignedUp(toMultipleOf: 64).assumingMemoryBound(to: Float.self)
  }
}
