// The table of the kernels that batch norm's relatives need beside its own.

/// Row normalisation, and the passes of group norm and filter response norm, for one instruction set.
public struct NormalizationKernels: Sendable {
  public let rows: @Sendable (RowNormalizationOperands) -> Void
  public let rowGradients: @Sendable (RowGradientOperands) -> Void
  public let groupGradient: ChannelPassKernels
  public let filterResponse: ChannelPassKernels
  public let filterResponseGradient: ChannelPassKernels
  public let filterResponseSums: ChannelSumKernels
  public let thresholdSums: ChannelSumKernels

  @inlinable
  public init<I: InstructionSet>(_ set: I.Type) {
    rows = { rowNormalizationKernel(set, $0) }
    rowGradients = { rowGradientsKernel(set, $0) }
    groupGradient = ChannelPassKernels(GroupGradientPass<I>.self)
    filterResponse = ChannelPassKernels(FilterResponseMapPass<I>.self)
    filterResponseGradient = ChannelPassKernels(FilterResponseGradientPass<I>.self)
    filterResponseSums = ChannelSumKernels(FilterResponseTerms<I>.self)
    thresholdSums = ChannelSumKernels(FilterResponseThresholdTerms<I>.self)
  }
}
