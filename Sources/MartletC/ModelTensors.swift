// Header section: a model's tensors and batch norm's switches.
import CMartlet
import Martlet
import MartletRuntime

@_cdecl("martlet_model_tensor_count") @implementation
public func martlet_model_tensor_count(_ handle: OpaquePointer!) -> Int32 {
  (try? model(handle)).map { Int32($0.variables.count) } ?? 0
}

/// - Parameter exposes: hands out the values' memory.
private func fill(
  _ info: UnsafeMutablePointer<martlet_tensor_info>?, _ holder: ModelHandle, _ index: Int, exposes: Bool
) throws {
  let info = try require(info, "info")
  try checkSize(info.pointee.struct_size, of: martlet_tensor_info.self, "info")
  let variable = holder.model.variables[index]
  var filled = martlet_tensor_info()
  filled.struct_size = info.pointee.struct_size
  filled.name = holder.tensorNames[index]
  filled.kind = variable.kind.rawValue
  filled.trainable = try holder.model.reading { variable.isTrainable ? 1 : 0 }
  filled.value = try exposes ? martlet_view(variable.value) : martlet_view(of: variable)
  filled.gradient = variable.gradientValue?.data
  info.pointee = filled
}

private func fill(
  _ info: UnsafeMutablePointer<martlet_tensor_info>?, _ handle: OpaquePointer?, at index: Int32, exposes: Bool
) throws {
  let holder = try object(handle, "model", as: ModelHandle.self)
  let count = holder.model.variables.count
  guard (0..<count).contains(Int(index)) else {
    throw MartletError(.invalidArgument, "index must be in 0..<\(count); \(index) came.")
  }
  try fill(info, holder, Int(index), exposes: exposes)
}

@_cdecl("martlet_model_tensor_at") @implementation
public func martlet_model_tensor_at(
  _ handle: OpaquePointer!, _ index: Int32, _ info: UnsafeMutablePointer<martlet_tensor_info>!
) -> martlet_status {
  boundary { try fill(info, handle, at: index, exposes: true) }
}

@_cdecl("martlet_model_tensor_spec_at") @implementation
public func martlet_model_tensor_spec_at(
  _ handle: OpaquePointer!, _ index: Int32, _ info: UnsafeMutablePointer<martlet_tensor_info>!
) -> martlet_status {
  boundary { try fill(info, handle, at: index, exposes: false) }
}

@_cdecl("martlet_model_read_tensor") @implementation
public func martlet_model_read_tensor(
  _ handle: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ out: UnsafePointer<martlet_array>!
) -> martlet_status {
  boundary {
    let variable = try model(handle).variable(named: text(name, "name"))
    try variable.copyValues(into: ArrayView(out, "out"))
  }
}

/// The order that a caller states; nil: unknown.
func flattenOrder(_ value: Int32, _ argument: String) throws -> FlattenOrder? {
  value == MARTLET_FLATTEN_UNKNOWN ? nil : try choice(value, argument)
}

@_cdecl("martlet_model_reorder_tensor") @implementation
public func martlet_model_reorder_tensor(
  _ out: UnsafeMutablePointer<martlet_view>!, _ handle: OpaquePointer!, _ name: UnsafePointer<CChar>!,
  _ values: UnsafePointer<martlet_array>!, _ from: Int32, _ to: Int32
) -> martlet_status {
  boundary {
    let values = try ArrayView(values, "values")
    let shape = try model(handle).reorder(
      values, ofTensor: text(name, "name"), from: flattenOrder(from, "from"), to: choice(to, "to"))
    if let out {
      out.pointee = try martlet_view(ArrayView(values.data, values.dataType, shape: shape, argument: "values"))
    }
  }
}

@_cdecl("martlet_model_tensor_named") @implementation
public func martlet_model_tensor_named(
  _ handle: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ info: UnsafeMutablePointer<martlet_tensor_info>!
) -> martlet_status {
  boundary {
    let holder = try object(handle, "model", as: ModelHandle.self)
    let variable = try holder.model.variable(named: text(name, "name"))
    guard let index = holder.model.variables.firstIndex(where: { $0 === variable }) else { return }
    try fill(info, holder, index, exposes: true)
  }
}

