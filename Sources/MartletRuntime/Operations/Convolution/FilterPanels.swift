// Filters as panels: what a convolution reads, one register tile wide, tap after tap.
import MartletKernels

/// The panels of one ``TapGrid``'s filters: groups one after the other, in a group strips of columns, in a strip the rows (i, j, c) of full
/// depth.
struct FilterPanels {
  let grid: TapGrid
  let panelColumns: Int
  let lanes: Int

  init(_ grid: TapGrid, _ kernels: ConvolutionKernels) {
    self.grid = grid
    panelColumns = kernels.panelColumns
    lanes = kernels.lanes
  }

  var stripsPerGroup: Int { (grid.resultChannelsPerGroup + panelColumns - 1) / panelColumns }
  var strips: Int { grid.groups * stripsPerGroup }
  /// A group's columns, rounded up to whole vectors.
  var paddedColumns: Int { (grid.resultChannelsPerGroup + lanes - 1) / lanes * lanes }
  var floatCount: Int { grid.groups * paddedColumns * grid.depth }

  /// The columns of a strip, within its group.
  func columns(_ strip: Int) -> Range<Int> {
    let first = strip % stripsPerGroup * panelColumns
    return first..<min(first + panelColumns, grid.resultChannelsPerGroup)
  }

  /// The result's channels in one of `parts` equal parts of the strips.
  func channels(_ part: Int, of parts: Int) -> Range<Int> {
    func first(_ strip: Int) -> Int {
      strip == strips ? grid.resultChannels : group(strip) * grid.resultChannelsPerGroup + columns(strip).lowerBound
    }
    return first(part * strips / parts)..<first((part + 1) * strips / parts)
  }

  func group(_ strip: Int) -> Int { strip / stripsPerGroup }

  /// Floats before a strip's panel.
  func offset(_ strip: Int) -> Int { (group(strip) * paddedColumns + columns(strip).lowerBound) * grid.depth }

  func width(_ strip: Int) -> Int { (columns(strip).count + lanes - 1) / lanes * lanes }
}

/// Copies filters into panels, one strip a piece. Element (tap i, j; channel c; column o) of group g lies at
/// `filters[g·groupStride + i·rowStride + j·tapStride + c·channelStride + o·columnStride]`.
struct PanelPackingWork: PieceWork {
  let kernels: ConvolutionKernels
  let panels: FilterPanels
  let filters: UnsafePointer<Float>
  let groupStride: Int
  let rowStride: Int
  let tapStride: Int
  let channelStride: Int
  let columnStride: Int
  let target: UnsafeMutablePointer<Float>

  func run(_ strip: Int) {
    let grid = panels.grid
    let columns = panels.columns(strip)
    kernels.packFilters(
      FilterPacking(
        filters: filters + panels.group(strip) * groupStride + columns.lowerBound * columnStride,
        tapsHeight: grid.vertical.taps, tapsWidth: grid.horizontal.taps, channels: grid.channelsPerGroup,
        columns: columns.count, rowStride: rowStride, tapStride: tapStride, channelStride: channelStride,
        columnStride: columnStride, panel: target + panels.offset(strip)))
  }
}
