// Names of the runtime that belong to the public API.
@_exported import enum MartletRuntime.Activation
@_exported import enum MartletRuntime.BinaryOperation
@_exported import enum MartletRuntime.ConvolutionAlgorithm
@_exported import enum MartletRuntime.ReductionOperation
@_exported import enum MartletRuntime.UnaryOperation
