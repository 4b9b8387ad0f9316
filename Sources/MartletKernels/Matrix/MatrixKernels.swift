// The table of matrix kernels.

public struct MatrixKernels: Sendable {
  @inlinable
  public init<I: InstructionSet>(_ set: I.Type) {}
}
