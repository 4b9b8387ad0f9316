// A model in one file: safetensors, with the architecture in the metadata.

extension Model {
  static let metadataKey = "martlet"

  /// Writes the model: parameters, state, architecture, options and switches.
  ///
  /// The file is written beside `path`, synced and renamed: `path` holds the old file or the new one, never a part.
  ///
  /// Of a submodel, its own part of the network.
  ///
  /// - Throws: ``MartletError/Kind/invalidArgument`` for a path with the ending of another format (.h5, .keras, .pt, .pth, .onnx,
  ///   .npz, …); ``MartletError/Kind/inputOutput`` with the system's reason; the old file is as it was.
  public func save(to path: String) throws { try network.exclusivity.reading { try write(to: path) } }

  private func write(to path: String) throws {
    try FileFormat.checkEnding(of: path)
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
  /// - Throws: ``MartletError/Kind/inputOutput`` if the file cannot be read; ``MartletError/Kind/unsupported`` for a file of another
  ///   format; ``MartletError/Kind/corruptFile`` if it is truncated or is not a valid Martlet model.
  ///
  /// Cost: one pass over the file; memory of the model, and of the file's header while it is read.
  public static func load(from path: String) throws -> Model {
    let file = try SafetensorsReader(path)
    let source = excerpt(path, limit: 400)
    guard let text = file.header.metadata(named: metadataKey) else {
      throw MartletError.corruptFile(
        "\(source): a safetensors file without Martlet's architecture (metadata \"\(metadataKey)\"). "
          + "Build the model first and read the tensors into it (load_weights).")
    }
    let reserve = try MemoryReserve(parsing: text.utf8.count)
    defer { reserve.end() }
    do {
      let description = try ArchitectureDescription(JSON.parse(text, source: "architecture"))
      try check(file.header, against: description.graph)
      let model = try Model(description.graph, inputs: description.inputs, outputs: description.outputs)
      try model.setImageNormalization(description.imageNormalization)
      for name in description.frozen {
        let variable = try model.variable(named: name)
        guard variable.kind == .parameter else { throw MartletError.corruptFile("frozen \(excerpt(name)) is no parameter") }
        variable.isTrainable = false
      }
      for entry in file.header.entries {
        let variable = try model.variable(named: entry.name)
        let bytes = UnsafeMutableRawBufferPointer(
          start: variable.storage.base, count: variable.count * variable.dataType.byteCount)
        guard entry.range.count == bytes.count else { continue }
        try file.read(entry, into: bytes)
        variable.didWrite()
        try variable.checkOwnValues()
      }
      return model
    } catch let error as MartletError {
      // What a graph would call a wrong argument is a wrong file here.
      let kind: MartletError.Kind = [.outOfMemory, .unsupported, .inputOutput].contains(error.kind) ? error.kind : .corruptFile
      let message = error.message.utf8.last == UInt8(ascii: ".") ? error.message : error.message + "."
      throw MartletError(kind, "\(source): \(message)")
    }
  }

  /// The file's tensors, each of the shape and type that the architecture says, before any of the model's memory exists.
  private static func check(_ header: SafetensorsHeader, against graph: Graph) throws {
    var known: Set<Name> = []
    for layer in graph.layers {
      for specification in try layer.layer.variables(layer.inputShapes) {
        let name = layer.name + "." + specification.name
        known.insert(Name(name))
        guard let entry = header.entry(named: name) else {
          if specification.name == "num_batches_skipped" { continue }
          throw MartletError.corruptFile("the tensor \(excerpt(name)) is missing")
        }
        let dtype = try entry.readableDtype()
        guard entry.shape == specification.shape, dtype == specification.dataType.stored else {
          throw MartletError.corruptFile(
            "the tensor \(excerpt(name)) should be \(specification.dataType.stored.rawValue) \(Shape.text(specification.shape)); "
              + "it is \(entry.dtypeName) \(Shape.text(entry.shape))")
        }
      }
    }
    for entry in header.entries where !known.contains(Name(entry.name)) {
      throw MartletError.corruptFile("the tensor \(excerpt(entry.name)) belongs to no layer of the architecture")
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
