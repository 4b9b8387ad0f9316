// Header section: graphs, layers of one input.
import CMartlet
import Martlet

@_cdecl("martlet_graph_dense") @implementation
public func martlet_graph_dense(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node, _ units: Int64,
  _ options: UnsafePointer<martlet_dense_options>!, _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) { try Dense(Int(units), options) }
}

@_cdecl("martlet_graph_batch_norm") @implementation
public func martlet_graph_batch_norm(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node,
  _ options: UnsafePointer<martlet_batch_norm_options>!, _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) { try BatchNorm(options) }
}

@_cdecl("martlet_graph_weighted_batch_norm") @implementation
public func martlet_graph_weighted_batch_norm(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node, _ weights: martlet_node,
  _ options: UnsafePointer<martlet_batch_norm_options>!, _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, [Graph.Node(index: Int(input)), Graph.Node(index: Int(weights))], out) { try BatchNorm(options) }
}

@_cdecl("martlet_graph_activation") @implementation
public func martlet_graph_activation(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node, _ activation: Int32,
  _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) {
    switch Int(activation) {
    case MARTLET_SIGMOID: return Sigmoid()
    case MARTLET_TANH: return Tanh()
    case MARTLET_RELU: return ReLU()
    default:
      throw MartletError(
        .invalidArgument, "activation must be MARTLET_SIGMOID (1), MARTLET_TANH (2) or MARTLET_RELU (3); \(activation) came.")
    }
  }
}

@_cdecl("martlet_graph_softmax") @implementation
public func martlet_graph_softmax(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node, _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) { Softmax() }
}

@_cdecl("martlet_graph_dropout") @implementation
public func martlet_graph_dropout(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node, _ rate: Double,
  _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) { Dropout(rate) }
}

@_cdecl("martlet_graph_flatten") @implementation
public func martlet_graph_flatten(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node, _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) { Flatten() }
}

@_cdecl("martlet_graph_input_normalization") @implementation
public func martlet_graph_input_normalization(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node, _ epsilon: Double,
  _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) { InputNormalization(epsilon: epsilon) }
}
