// Header section: batch norm's relatives, as functions and as layers.
import CMartlet
import Martlet

/// The normalisation that the options describe.
private func normalization(_ pointer: UnsafePointer<martlet_normalization_options>?) throws -> any Normalization {
  guard let given = try options(pointer, "options") else {
    throw MartletError(
      .invalidArgument,
      "options: NULL came; the kind of normalisation is needed. Start from MARTLET_LAYER_NORM_INIT or its like.")
  }
  let (scale, shift) = (try flag(given.scale, "options.scale"), try flag(given.shift, "options.shift"))
  let (threshold, learns) = (
    try flag(given.threshold, "options.threshold"), try flag(given.learn_epsilon, "options.learn_epsilon")
  )
  func refuse(_ isSet: Bool, _ field: String, of kind: String) throws {
    if isSet { throw MartletError(.invalidArgument, "options.\(field): \(kind) has none; it must be 0.") }
  }
  func refuseOthers(than allowed: String..., of kind: String) throws {
    for (isSet, field) in [
      (given.over != 0, "over"), (given.groups != 0, "groups"), (shift, "shift"), (threshold, "threshold"),
      (learns, "learn_epsilon"),
    ] where !allowed.contains(field) { try refuse(isSet, field, of: kind) }
  }
  switch Int(given.kind) {
  case MARTLET_LAYER_NORM:
    try refuseOthers(than: "over", "shift", of: "layer norm")
    return LayerNorm(epsilon: given.epsilon, over: try choice(given.over, "options.over"), scale: scale, shift: shift)
  case MARTLET_RMS_NORM:
    try refuseOthers(of: "RMS norm")
    return RMSNorm(epsilon: given.epsilon, scale: scale)
  case MARTLET_GROUP_NORM:
    try refuseOthers(than: "groups", "shift", of: "group norm")
    return GroupNorm(Int(given.groups), epsilon: given.epsilon, scale: scale, shift: shift)
  case MARTLET_INSTANCE_NORM:
    try refuseOthers(than: "shift", of: "instance norm")
    return InstanceNorm(epsilon: given.epsilon, scale: scale, shift: shift)
  case MARTLET_FILTER_RESPONSE_NORM:
    try refuseOthers(than: "shift", "threshold", "learn_epsilon", of: "filter response norm")
    return FilterResponseNorm(epsilon: given.epsilon, scale: scale, shift: shift, threshold: threshold, learnsEpsilon: learns)
  default:
    throw MartletError(.invalidArgument, "options.kind must be in 0...4 (MARTLET_LAYER_NORM ...); \(given.kind) came.")
  }
}

@_cdecl("martlet_normalize") @implementation
public func martlet_normalize(
  _ options: UnsafePointer<martlet_normalization_options>!, _ x: UnsafePointer<martlet_array>!,
  _ scale: UnsafePointer<martlet_array>!, _ shift: UnsafePointer<martlet_array>!,
  _ threshold: UnsafePointer<martlet_array>!, _ learned_epsilon: UnsafePointer<martlet_array>!,
  _ y: UnsafePointer<martlet_array>!
) -> martlet_status {
  boundary {
    try NormalizationFunction.normalize(
      ArrayView(x, "x"), with: normalization(options),
      NormalizationFunction.Parameters(
        scale: ArrayView.optional(scale, "scale"), shift: ArrayView.optional(shift, "shift"),
        threshold: ArrayView.optional(threshold, "threshold"),
        learnedEpsilon: ArrayView.optional(learned_epsilon, "learned_epsilon")), into: ArrayView(y, "y"))
  }
}

@_cdecl("martlet_normalize_gradients") @implementation
public func martlet_normalize_gradients(
  _ options: UnsafePointer<martlet_normalization_options>!, _ x: UnsafePointer<martlet_array>!,
  _ scale: UnsafePointer<martlet_array>!, _ shift: UnsafePointer<martlet_array>!,
  _ threshold: UnsafePointer<martlet_array>!, _ learned_epsilon: UnsafePointer<martlet_array>!,
  _ grad_output: UnsafePointer<martlet_array>!, _ grad_input: UnsafePointer<martlet_array>!,
  _ grad_scale: UnsafePointer<martlet_array>!, _ grad_shift: UnsafePointer<martlet_array>!,
  _ grad_threshold: UnsafePointer<martlet_array>!, _ grad_learned_epsilon: UnsafePointer<martlet_array>!
) -> martlet_status {
  boundary {
    try NormalizationFunction.gradients(
      ArrayView(x, "x"), with: normalization(options),
      NormalizationFunction.Parameters(
        scale: ArrayView.optional(scale, "scale"), shift: ArrayView.optional(shift, "shift"),
        threshold: ArrayView.optional(threshold, "threshold"),
        learnedEpsilon: ArrayView.optional(learned_epsilon, "learned_epsilon")),
      gradOutput: ArrayView(grad_output, "grad_output"),
      into: NormalizationFunction.Gradients(
        input: ArrayView.optional(grad_input, "grad_input"),
        parameters: NormalizationFunction.Parameters(
          scale: ArrayView.optional(grad_scale, "grad_scale"), shift: ArrayView.optional(grad_shift, "grad_shift"),
          threshold: ArrayView.optional(grad_threshold, "grad_threshold"),
          learnedEpsilon: ArrayView.optional(grad_learned_epsilon, "grad_learned_epsilon"))))
  }
}

@_cdecl("martlet_graph_normalization") @implementation
public func martlet_graph_normalization(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node,
  _ options: UnsafePointer<martlet_normalization_options>!, _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) { try normalization(options) }
}
