// Depthwise convolution: a group for each channel. Filters are read as [taps, channels].
import MartletKernels

struct DepthwiseCut {
  let blocks: TapBlocks
  let pieces: Int
  let mostPieces: Int
  private static var positionsPerBlock: Int { 1024 }

  init(_ grid: TapGrid, _ kernels: KernelTable) {
    blocks = TapBlocks(grid, isDepthwise: true, mostPositions: Self.positionsPerBlock)
    // A value is read for every multiply-add.
    let work = 4 * Double(grid.samples) * Double(grid.positionsPerSample) * Double(grid.taps * grid.channels)
    mostPieces = Int(min(max(work / TapCut.workPerPiece, 1), Double(TapCut.maximumPieces)))
    pieces = max(1, min(blocks.count, mostPieces))
  }

  var workspaceByteCount: Int { WorkspaceSlots.byteCount(slots: mostPieces, floats: blocks.windowFloats) }
}

extension Compute {
  func convolveDepthwise(
    _ x: UnsafePointer<Float>, filters: UnsafePointer<Float>, _ grid: TapGrid, tail: MatrixTail,
    into y: UnsafeMutablePointer<Float>, accumulate: Bool, workspace: UnsafeMutableRawPointer,
    moments: UnsafeMutableRawPointer? = nil
  ) {
    let cut = DepthwiseCut(grid, kernels)
    run(
      DepthwiseConvolution(
        kernels: kernels, cut: cut, slots: WorkspaceSlots(workspace, floats: cut.blocks.windowFloats), x: x, filters: filters,
        y: y, accumulate: accumulate, tail: tail,
        moments: moments.flatMap { cut.blocks.moments($0, kernels.batchNorm.moments, pieces: cut.pieces) }),
      pieces: cut.pieces)
  }

  /// `[channels, 1, kernelHeight, kernelWidth]` as `[taps, channels]`.
  func transposeFilters(_ weights: UnsafePointer<Float>, _ s: ConvolutionShape, into target: UnsafeMutablePointer<Float>) {
    for t in 0..<s.taps {
      for c in 0..<s.inChannels { target[t * s.inChannels + c] = weights[c * s.taps + t] }
    }
  }

  /// The same for the taps of one phase of the input's gradient.
  func transposeFilters(
    _ weights: UnsafePointer<Float>, _ s: ConvolutionShape, _ phase: BackwardPhase, into target: UnsafeMutablePointer<Float>
  ) {
    let width = phase.grid.horizontal.taps
    for i in 0..<phase.grid.vertical.taps {
      for j in 0..<width {
        let tap = phase.firstFilterTap + i * phase.rowStride + j * phase.tapStride
        for c in 0..<s.inChannels { target[(i * width + j) * s.inChannels + c] = weights[c * s.taps + tap] }
      }
    }
  }
}

private struct DepthwiseConvolution: PieceWork {
  let kernels: KernelTable
  let cut: DepthwiseCut
  let slots: WorkspaceSlots
  let x: UnsafePointer<Float>
  let filters: UnsafePointer<Float>
  let y: UnsafeMutablePointer<Float>
  let accumulate: Bool
  let tail: MatrixTail
  let moments: OutputMomentsGathering?

  func run(_ piece: Int) {
    let slot = slots.take()
    defer { slots.giveBack(slot.index) }
    var done = 0
    for block in cut.blocks.range(piece, of: cut.pieces) {
      compute(cut.blocks.block(block), window: slot.memory)
      guard let moments else { continue }
      let (first, count) = cut.blocks.positions(block)
      let channels = cut.blocks.grid.resultChannels
      moments.gather(y + first * channels, rows: count, columns: 0..<channels, chunk: piece, before: done, piece: piece)
      done += count
    }
  }

  private func compute(_ block: TapBlocks.Block, window: UnsafeMutablePointer<Float>) {
    let grid = cut.blocks.grid
    let (vertical, horizontal) = (grid.vertical, grid.horizontal)
    let source = cut.blocks.read(x, block, group: 0, window: window)
    let rowFloats = horizontal.resultLength * grid.resultChannels
    for run in 0..<block.runs {
      let (sample, row) = (run / block.rows, run % block.rows)
      let resultRow =
        (block.sample + sample) * vertical.resultLength + (block.row + row) * vertical.step + vertical.phase
      let target = y + resultRow * rowFloats + horizontal.phase * grid.resultChannels
      kernels.convolution.depthwiseRow(
        DepthwiseRow(
          positions: horizontal.positions, channels: grid.channels, tapsHeight: vertical.taps, tapsWidth: horizontal.taps,
          x: source + sample * cut.blocks.sampleStride + row * vertical.stride * cut.blocks.rowStride,
          xStride: horizontal.stride * grid.channels, rowStride: vertical.dilation * cut.blocks.rowStride,
          tapStride: horizontal.dilation * grid.channels, filters: filters, y: target,
          yStride: horizontal.step * grid.resultChannels, accumulate: accumulate))
      if tail.isPresent {
        kernels.matrix.applyTail(
          target, grid.resultChannels, horizontal.positions, grid.resultChannels, tail.kernelTail(from: 0, element: target - y))
      }
    }
  }
}
