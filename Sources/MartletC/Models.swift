// Header section: models, what they are made of, files.
import CMartlet
import Martlet

/// Makes a model and hands it out, owned; `out` is unchanged if that fails.
func makeModel(_ out: Out?, _ body: () throws -> Model) -> martlet_status {
  boundary { try create(out) { ModelHandle(try body()) } }
}

/// A list of names in the caller's memory.
///
/// - Parameter limit: of the count, which is checked before a name is read.
func names(
  _ pointer: UnsafePointer<UnsafePointer<CChar>?>?, _ count: Int32, _ argument: String, limit: Int
) throws -> [String] {
  guard count >= 0, count <= limit else {
    throw MartletError(.invalidArgument, "\(argument): expected a count in 0...\(limit); got \(count).")
  }
  guard count > 0 else { return [] }
  let pointer = try require(pointer, argument)
  return try (0..<Int(count)).map { try text(pointer[$0], "\(argument)[\($0)]") }
}

@_cdecl("martlet_model_create") @implementation
public func martlet_model_create(
  _ out: UnsafeMutablePointer<OpaquePointer?>!, _ graph: OpaquePointer!, _ inputs: UnsafePointer<martlet_node>!,
  _ input_count: Int32, _ outputs: UnsafePointer<martlet_node>!, _ output_count: Int32, _ seed: UInt64
) -> martlet_status {
  makeModel(out) {
    try Model(
      object(graph, "graph", as: GraphHandle.self).graph,
      inputs: nodes(inputs, input_count, "inputs", limit: Limits.inputCount),
      outputs: nodes(outputs, output_count, "outputs", limit: Limits.outputCount), seed: seed)
  }
}

@_cdecl("martlet_model_create_submodel") @implementation
public func martlet_model_create_submodel(
  _ out: UnsafeMutablePointer<OpaquePointer?>!, _ handle: OpaquePointer!,
  _ layer_names: UnsafePointer<UnsafePointer<CChar>?>!, _ count: Int32
) -> martlet_status {
  makeModel(out) { try model(handle).submodel(outputs: names(layer_names, count, "layer_names", limit: Limits.outputCount)) }
}

@_cdecl("martlet_model_clone") @implementation
public func martlet_model_clone(_ out: UnsafeMutablePointer<OpaquePointer?>!, _ handle: OpaquePointer!) -> martlet_status {
  makeModel(out) { try model(handle).clone() }
}

@_cdecl("martlet_model_destroy") @implementation
public func martlet_model_destroy(_ model: OpaquePointer!) { destroy(model, as: ModelHandle.self) }

@_cdecl("martlet_model_input_count") @implementation
public func martlet_model_input_count(_ handle: OpaquePointer!) -> Int32 {
  (try? model(handle)).map { Int32($0.inputCount) } ?? 0
}

@_cdecl("martlet_model_output_count") @implementation
public func martlet_model_output_count(_ handle: OpaquePointer!) -> Int32 {
  (try? model(handle)).map { Int32($0.outputCount) } ?? 0
}

private func rowShape(_ shapes: [[Int]], _ index: Int32, _ out: UnsafeMutablePointer<martlet_view>?) throws {
  let out = try require(out, "out")
  guard shapes.indices.contains(Int(index)) else {
    throw MartletError(.invalidArgument, "index must be in 0..<\(shapes.count); \(index) came.")
  }
  out.pointee = try martlet_view(row: shapes[Int(index)])
}

@_cdecl("martlet_model_input_shape") @implementation
public func martlet_model_input_shape(
  _ handle: OpaquePointer!, _ index: Int32, _ out: UnsafeMutablePointer<martlet_view>!
) -> martlet_status {
  boundary { try rowShape(model(handle).inputShapes, index, out) }
}

@_cdecl("martlet_model_output_shape") @implementation
public func martlet_model_output_shape(
  _ handle: OpaquePointer!, _ index: Int32, _ out: UnsafeMutablePointer<martlet_view>!
) -> martlet_status {
  boundary { try rowShape(model(handle).outputShapes, index, out) }
}

@_cdecl("martlet_model_layer_count") @implementation
public func martlet_model_layer_count(_ handle: OpaquePointer!) -> Int32 {
  (try? model(handle)).map { Int32($0.layers.count) } ?? 0
}

private let kindNames = LayerKinds.names
private let kindTexts = CStrings(kindNames)

