// A model in one file: safetensors, with the architecture in the metadata.

extension Model {
  private static let metadataKey = "martlet"

  /// Writes the model: parameters, state, architecture, options and switches.
  ///
  /// The file is written beside `path`, synced and renamed: `path` holds the old file or the new one, never a part.
  ///
  /// - Throws: ``MartletError/Kind/inputOutput`` with the system's reason; the old file is as it was.
  public func save(to path: String) throws {
    let reserve = try MemoryReserve(nodes: network.nodes.count)
    defer { reserve.end() }
    let tensors = variables.compactMap { variable -> SafetensorsTensor? in
      // Other libraries do not know this counter; it is worth a tensor only where it says something.
      if variable.localName == "num_batches_skipped", variable.storage.integers.pointee == 0 { return nil }
      let bytes = UnsafeRawBufferPointer(start: variable.storage.base, count: variable.count * variable.dataType.byteCount)
      return SafetensorsTensor(name: variable.name, dtype: variable.dataType.stored, shape: variable.shape, bytes: bytes)
    }
    try withExtendedLifetime(self) {
      try Safetensors.write(tensors, metadata: [(Model.metadataKey, architectureText)], to: path)
    }
  }

  /// Reads a model that ``save(to:)`` wrote.
  ///
  /// - Throws: ``MartletError/Kind/inputOutput`` if the file cannot be read; ``MartletError/Kind/corruptFile`` if it is
  ///   not a whole, honest
  ///   model. No more memory is taken than the file's size warrants.
  public static func load(from path: String) throws -> Model {
    let file = try Safetensors.read(path)
    guard let text = file.metadata(named: metadataKey) else {
      throw MartletError.corruptFile(
        "\(path): a safetensors file without Martlet's architecture (metadata \"\(metadataKey)\"). "
          + "Build the model first and set its tensors from the file.")
    }
    let reserve = try MemoryReserve(parsing: text.utf8.count)
    defer { reserve.end() }
    do {
      let description = try ArchitectureDescription(JSON.parse(text, source: "\(path), architecture"))
      let values = try check(file, against: description.tensors())
      let model = try Model(description.graph, inputs: description.inputs, outputs: description.outputs)
      try model.setImageNormalization(description.imageNormalization)
      for name in description.frozen {
        let variable = try model.network.variable(named: name)
        guard variable.kind == .parameter else { throw MartletError.corruptFile("frozen \"\(name)\" is no parameter") }
        variable.isTrainable = false
      }
      for (name, tensor) in values {
        let variable = try model.network.variable(named: name)
        if let source = tensor.bytes.baseAddress, tensor.bytes.count == variable.count * variable.dataType.byteCount {
          withExtendedLifetime(file) { variable.storage.base.copyMemory(from: source, byteCount: tensor.bytes.count) }
          variable.didWrite()
        }
        try variable.checkOwnValues()
      }
      return model
    } catch let error as MartletError where error.kind != .outOfMemory {
      let prefix = error.message.hasPrefix(path) ? "" : "\(path): "
      throw MartletError.corruptFile(prefix + error.message + (error.message.hasSuffix(".") ? "" : "."))
    }
  }

  /// The file's tensors, each of the shape and type that the architecture says, before any of the model's memory exists.
  private static func check(
    _ file: SafetensorsFile, against expected: [String: VariableSpecification]
  ) throws -> [(String, SafetensorsTensor)] {
    for tensor in file.tensors where expected[tensor.name] == nil {
      throw MartletError.corruptFile("the tensor \"\(tensor.name)\" belongs to no layer of the architecture")
    }
    return try expected.compactMap { name, specification in
      guard let tensor = file.tensor(named: name) else {
        if name.hasSuffix(".num_batches_skipped") { return nil }
        throw MartletError.corruptFile("the tensor \"\(name)\" is missing")
      }
      guard tensor.shape == specification.shape, tensor.dtype == specification.dataType.stored else {
        throw MartletError.corruptFile(
          "the tensor \"\(name)\" should be \(specification.dataType.stored.rawValue) \(Shape.text(specification.shape)); "
            + "it is \(tensor.dtype.rawValue) \(Shape.text(tensor.shape))")
      }
      return (name, tensor)
    }
  }
}

extension DataType {
  var stored: Safetensors.Dtype {
    switch self {
    case .float32: .f32
    case .float64: .f64
    case .int32: .i32
    case .int64: .i64
    case .uint8: .u8
    }
  }
}
