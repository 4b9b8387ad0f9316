// The tensors of a safetensors file, of whoever wrote it, into a model that exists.

extension Model {
  /// Reads parameters and state by name from a safetensors file: all of them, or (after an error) none.
  ///
  /// The file may be ``save(to:)``'s or another library's; its architecture, if it has one, is not looked at. F32, F64, F16 and
  /// BF16 are converted to the tensor's own type, rounded to nearest; counters are integers of any width, of one element.
  ///
  /// - Parameter strict: every tensor of the model must be in the file and no other (batch norm's counters may be missing and
  ///   then become 0). Otherwise what is missing stays, and what is unknown is left out; shapes must fit in either case.
  /// - Returns: names of the model's tensors that the file lacks, and of the file's that the model lacks.
  /// - Throws: ``MartletError/Kind/inputOutput`` if the file cannot be read; ``MartletError/Kind/corruptFile`` if it is no whole
  ///   safetensors file; ``MartletError/Kind/invalidArgument`` for names, ``MartletError/Kind/shapeMismatch`` for shapes that are
  ///   another architecture's (each with its layer); ``MartletError/Kind/unsupported`` for a type that a tensor cannot take.
  @discardableResult
  public func loadWeights(from path: String, strict: Bool = true) throws -> (missing: [String], unexpected: [String]) {
    let file = try Safetensors.read(path)
    let own = Set(variables.map(\.name))
    let unexpected = file.tensors.map(\.name).filter { !own.contains($0) }
    let missing = variables.filter { file.tensor(named: $0.name) == nil }
    let needed = missing.filter { !Model.optionalNames.contains($0.localName) }
    if strict, !(unexpected.isEmpty && needed.isEmpty) {
      throw MartletError.invalidArgument(
        Model.anotherArchitecture(path, missing: needed.map(\.name), unexpected: unexpected))
    }
    let writes = try network.layers.flatMap { layer in
      try layer.variables.compactMap { variable in
        try file.tensor(named: variable.name).map { (variable, try Model.values($0, for: variable, of: layer, path)) }
      }
    }
    if strict { for variable in missing { variable.storage.integers.pointee = 0 } }
    for (variable, values) in writes { values.write(to: variable) }
    for variable in strict ? variables : writes.map(\.0) { variable.didWrite() }
    return (missing.map(\.name), unexpected)
  }

  /// A file tensor's values in the variable's type.
  private enum Values {
    case tensor(Storage)
    case counter(Int64)

    func write(to variable: Variable) {
      switch self {
      case .tensor(let values): variable.storage.base.copyMemory(from: values.base, byteCount: values.byteCount)
      case .counter(let value): variable.storage.integers.pointee = value
      }
    }
  }

  private static func values(
    _ tensor: SafetensorsTensor, for variable: Variable, of layer: ModelLayer, _ path: String
  ) throws -> Values {
    let isCounter = variable.dataType == .int64
    guard tensor.shape == variable.shape || isCounter && tensor.count == 1 else {
      throw MartletError.shapeMismatch(
        "\(path): layer \"\(layer.name)\" (\(layer.kind)) needs \"\(variable.name)\" of shape \(Shape.text(variable.shape)); "
          + "the file's has \(Shape.text(tensor.shape)). Is it the file of another architecture?")
    }
    switch variable.dataType {
    case .int64:
      let value = try tensor.int64Values().first ?? 0
      try check(variable, path, count: 1) { _ in Double(value) }
      return .counter(value)
    case .float64:
      let values = try Storage(byteCount: tensor.count * 8, isZeroed: false)
      try tensor.copyFloat64(into: values.doubles)
      try check(variable, path, count: tensor.count) { values.doubles[$0] }
      return .tensor(values)
    default:
      let values = try Storage(byteCount: tensor.count * 4, isZeroed: false)
      try tensor.copyFloat32(into: values.floats)
      try check(variable, path, count: tensor.count) { Double(values.floats[$0]) }
      return .tensor(values)
    }
  }

  /// Refuses values that the variable cannot have, with the file's name.
  private static func check(_ variable: Variable, _ path: String, count: Int, _ value: (Int) -> Double) throws {
    do {
      try variable.check(count: count, value)
    } catch let error as MartletError {
      throw MartletError(error.kind, "\(path): \(error.message)")
    }
  }

  private static func anotherArchitecture(_ path: String, missing: [String], unexpected: [String]) -> String {
    func some(_ names: [String]) -> String {
      let shown = names.prefix(4).map { excerpt($0) }.joined(separator: ", ")
      return names.count > 4 ? shown + " and \(names.count - 4) more" : shown
    }
    let lacks = missing.isEmpty ? nil : "lacks \(some(missing))"
    let holds = unexpected.isEmpty ? nil : "holds \(some(unexpected)), which the model does not have"
    return "\(path): the file \([lacks, holds].compactMap { $0 }.joined(separator: " and ")). "
      + "Build the model that was saved, or turn strict off to take what fits."
  }
}