@_cdecl("martlet_model_layer_at") @implementation
public func martlet_model_layer_at(
  _ handle: OpaquePointer!, _ index: Int32, _ info: UnsafeMutablePointer<martlet_layer_info>!
) -> martlet_status {
  boundary {
    let holder = try object(handle, "model", as: ModelHandle.self)
    let info = try require(info, "info")
    try checkSize(info.pointee.struct_size, of: martlet_layer_info.self, "info")
    let layers = holder.model.layers
    guard layers.indices.contains(Int(index)) else {
      throw MartletError(.invalidArgument, "index must be in 0..<\(layers.count); \(index) came.")
    }
    let layer = layers[Int(index)]
    var filled = martlet_layer_info()
    filled.struct_size = info.pointee.struct_size
    filled.name = holder.layerNames[Int(index)]
    filled.kind = kindNames.firstIndex(of: layer.kind).flatMap { kindTexts[$0] }
    for variable in layer.variables {
      if variable.kind == .parameter {
        filled.parameter_count += Int64(variable.count)
      } else {
        filled.state_count += Int64(variable.count)
      }
    }
    try filled.setOutputShape(layer.outputShape)
    info.pointee = filled
  }
}

@_cdecl("martlet_model_architecture") @implementation
public func martlet_model_architecture(
  _ handle: OpaquePointer!, _ buffer: UnsafeMutablePointer<CChar>!, _ capacity: Int, _ out_length: UnsafeMutablePointer<Int>!
) -> martlet_status {
  boundary {
    let model = try model(handle)
    try write(model.reading { try model.architectureText }, buffer, capacity, out_length)
  }
}

@_cdecl("martlet_model_plan") @implementation
public func martlet_model_plan(
  _ handle: OpaquePointer!, _ batch_size: Int64, _ training: Int32, _ buffer: UnsafeMutablePointer<CChar>!, _ capacity: Int,
  _ out_length: UnsafeMutablePointer<Int>!
) -> martlet_status {
  boundary {
    let text = try model(handle).planDescription(batchSize: Int(batch_size), training: flag(training, "training"))
    try write(text, buffer, capacity, out_length)
  }
}

@_cdecl("martlet_model_save") @implementation
public func martlet_model_save(_ handle: OpaquePointer!, _ path: UnsafePointer<CChar>!) -> martlet_status {
  boundary { try model(handle).save(to: text(path, "path")) }
}

@_cdecl("martlet_model_load") @implementation
public func martlet_model_load(_ out: UnsafeMutablePointer<OpaquePointer?>!, _ path: UnsafePointer<CChar>!) -> martlet_status {
  makeModel(out) { try Model.load(from: text(path, "path")) }
}

@_cdecl("martlet_model_load_weights") @implementation
public func martlet_model_load_weights(
  _ out_report: UnsafeMutablePointer<OpaquePointer?>!, _ handle: OpaquePointer!, _ path: UnsafePointer<CChar>!,
  _ strict: Int32, _ flatten_order: Int32
) -> martlet_status {
  boundary {
    let report = try model(handle).loadWeights(
      from: text(path, "path"), strict: flag(strict, "strict"), flattenOrder: flattenOrder(flatten_order, "flatten_order"))
    if let out_report { try create(out_report) { LoadReportHandle(report) } }
  }
}

/// A report with its names as C strings, in the order of the header's constants.
final class LoadReportHandle {
  private let parts: [CStrings]

  init(_ report: LoadReport) { parts = [report.matched, report.missing, report.unexpected].map(CStrings.init) }

  subscript(part: Int32) -> CStrings? { parts.indices.contains(Int(part)) ? parts[Int(part)] : nil }
}

@_cdecl("martlet_load_report_destroy") @implementation
public func martlet_load_report_destroy(_ report: OpaquePointer!) { destroy(report, as: LoadReportHandle.self) }

@_cdecl("martlet_load_report_count") @implementation
public func martlet_load_report_count(_ report: OpaquePointer!, _ part: Int32) -> Int32 {
  (try? object(report, "report", as: LoadReportHandle.self)).flatMap { $0[part].map { Int32(clamping: $0.count) } } ?? 0
}

@_cdecl("martlet_load_report_name") @implementation
public func martlet_load_report_name(_ report: OpaquePointer!, _ part: Int32, _ index: Int32) -> UnsafePointer<CChar>! {
  (try? object(report, "report", as: LoadReportHandle.self)).flatMap { $0[part]?[Int(index)] }
}

@_cdecl("martlet_model_set_tensors") @implementation
public func martlet_model_set_tensors(
  _ handle: OpaquePointer!, _ tensor_names: UnsafePointer<UnsafePointer<CChar>?>!, _ values: UnsafePointer<martlet_array>!,
  _ count: Int32, _ strict: Int32
) -> martlet_status {
  boundary {
    let model = try model(handle)
    let list = try names(tensor_names, count, "names", limit: Limits.tensorCount)
    let arrays = try list.isEmpty ? nil : require(values, "values")
    let pairs = try list.enumerated().map { place, name in
      (name: name, value: try ArrayView(arrays.map { $0 + place }, name))
    }
    try model.setVariables(pairs, strict: flag(strict, "strict"))
  }
}
