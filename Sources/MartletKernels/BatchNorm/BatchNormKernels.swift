// The table of batch norm's kernels.

/// Every pass over data that batch norm makes, for one instruction set.
public struct BatchNormKernels: Sendable {
  /// Σ(x − center) and Σ(x − center)².
  public let moments: ChannelSumKernels
  /// The same, each value as often as its weight says.
  public let weightedMoments: ChannelSumKernels
  public let weightedGradientInput: ChannelPassKernels
  public let identity: ActivatedChannelKernels
  public let sigmoid: ActivatedChannelKernels
  public let tanh: ActivatedChannelKernels
  public let relu: ActivatedChannelKernels
  /// ReLU whose gradient does not read the output.
  public let recomputedRelu: ActivatedChannelKernels

  @inlinable
  public init<I: InstructionSet>(_ set: I.Type) {
    moments = ChannelSumKernels(ChannelMomentTerms<I>.self)
    weightedMoments = ChannelSumKernels(WeightedMomentTerms<I>.self)
    weightedGradientInput = ChannelPassKernels(WeightedGradientPass<I>.self)
    identity = ActivatedChannelKernels(set, IdentityActivation.self)
    sigmoid = ActivatedChannelKernels(set, SigmoidActivation.self)
    tanh = ActivatedChannelKernels(set, TanhActivation.self)
    relu = ActivatedChannelKernels(set, ReLUActivation.self)
    recomputedRelu = ActivatedChannelKernels(
      map: relu.map, residualMap: relu.residualMap, gradientsOf: RecomputedReLUActivation.self, set)
  }
}

/// The passes that apply an activation, or its derivative, as they go.
public struct ActivatedChannelKernels: Sendable {
  public let map: ChannelPassKernels
  /// The map, a residual added before the activation.
  public let residualMap: ChannelPassKernels
  /// Σg and Σg·(x − center).
  public let gradientSums: ChannelSumKernels
  public let gradientInput: ChannelPassKernels
  /// The gradient through statistics that were constants.
  public let scaledGradient: ChannelPassKernels

  @inlinable
  init<I: InstructionSet, A: ChannelActivation>(_ set: I.Type, _ activation: A.Type) {
    self.init(
      map: ChannelPassKernels(ChannelMapPass<I, A>.self), residualMap: ChannelPassKernels(ChannelResidualMapPass<I, A>.self),
      gradientsOf: activation, set)
  }

  @inlinable
  init<I: InstructionSet, A: ChannelActivation>(
    map: ChannelPassKernels, residualMap: ChannelPassKernels, gradientsOf activation: A.Type, _ set: I.Type
  ) {
    self.map = map
    self.residualMap = residualMap
    gradientSums = ChannelSumKernels(ChannelGradientTerms<I, A>.self)
    gradientInput = ChannelPassKernels(ChannelGradientPass<I, A>.self)
    scaledGradient = ChannelPassKernels(ChannelScaledGradientPass<I, A>.self)
  }
}

/// A pass that writes one value for each it reads, in both layouts.
public struct ChannelPassKernels: Sendable {
  public let columns: @Sendable (ChannelOperands, ChannelCoefficients, ColumnBlock) -> Void
  public let runs: @Sendable (ChannelOperands, ChannelCoefficients, RunBlock) -> Void

  @inlinable
  init<Pass: ChannelPass>(_ pass: Pass.Type) {
    columns = { operands, coefficients, block in
      if operands.streams {
        ChannelWalk.columns(Pass(accumulate: false), operands, coefficients, block, StreamingStore<Pass.Tag>.self)
      } else if operands.accumulate {
        ChannelWalk.columns(Pass(accumulate: true), operands, coefficients, block, OrdinaryStore<Pass.Tag>.self)
      } else {
        ChannelWalk.columns(Pass(accumulate: false), operands, coefficients, block, OrdinaryStore<Pass.Tag>.self)
      }
    }
    runs = { operands, coefficients, block in
      if operands.streams {
        ChannelWalk.runs(Pass(accumulate: false), operands, coefficients, block, StreamingStore<Pass.Tag>.self)
      } else if operands.accumulate {
        ChannelWalk.runs(Pass(accumulate: true), operands, coefficients, block, OrdinaryStore<Pass.Tag>.self)
      } else {
        ChannelWalk.runs(Pass(accumulate: false), operands, coefficients, block, OrdinaryStore<Pass.Tag>.self)
      }
    }
  }
}

/// Two sums a channel, in both layouts: gathered in short Float32 runs, or in Float64 throughout.
public struct ChannelSumKernels: Sendable {
  public let columns: @Sendable (ChannelOperands, ChannelCoefficients, ColumnBlock, ChannelSums) -> Void
  public let runs: @Sendable (ChannelOperands, ChannelCoefficients, RunBlock, ChannelSums) -> Void
  public let exactColumns:
    @Sendable (ChannelOperands, UnsafePointer<Double>, ChannelCoefficients, ColumnBlock, ChannelSums) -> Void
  public let exactRuns: @Sendable (ChannelOperands, UnsafePointer<Double>, ChannelCoefficients, RunBlock, ChannelSums) -> Void

  @inlinable
  init<Terms: ChannelTerms>(_ terms: Terms.Type) {
    columns = { operands, coefficients, block, sums in
      ChannelSummation.columns(Terms(), operands, coefficients, block, sums)
    }
    runs = { operands, coefficients, block, sums in ChannelSummation.runs(Terms(), operands, coefficients, block, sums) }
    exactColumns = { operands, center, coefficients, block, sums in
      ChannelSummation.exactColumns(Terms(), operands, center: center, coefficients, block, sums)
    }
    exactRuns = { operands, center, coefficients, block, sums in
      ChannelSummation.exactRuns(Terms(), operands, center: center, coefficients, block, sums)
    }
  }
}
