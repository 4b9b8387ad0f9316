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

@_cdecl("martlet_graph_max_pool2d") @implementation
public func martlet_graph_max_pool2d(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node, _ height: Int64, _ width: Int64,
  _ options: UnsafePointer<martlet_pooling_options>!, _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) {
    let given = try PoolingOptions(options)
    let size = Extent2D(Int(height), Int(width))
    return MaxPool2D(size, strides: given.strides(or: size), padding: given.padding)
  }
}

@_cdecl("martlet_graph_avg_pool2d") @implementation
public func martlet_graph_avg_pool2d(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node, _ height: Int64, _ width: Int64,
  _ options: UnsafePointer<martlet_pooling_options>!, _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) {
    let given = try PoolingOptions(options)
    let size = Extent2D(Int(height), Int(width))
    return AvgPool2D(
      size, strides: given.strides(or: size), padding: given.padding, countIncludesPad: given.countIncludesPad)
  }
}

@_cdecl("martlet_graph_max_pool1d") @implementation
public func martlet_graph_max_pool1d(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node, _ size: Int64,
  _ options: UnsafePointer<martlet_pooling_options>!, _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) {
    let given = try PoolingOptions(options)
    return MaxPool1D(Int(size), strides: try given.sequenceStrides(or: Int(size)), padding: given.padding)
  }
}

@_cdecl("martlet_graph_avg_pool1d") @implementation
public func martlet_graph_avg_pool1d(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node, _ size: Int64,
  _ options: UnsafePointer<martlet_pooling_options>!, _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) {
    let given = try PoolingOptions(options)
    return AvgPool1D(
      Int(size), strides: try given.sequenceStrides(or: Int(size)), padding: given.padding,
      countIncludesPad: given.countIncludesPad)
  }
}

@_cdecl("martlet_graph_global_avg_pool2d") @implementation
public func martlet_graph_global_avg_pool2d(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node, _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) { GlobalAvgPool2D() }
}

@_cdecl("martlet_graph_global_avg_pool1d") @implementation
public func martlet_graph_global_avg_pool1d(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node, _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) { GlobalAvgPool1D() }
}

@_cdecl("martlet_graph_zero_pad2d") @implementation
public func martlet_graph_zero_pad2d(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node, _ pads: UnsafePointer<Int64>!,
  _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) {
    let pads = try require(pads, "pads")
    return ZeroPad2D(top: Int(pads[0]), bottom: Int(pads[1]), left: Int(pads[2]), right: Int(pads[3]))
  }
}

@_cdecl("martlet_graph_upsample2d") @implementation
public func martlet_graph_upsample2d(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node, _ factor_height: Int64,
  _ factor_width: Int64, _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) { Upsample2D(Extent2D(Int(factor_height), Int(factor_width))) }
}
