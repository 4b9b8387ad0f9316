// Header section: graphs, layers on images and sequences.
import CMartlet
import Martlet

@_cdecl("martlet_graph_conv2d") @implementation
public func martlet_graph_conv2d(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node, _ filters: Int64, _ kernel_height: Int64,
  _ kernel_width: Int64, _ options: UnsafePointer<martlet_convolution_options>!, _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) { try Conv2D(Int(filters), Extent2D(Int(kernel_height), Int(kernel_width)), options) }
}

@_cdecl("martlet_graph_conv1d") @implementation
public func martlet_graph_conv1d(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node, _ filters: Int64, _ kernel_size: Int64,
  _ options: UnsafePointer<martlet_convolution_options>!, _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) { try Conv1D(Int(filters), Int(kernel_size), options) }
}
