// Training with Swift's own arrays.

extension Trainer {
  /// One step of a model with one input and one output. `labels`: one class a row.
  @discardableResult
  public func step(_ x: Tensor, labels: [Int32]) throws -> TrainingResult {
    try withLabels(labels) { try step([x.view("x")], [$0]) }
  }

  @discardableResult
  public func step(_ x: Tensor, targets: Tensor) throws -> TrainingResult {
    try MartletError.naming(["inputs[0]": "x", "targets[0]": "targets"]) {
      try withExtendedLifetime((x, targets)) { try step([x.view("x")], [targets.view("targets")]) }
    }
  }

  @discardableResult
  public func fit(
    _ x: Tensor, labels: [Int32], _ options: FitOptions = FitOptions(), onEvent: ((TrainingEvent) -> Bool)? = nil
  ) throws -> TrainingResult {
    try withLabels(labels) { try fit([x.view("x")], [$0], options, onEvent: onEvent) }
  }

  public func evaluate(
    _ x: Tensor, labels: [Int32], normalization: ImageNormalization? = nil
  ) throws -> TrainingResult {
    try withLabels(labels) { try evaluate([x.view("x")], [$0], normalization: normalization) }
  }

  private func withLabels<Result>(_ labels: [Int32], _ body: (ArrayView) throws -> Result) throws -> Result {
    try MartletError.naming(["inputs[0]": "x", "targets[0]": "labels"]) {
      try labels.withUnsafeBufferPointer { buffer in
        try body(
          ArrayView(
            UnsafeMutableRawPointer(mutating: buffer.baseAddress), .int32, shape: [buffer.count], argument: "labels"))
      }
    }
  }
}
