// Looks a model over for what commonly goes wrong with batch norm, with data or without.

/// What a check is to know beside the model.
public struct CheckOptions: Sendable {
  /// Rows of the training batches; nil: unknown.
  public var batchSize: Int?
  /// The rule that trains the model; nil: unknown.
  public var optimizer: OptimizerOptions?
  /// What the targets are for.
  public var loss: Loss

  public init(batchSize: Int? = nil, optimizer: OptimizerOptions? = nil, loss: Loss = .crossEntropy) {
    self.batchSize = batchSize
    self.optimizer = optimizer
    self.loss = loss
  }
}

extension Model {
  /// Findings about the model: errors first, then warnings, then notes; each kind in the order the layers run.
  ///
  /// Without data: the order of the layers, bias, decay, statistics never updated, batches of one row, frozen layers, scales, softmaxes.
  /// With data the batch's variance against the moving one, drift, and ReLUs that never open; with targets the last
  /// activation against the loss, and the loss in training against that at inference. ``Finding/Code`` lists all; docs/checking.md has each one's definition and limit.
  ///
  /// Changes nothing: training is tried on a copy, without dropout, with the batches' own statistics. May run while other
  /// threads predict.
  ///
  /// - Parameters:
  ///   - data: as for ``predict(_:batchSize:into:)``, finite; training data, or what the model meets where it serves.
  ///   - targets: as for ``Trainer/step(_:_:)`` with `options.loss`; needs data.
  /// - Throws: ``MartletError/Kind/shapeMismatch`` for data or targets that do not fit;
  ///   ``MartletError/Kind/invalidArgument`` for no rows, values that are not finite, targets without data, or options out of
  ///   range.
  ///
  /// Cost: with data a copy of the model, one pass in training and one at inference.
  public func check(
    on data: [ArrayView]? = nil, targets: [ArrayView]? = nil, _ options: CheckOptions = CheckOptions()
  ) throws -> [Finding] {
    let reserve = try MemoryReserve(channelsOf: network)
    defer { reserve.end() }
    if let batchSize = options.batchSize, batchSize < 1 {
      throw MartletError.invalidArgument("batch_size must be 1 or more; \(batchSize) came.")
    }
    try options.optimizer?.check()
    let rows = try data.map { try checkInputs($0, what: "data") }
    if rows == 0 { throw MartletError.invalidArgument("data: a check needs 1 or more rows; 0 came.") }
    if targets != nil && data == nil {
      throw MartletError.invalidArgument("targets came without data: give both, or neither.")
    }
    return try network.exclusivity.reading { try findings(data, rows: rows, targets, options) }
  }

  private func findings(
    _ data: [ArrayView]?, rows: Int?, _ targets: [ArrayView]?, _ options: CheckOptions
  ) throws -> [Finding] {
    let structure = StructureCheck(self)
    var findings = structure.findings(options, rows: rows)
    findings += OutputCheck(self, loss: targets == nil ? nil : options.loss).findings()
    // Without its statistics an input normalization cannot run.
    if let data, let rows, !findings.contains(where: { $0.code == .inputNormalizationNotFitted }) {
      let measures = try DataMeasures(self, data, targets, rows: rows, options)
      findings += DataCheck(structure, measures).findings()
    }
    return Finding.Severity.allCases.reversed().flatMap { severity in findings.filter { $0.severity == severity } }
  }

  /// A check on the data of one input, without targets.
  public func check(on data: Tensor, _ options: CheckOptions = CheckOptions()) throws -> [Finding] {
    try MartletError.naming(["data[0]": "data"]) {
      try withExtendedLifetime(data) { try check(on: [data.view("data")], options) }
    }
  }

  /// A check on the data of one input, with one class a row.
  public func check(on data: Tensor, labels: [Int32], _ options: CheckOptions = CheckOptions()) throws -> [Finding] {
    try MartletError.naming(["data[0]": "data", "targets[0]": "labels"]) {
      try withExtendedLifetime(data) {
        try labels.withUnsafeBufferPointer { buffer in
          let memory = UnsafeMutableRawPointer(mutating: buffer.baseAddress)
          let view = try ArrayView(memory, .int32, shape: [buffer.count], argument: "labels")
          return try check(on: [data.view("data")], targets: [view], options)
        }
      }
    }
  }

  /// A check on the data of one input, with targets of the output's shape.
  public func check(on data: Tensor, targets: Tensor, _ options: CheckOptions = CheckOptions()) throws -> [Finding] {
    try MartletError.naming(["data[0]": "data", "targets[0]": "targets"]) {
      try withExtendedLifetime((data, targets)) {
        try check(on: [data.view("data")], targets: [targets.view("targets")], options)
      }
    }
  }
}