@_cdecl("martlet_model_set_trainable") @implementation
public func martlet_model_set_trainable(
  _ handle: OpaquePointer!, _ tensor_name: UnsafePointer<CChar>!, _ trainable: Int32
) -> martlet_status {
  boundary { try model(handle).setTrainable(text(tensor_name, "tensor_name"), flag(trainable, "trainable")) }
}

@_cdecl("martlet_model_batch_norm_switches") @implementation
public func martlet_model_batch_norm_switches(
  _ handle: OpaquePointer!, _ layer_name: UnsafePointer<CChar>!, _ out: UnsafeMutablePointer<martlet_batch_norm_switches>!
) -> martlet_status {
  boundary {
    let model = try model(handle)
    let out = try require(out, "out")
    try checkSize(out.pointee.struct_size, of: martlet_batch_norm_switches.self, "out")
    let switches = try model.batchNormSwitches(layer: text(layer_name, "layer_name"))
    out.pointee.normalize_with = switches.normalizer.rawValue
    out.pointee.updates_moving = switches.updatesMoving ? 1 : 0
    out.pointee.trains_scale_shift = switches.trainsScaleShift ? 1 : 0
  }
}

@_cdecl("martlet_model_set_batch_norm_switches") @implementation
public func martlet_model_set_batch_norm_switches(
  _ handle: OpaquePointer!, _ layer_name: UnsafePointer<CChar>!, _ switches: UnsafePointer<martlet_batch_norm_switches>!
) -> martlet_status {
  boundary {
    let model = try model(handle)
    let given = try require(options(switches, "switches"), "switches")
    try model.setBatchNormSwitches(
      layer: layer_name.map { try text($0, "layer_name") },
      BatchNormSwitches(
        normalizer: choice(given.normalize_with, "switches.normalize_with"),
        updatesMoving: flag(given.updates_moving, "switches.updates_moving"),
        trainsScaleShift: flag(given.trains_scale_shift, "switches.trains_scale_shift")))
  }
}

@_cdecl("martlet_model_update_population_statistics") @implementation
public func martlet_model_update_population_statistics(
  _ handle: OpaquePointer!, _ inputs: UnsafePointer<martlet_array>!, _ input_count: Int32, _ batch_size: Int64
) -> martlet_status {
  boundary {
    let model = try model(handle)
    try model.updatePopulationStatistics(
      ArrayView.list(inputs, input_count, of: model.inputCount, "inputs"), batchSize: Int(batch_size))
  }
}

@_cdecl("martlet_model_update_population_statistics_by") @implementation
public func martlet_model_update_population_statistics_by(
  _ handle: OpaquePointer!, _ inputs: UnsafePointer<martlet_array>!, _ input_count: Int32, _ batch_size: Int64,
  _ method: Int32
) -> martlet_status {
  boundary {
    let model = try model(handle)
    try model.updatePopulationStatistics(
      ArrayView.list(inputs, input_count, of: model.inputCount, "inputs"), method: choice(method, "method"),
      batchSize: Int(batch_size))
  }
}

@_cdecl("martlet_model_update_population_statistics_from") @implementation
public func martlet_model_update_population_statistics_from(
  _ handle: OpaquePointer!, _ method: Int32, _ next: martlet_batch_callback!, _ payload: UnsafeMutableRawPointer!
) -> martlet_status {
  boundary {
    let model = try model(handle)
    let next = try require(next, "next")
    let chosen: PopulationMethod = try choice(method, "method")
    try model.updatePopulationStatistics(method: chosen) { pass, take in
      var index: Int64 = 0
      while true {
        var batch: UnsafePointer<martlet_array>?
        guard FloatingPointEnvironment.callers({ next(Int32(clamping: pass), index, &batch, payload) }) == 0 else {
          throw MartletError(.cancelled, "The callback stopped the measurement at batch \(index) of pass \(pass).")
        }
        guard let batch else { return }
        try take(ArrayView.list(batch, Int32(clamping: model.inputCount), of: model.inputCount, "batch"))
        index += 1
      }
    }
  }
}

@_cdecl("martlet_model_fit_input_normalization") @implementation
public func martlet_model_fit_input_normalization(
  _ handle: OpaquePointer!, _ inputs: UnsafePointer<martlet_array>!, _ input_count: Int32, _ batch_size: Int64
) -> martlet_status {
  boundary {
    let model = try model(handle)
    try model.fitInputNormalization(
      ArrayView.list(inputs, input_count, of: model.inputCount, "inputs"), batchSize: Int(batch_size))
  }
}
