// Header section: graphs, their inputs, and what every layer's function shares.
import CMartlet
import Martlet

@_cdecl("martlet_graph_create") @implementation
public func martlet_graph_create(_ out: UnsafeMutablePointer<OpaquePointer?>!) -> martlet_status {
  boundary { try create(out) { GraphHandle() } }
}

@_cdecl("martlet_graph_destroy") @implementation
public func martlet_graph_destroy(_ graph: OpaquePointer!) { destroy(graph, as: GraphHandle.self) }

@_cdecl("martlet_graph_input") @implementation
public func martlet_graph_input(
  _ graph: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ rank: Int32, _ dimensions: UnsafePointer<Int64>!,
  _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  boundary {
    let holder = try object(graph, "graph", as: GraphHandle.self)
    let out = try require(out, "out")
    let row = try shape(rank, dimensions, "shape", limit: Limits.rowRank)
    let node = try holder.change { try $0.input(row, name: name.map { try text($0, "name") }) }
    out.pointee = Int32(node.index)
  }
}

/// Adds a layer; the graph and `out` are unchanged if that fails.
func add(
  _ graph: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ inputs: @autoclosure () throws -> [Graph.Node],
  _ out: UnsafeMutablePointer<martlet_node>?, _ layer: () throws -> any Layer
) -> martlet_status {
  boundary {
    let holder = try object(graph, "graph", as: GraphHandle.self)
    let out = try require(out, "out")
    let node = try holder.change { try $0.add(layer(), to: inputs(), name: name.map { try text($0, "name") }) }
    out.pointee = Int32(node.index)
  }
}

/// Adds a layer of one input.
func add(
  _ graph: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ input: martlet_node, _ out: UnsafeMutablePointer<martlet_node>?,
  _ layer: () throws -> any Layer
) -> martlet_status {
  add(graph, name, [Graph.Node(index: Int(input))], out, layer)
}

/// A list of nodes in the caller's memory.
///
/// - Parameter limit: of the count, which is checked before a node is read.
func nodes(
  _ pointer: UnsafePointer<martlet_node>?, _ count: Int32, _ argument: String, limit: Int = Limits.layerInputCount
) throws -> [Graph.Node] {
  guard count >= 0, count <= limit else {
    throw MartletError(.invalidArgument, "\(argument): expected a count in 0...\(limit); got \(count).")
  }
  guard count > 0 else { return [] }
  let pointer = try require(pointer, argument)
  return (0..<Int(count)).map { Graph.Node(index: Int(pointer[$0])) }
}

@_cdecl("martlet_graph_apply_residual_recipe") @implementation
public func martlet_graph_apply_residual_recipe(
  _ graph: OpaquePointer!, _ without_bias: UnsafeMutablePointer<Int32>!, _ zero_scales: UnsafeMutablePointer<Int32>!
) -> martlet_status {
  boundary {
    let recipe = try object(graph, "graph", as: GraphHandle.self).change { $0.applyResidualRecipe() }
    without_bias?.pointee = Int32(recipe.withoutBias.count)
    zero_scales?.pointee = Int32(recipe.zeroScales.count)
  }
}

@_cdecl("martlet_graph_apply") @implementation
public func martlet_graph_apply(
  _ graph: OpaquePointer!, _ layer: martlet_node, _ inputs: UnsafePointer<martlet_node>!, _ count: Int32,
  _ out: UnsafeMutablePointer<martlet_node>!
) -> martlet_status {
  boundary {
    let holder = try object(graph, "graph", as: GraphHandle.self)
    let out = try require(out, "out")
    let node = try holder.change { try $0.apply(layerOf: Graph.Node(index: Int(layer)), to: nodes(inputs, count, "inputs")) }
    out.pointee = Int32(node.index)
  }
}
