// Header section: graphs, layers that join inputs or change what rows look like.
import CMartlet
import Martlet

@_cdecl("martlet_graph_add") @implementation
public func martlet_graph_add(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ inputs: UnsafePointer<martlet_node>!, _ count: Int32,
  _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, try nodes(inputs, count, "inputs"), out) { Add() }
}

@_cdecl("martlet_graph_concatenate") @implementation
public func martlet_graph_concatenate(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ inputs: UnsafePointer<martlet_node>!, _ count: Int32,
  _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, try nodes(inputs, count, "inputs"), out) { Concatenate() }
}

@_cdecl("martlet_graph_reshape") @implementation
public func martlet_graph_reshape(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node, _ rank: Int32,
  _ dimensions: UnsafePointer<Int64>!, _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) { Reshape(try shape(rank, dimensions, "shape", limit: Limits.rowRank)) }
}

@_cdecl("martlet_graph_channels_last") @implementation
public func martlet_graph_channels_last(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node, _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) { ChannelsLast() }
}

@_cdecl("martlet_graph_channels_first") @implementation
public func martlet_graph_channels_first(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ input: martlet_node, _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  add(graph, name, input, out) { ChannelsFirst() }
}
