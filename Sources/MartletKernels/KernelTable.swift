// Every kernel of one instruction set, as plain functions; the layers above call nothing else.

/// One sub-table a concept, each in its concept's folder.
public struct KernelTable: Sendable {
  /// "baseline", "avx2" or "avx512".
  public let name: String
  /// Float32 lanes of one vector.
  public let lanes: Int
  public let matrix: MatrixKernels
  public let convolution: ConvolutionKernels
  public let pooling: PoolingKernels
  public let batchNorm: BatchNormKernels
  public let normalization: NormalizationKernels
  public let elementwise: ElementwiseKernels
  public let reduction: ReductionKernels
  public let loss: LossKernels
  public let update: UpdateKernels

  @inlinable
  public init<I: InstructionSet>(_ name: String, _ set: I.Type) {
    self.name = name
    lanes = I.lanes
    matrix = MatrixKernels(set)
    convolution = ConvolutionKernels(set)
    pooling = PoolingKernels(set)
    batchNorm = BatchNormKernels(set)
    normalization = NormalizationKernels(set)
    elementwise = ElementwiseKernels(set)
    reduction = ReductionKernels(set)
    loss = LossKernels(set)
    update = UpdateKernels(set)
  }
}
