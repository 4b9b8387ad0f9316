// A loss as a function of two arrays, for loops by hand.
import MartletRuntime

extension Loss {
  /// The loss of given outputs, and optionally its gradient by them.
  ///
  /// Reads logits where the loss says so: here no activation is taken together with it, for an array does not say what made it.
  ///
  /// - Parameter gradient: contiguous Float32 of the output's shape, or nil.
  /// - Returns: of no rows, or rows without values, the loss is NaN.
  /// - Throws: ``MartletError`` if output and target are not what the loss takes; `gradient` is unchanged then.
  public func callAsFunction(_ output: ArrayView, _ target: ArrayView, gradient: ArrayView? = nil) throws -> TrainingResult {
    let environment = FloatingPointEnvironment.enter()
    defer { environment.leave() }
    return try evaluate(output, target, gradient: gradient, argument: "target")
  }

  /// - Parameter argument: what messages call the target.
  func evaluate(
    _ output: ArrayView, _ target: ArrayView, gradient: ArrayView?, argument: String, place: Int? = nil
  ) throws -> TrainingResult {
    let compute = try Compute.shared
    guard let rows = output.shape.first else {
      throw MartletError.shapeMismatch("output: expected the shape [rows, ...]; got a single number.")
    }
    let shape = Array(output.shape.dropFirst())
    try checkOutput(shape, argument: "output", output: "the output")
    let targets = try Targets(target, self, rows: rows, outputShape: shape, argument: argument, place: place)
    if let gradient {
      guard gradient.shape == output.shape else {
        throw MartletError.shapeMismatch(
          "gradient: the output's shape \(Shape.text(output.shape)) is needed; \(Shape.text(gradient.shape)) came.")
      }
      guard gradient.contiguousFloats != nil || gradient.count == 0 else {
        throw MartletError.invalidArgument("gradient: contiguous float32 memory is needed; \(gradient.dataType.name) came.")
      }
    }
    guard output.count > 0 else { return TrainingResult(loss: .nan, correct: countsCorrect ? 0 : nil, rows: rows) }
    let values = try Tensor(copying: output, argument: "output")
    let memory = try Storage(byteCount: targets.byteCount(rows: rows), isZeroed: false)
    try targets.load(from: 0, count: rows, into: memory.base)
    let workspace = try Storage(
      byteCount: compute.lossWorkspaceByteCount(rows: rows, columns: targets.columns), isZeroed: false)
    let found = targets.evaluate(
      values.storage.floats, memory.base, rows: rows, gradient: gradient?.contiguousFloats, gradientScale: 1 / Float(rows),
      workspace: workspace.base, compute)
    return result(sum: found.sum, correct: found.correct, rows: rows)
  }
}
