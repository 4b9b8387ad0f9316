// The table of convolution kernels.

public struct ConvolutionKernels: Sendable {
  /// Widest panel of filters.
  public let panelColumns: Int
  /// Float32 lanes of one vector.
  public let lanes: Int
  /// Room that a tile of partial vectors needs.
  public let edgeFloats: Int
  /// Positions times one panel of filters.
  public let multiplyTaps: @Sendable (_ product: TapProduct) -> Void
  /// The same where three taps over ``NeighbourTaps/channels`` channels lie side by side, and the columns are one vector.
  public let multiplyNeighbours: @Sendable (_ taps: NeighbourTaps) -> Void
  /// Windows times gradients, summed over positions.
  public let multiplyFilterGradient: @Sendable (_ product: FilterGradientProduct) -> Void
  /// Filters in the order of reading.
  public let packFilters: @Sendable (_ packing: FilterPacking) -> Void
  /// Partial sums of the filters' gradient, added up and written in the filters' own order.
  public let gatherFilterGradient: @Sendable (_ gathering: FilterGathering) -> Void
  /// Depthwise convolution, one row of the output.
  public let depthwiseRow: @Sendable (_ row: DepthwiseRow) -> Void
  /// Depthwise convolution: what one row of the output adds to the filters' gradient.
  public let depthwiseFilterGradient: @Sendable (_ row: DepthwiseGradientRow) -> Void
  /// Winograd's transforms: (patch, count) of neighbouring patches, (the outputs of neighbouring tiles, their distance), and (panel, count) of filters in place.
  public let winogradPatches: @Sendable (_ first: WinogradPatch, _ count: Int) -> Void
  public let winogradTiles: @Sendable (_ first: WinogradTiles, _ tileWidth: Int) -> Void
  public let winogradFilters: @Sendable (UnsafeMutablePointer<Float>, Int) -> Void

  @inlinable
  public init<I: InstructionSet>(_ set: I.Type) {
    panelColumns = 2 * I.lanes
    lanes = I.lanes
    edgeFloats = 12 * 2 * I.lanes
    multiplyTaps = { MartletKernels.multiplyTaps(I.self, $0) }
    multiplyNeighbours = { MartletKernels.multiplyNeighbours(I.self, $0) }
    multiplyFilterGradient = { MartletKernels.multiplyFilterGradient(I.self, $0) }
    packFilters = { MartletKernels.packFilters(I.self, $0) }
    gatherFilterGradient = { MartletKernels.gatherFilterGradient(I.self, $0) }
    winogradPatches = { MartletKernels.winogradPatches(I.self, $0, count: $1) }
    winogradTiles = { MartletKernels.winogradTiles(I.self, $0, tileWidth: $1) }
    winogradFilters = { MartletKernels.winogradFilters(I.self, $0, count: $1) }
    depthwiseRow = { MartletKernels.depthwiseRow(I.self, $0) }
    depthwiseFilterGradient = { MartletKernels.depthwiseFilterGradient(I.self, $0) }
  }
}
