// Writing a model's tensors and switches.

extension Model {
  /// Writes several tensors at once; all are checked before the first is written.
  ///
  /// - Parameter strict: every tensor of the model must be named; batch norm's counters may be missing and then become 0.
  /// - Throws: ``MartletError/Kind/invalidArgument`` for a name that is not there, comes twice or is missing, and for values that a
  ///   tensor cannot have: statistics that are not finite, negative variances and counters, numbers that Float32 cannot hold;
  ///   ``MartletError/Kind/shapeMismatch`` for another shape.
  public func setVariables(_ values: [(name: String, value: ArrayView)], strict: Bool) throws {
    try network.exclusivity.changing { try writeVariables(values, strict: strict) }
  }

  private func writeVariables(_ values: [(name: String, value: ArrayView)], strict: Bool) throws {
    var seen: Set<Name> = []
    var writes: [(Variable, ArrayView)] = []
    for (name, value) in values {
      let variable = try variable(named: name)
      guard seen.insert(Name(name)).inserted else {
        throw MartletError.invalidArgument("The tensor \(excerpt(name)) came twice.")
      }
      let holdsCounter = variable.dataType == .int64
      guard value.shape == variable.shape || holdsCounter && value.count == 1 else {
        throw MartletError.shapeMismatch(
          "\(name): the shape \(Shape.text(variable.shape)) is needed; \(Shape.text(value.shape)) came.")
      }
      if holdsCounter, value.firstInteger == nil {
        throw MartletError.invalidArgument("\(name): expected a whole number of 0 or more.")
      }
      if variable.dataType == .float32 { try value.checkFloat32Range(name) }
      try variable.check(value)
      writes.append((variable, value))
    }
    if strict {
      let missing = variables.filter { !seen.contains(Name($0.name)) }
      let needed = missing.filter { !Model.optionalNames.contains($0.localName) }
      guard needed.isEmpty else {
        throw MartletError.invalidArgument(
          "The model's tensors \(excerpts(needed.map(\.name), most: 12)) are missing. "
            + "Give them all, or turn strict off.")
      }
      for variable in missing { variable.storage.integers.pointee = 0 }
      for variable in missing { variable.didWrite() }
    }
    for (variable, value) in writes {
      switch variable.dataType {
      case .float64: value.copy(into: variable.storage.doubles)
      case .int64: variable.storage.integers.pointee = value.firstInteger ?? 0
      default: try value.copy(into: variable.mutableFloats, variable.name)
      }
      variable.didWrite()
    }
  }

  /// Counters that other libraries' files do not have.
  static let optionalNames: Set<String> = ["num_batches_tracked", "num_batches_skipped"]

  /// Whether optimizers change the parameter. Kept with the model.
  public func setTrainable(_ name: String, _ isTrainable: Bool) throws {
    let variable = try variable(named: name)
    guard variable.kind == .parameter else {
      throw MartletError.invalidArgument("\(name) is state, which optimizers never change; only parameters can be trained.")
    }
    try network.exclusivity.changing {
      variable.isTrainable = isTrainable
      network.didChange()
    }
  }
}

/// What a batch norm does while training; each may change at any time and is kept with the model.
public struct BatchNormSwitches: Equatable, Sendable {
  /// What normalises.
  public var normalizer: BatchNorm.Normalizer
  /// The moving statistics follow the batches.
  public var updatesMoving: Bool
  /// Optimizers change scale and shift.
  public var trainsScaleShift: Bool

  public init(normalizer: BatchNorm.Normalizer, updatesMoving: Bool, trainsScaleShift: Bool) {
    self.normalizer = normalizer
    self.updatesMoving = updatesMoving
    self.trainsScaleShift = trainsScaleShift
  }

  /// Nothing moves: the moving statistics normalise and stay, scale and shift stay.
  public static let frozen = BatchNormSwitches(normalizer: .moving, updatesMoving: false, trainsScaleShift: false)
  /// As a new layer.
  public static let learning = BatchNormSwitches(normalizer: .batch, updatesMoving: true, trainsScaleShift: true)
}

extension Model {
  public func batchNormSwitches(layer name: String) throws -> BatchNormSwitches {
    try network.exclusivity.reading { try switches(layer: name) }
  }

  private func switches(layer name: String) throws -> BatchNormSwitches {
    let layer = try layer(named: name)
    guard let options = layer.layer as? BatchNorm else { throw notBatchNorm(layer) }
    let parameters = layer.variables.filter { $0.kind == .parameter }
    return BatchNormSwitches(
      normalizer: options.normalizer, updatesMoving: options.updatesMoving,
      trainsScaleShift: parameters.isEmpty ? options.trainsScaleShift : parameters.contains { $0.isTrainable })
  }

  /// Sets the switches of one batch norm, or of all with nil.
  public func setBatchNormSwitches(layer name: String?, _ switches: BatchNormSwitches) throws {
    try network.exclusivity.changing { try write(switches, layer: name) }
  }

  private func write(_ switches: BatchNormSwitches, layer name: String?) throws {
    let targets: [ModelLayer]
    if let name {
      let layer = try layer(named: name)
      guard layer.layer is BatchNorm else { throw notBatchNorm(layer) }
      targets = [layer]
    } else {
      targets = layers.filter { $0.layer is BatchNorm }
    }
    for layer in targets {
      guard var options = layer.layer as? BatchNorm else { continue }
      options.normalizer = switches.normalizer
      options.updatesMoving = switches.updatesMoving
      options.trainsScaleShift = switches.trainsScaleShift
      layer.layer = options
      for variable in layer.variables where variable.kind == .parameter { variable.isTrainable = switches.trainsScaleShift }
    }
    network.didChange()
  }

  private func notBatchNorm(_ layer: ModelLayer) -> MartletError {
    let known = excerpts(layers.filter { $0.layer is BatchNorm }.map(\.name), most: 12)
    return MartletError.invalidArgument(
      "layer_name: \(excerpt(layer.name)) is a \(layer.kind), not a batch norm. The model's batch norms: \(known.isEmpty ? "none" : known)."
    )
  }
}
