// The tensors of a safetensors file, of whoever wrote it, into a model that exists.

extension Model {
  /// Reads parameters and state by name from a safetensors file: all of them, or (after an error) none.
  ///
  /// The file may be ``save(to:)``'s or another library's; its architecture, if it has one, is not looked at. F32, F64, F16 and
  /// BF16 are converted to the tensor's own type, rounded to nearest; counters are whole numbers of any integer or floating-point
  /// type, of one element. Tensors of types that are not read (F4, F8_E4M3FNUZ) are as if the model did not have them, unless it does.
  ///
  /// - Parameters:
  ///   - strict: every tensor of the model must be in the file and no other (batch norm's counters may be missing and then become
  ///     0). Otherwise what is missing stays, and what is unknown is left out; shapes must fit in either case.
  ///   - flattenOrder: where flattened images have their channels in the network that the file is of. Nil: here, if Martlet wrote
  ///     the file; the tensors of another's that follow a flattened image are refused, with the layer's name.
  /// - Returns: names of the model's tensors that were read, of those that the file lacks, and of the file's that the model lacks.
  /// - Throws: ``MartletError/Kind/inputOutput`` if the file cannot be read; ``MartletError/Kind/corruptFile`` if it is truncated or
  ///   no valid safetensors file; ``MartletError/Kind/invalidArgument`` for names, ``MartletError/Kind/shapeMismatch`` for shapes that
  ///   are another architecture's (each with its layer), for a file of which not one name fits, and for values that a tensor cannot
  ///   hold; ``MartletError/Kind/unsupported`` for a file of another format, or a type that a tensor cannot take.
  @discardableResult
  public func loadWeights(from path: String, strict: Bool = true, flattenOrder: FlattenOrder? = nil) throws -> LoadReport {
    try network.exclusivity.changing { try readWeights(from: path, strict: strict, flattenOrder: flattenOrder) }
  }

  private func readWeights(from path: String, strict: Bool, flattenOrder: FlattenOrder?) throws -> LoadReport {
    let file = try Safetensors.read(path)
    let source = excerpt(path, limit: 400)
    let own = Set(variables.map { Name($0.name) })
    var report = LoadReport(unexpected: file.header.entries.map(\.name).filter { !own.contains(Name($0)) })
    let missing = variables.filter { file.header.entry(named: $0.name) == nil }
    report.missing = missing.map(\.name)
    if missing.count == variables.count, !variables.isEmpty { throw report.nothingFits(source) }
    let needed = missing.filter { !Model.optionalNames.contains($0.localName) }
    if strict, !(report.unexpected.isEmpty && needed.isEmpty) {
      throw report.anotherArchitecture(source, missing: needed.map(\.name))
    }
    let order = flattenOrder ?? (file.header.metadata(named: Model.metadataKey) == nil ? nil : .channelsLast)
    let flattened = FlattenedTensors(self)
    let writes = try layers.flatMap { layer in
      try layer.variables.compactMap { variable -> (Variable, SafetensorsTensor, FlattenedTensor?)? in
        do {
          guard let tensor = try file.tensor(named: variable.name) else { return nil }
          let change = try flattened.tensor(variable, from: order, to: .channelsLast)
          try Model.check(tensor, for: variable, of: layer, shape: change?.shapeBefore ?? variable.shape)
          return (variable, tensor, change)
        } catch let error as MartletError { throw MartletError(error.kind, "\(source): \(error.message)") }
      }
    }
    report.matched = writes.map(\.0.name)
    let scratch = try Storage(byteCount: writes.map { ($0.2?.scratchCount ?? 0) * $0.0.dataType.byteCount }.max() ?? 0)
    if strict { for variable in missing { variable.storage.integers.pointee = 0 } }
    for (variable, tensor, change) in writes {
      Model.write(tensor, to: variable)
      change?.move(variable.storage.base, scratch.base, variable.dataType.byteCount)
    }
    for variable in strict ? variables : writes.map(\.0) { variable.didWrite() }
    return report
  }

  /// Whether a tensor has the shape of a variable, or both are one counter.
  static func fits(_ shape: [Int], _ count: Int, _ variable: Variable, shape expected: [Int]? = nil) -> Bool {
    shape == expected ?? variable.shape || variable.dataType == .int64 && count == 1
  }

  private static func check(
    _ tensor: SafetensorsTensor, for variable: Variable, of layer: ModelLayer, shape: [Int]
  ) throws {
    guard fits(tensor.shape, tensor.count, variable, shape: shape) else {
      throw MartletError.shapeMismatch(
        "layer \(excerpt(layer.name)) (\(layer.kind)) needs \(excerpt(variable.name)) of shape \(Shape.text(shape)); "
          + "the file's has \(Shape.text(tensor.shape)). Is it the file of another architecture?")
    }
    switch variable.dataType {
    case .int64:
      let value = try tensor.counterValue()
      try variable.check(count: 1) { _ in Double(value) }
    case .float64:
      try tensor.checkFloat64()
      try variable.check(count: tensor.count) { tensor.double($0) }
    default:
      try tensor.checkFloat32()
      try variable.check(count: tensor.count) { tensor.double($0) }
    }
  }

  /// Writes values that were checked.
  private static func write(_ tensor: SafetensorsTensor, to variable: Variable) {
    withExtendedLifetime(tensor) {
      switch variable.dataType {
      case .int64: if let value = try? tensor.counterValue() { variable.storage.integers.pointee = value }
      case .float64: tensor.copyFloat64(to: variable.storage.doubles)
      default: tensor.copyFloat32(to: variable.mutableFloats)
      }
    }
  }
}
