// Header section: running a model.
import CMartlet
import Martlet
import MartletRuntime

@_cdecl("martlet_model_predict") @implementation
public func martlet_model_predict(
  _ handle: OpaquePointer!, _ inputs: UnsafePointer<martlet_array>!, _ input_count: Int32, _ batch_size: Int64,
  _ outputs: UnsafePointer<martlet_array>!, _ output_count: Int32
) -> martlet_status {
  boundary {
    let model = try model(handle)
    if model.inputCount == 1, model.outputCount == 1, input_count == 1, output_count == 1, let inputs, let outputs,
      let from = inputs.pointee.contiguousRows(of: model.inputShapes[0]),
      let to = outputs.pointee.contiguousRows(of: model.outputShapes[0]), from.count == to.count, batch_size >= 0,
      model.canPredict(rows: from.count, from.data, into: to.data)
    {
      return try model.predict(rows: from.count, from.data, batchSize: Int(batch_size), into: to.data)
    }
    try model.predict(
      ArrayView.list(inputs, input_count, of: model.inputCount, "inputs"), batchSize: Int(batch_size),
      into: ArrayView.list(outputs, output_count, of: model.outputCount, "outputs"))
  }
}

@_cdecl("martlet_model_predict_rows") @implementation
public func martlet_model_predict_rows(
  _ handle: OpaquePointer!, _ input: UnsafePointer<Float>!, _ rows: Int64, _ output: UnsafeMutablePointer<Float>!
) -> martlet_status {
  boundary {
    let model = try model(handle)
    guard rows != 0 || model.inputCount != 1 || model.outputCount != 1 else { return }
    try model.predict(rows: Int(rows), require(input, "input"), into: require(output, "output"))
  }
}

@_cdecl("martlet_model_set_inference_weights") @implementation
public func martlet_model_set_inference_weights(_ handle: OpaquePointer!, _ format: Int32) -> martlet_status {
  boundary { try model(handle).setInferenceWeights(choice(format, "format")) }
}

@_cdecl("martlet_model_inference_weights") @implementation
public func martlet_model_inference_weights(
  _ handle: OpaquePointer!, _ out: UnsafeMutablePointer<Int32>!
) -> martlet_status {
  boundary {
    let model = try model(handle)
    try require(out, "out").pointee = model.inferenceWeights.rawValue
  }
}

@_cdecl("martlet_model_set_all_reduce") @implementation
public func martlet_model_set_all_reduce(
  _ handle: OpaquePointer!, _ all_reduce: martlet_all_reduce!, _ payload: UnsafeMutableRawPointer!
) -> martlet_status {
  boundary {
    let model = try model(handle)
    guard let all_reduce else { return try model.setAllReduce(nil) }
    try model.setAllReduce { sums in
      guard FloatingPointEnvironment.callers({ all_reduce(sums.baseAddress, Int64(sums.count), payload) }) == 0 else {
        throw MartletError(.cancelled, "The all-reduce over the shards failed.")
      }
    }
  }
}

@_cdecl("martlet_model_forward") @implementation
public func martlet_model_forward(
  _ handle: OpaquePointer!, _ inputs: UnsafePointer<martlet_array>!, _ input_count: Int32, _ training: Int32
) -> martlet_status {
  boundary {
    let model = try model(handle)
    try model.forward(
      ArrayView.list(inputs, input_count, of: model.inputCount, "inputs"), training: flag(training, "training"))
  }
}

@_cdecl("martlet_model_output") @implementation
public func martlet_model_output(
  _ handle: OpaquePointer!, _ index: Int32, _ out: UnsafeMutablePointer<martlet_view>!
) -> martlet_status {
  boundary {
    let model = try model(handle)
    let out = try require(out, "out")
    out.pointee = try martlet_view(model.output(Int(index)))
  }
}

@_cdecl("martlet_model_backward") @implementation
public func martlet_model_backward(
  _ handle: OpaquePointer!, _ grad_outputs: UnsafePointer<martlet_array>!, _ output_count: Int32, _ accumulate: Int32
) -> martlet_status {
  boundary {
    let model = try model(handle)
    try model.backward(
      ArrayView.list(grad_outputs, output_count, of: model.outputCount, "grad_outputs"),
      accumulate: flag(accumulate, "accumulate"))
  }
}

@_cdecl("martlet_model_input_gradient") @implementation
public func martlet_model_input_gradient(
  _ handle: OpaquePointer!, _ index: Int32, _ out: UnsafeMutablePointer<martlet_view>!
) -> martlet_status {
  boundary {
    let model = try model(handle)
    let out = try require(out, "out")
    out.pointee = try martlet_view(model.inputGradient(Int(index)))
  }
}
