// Building a network node by node.

/// A network under construction: layers applied to inputs and to one another's outputs.
///
///     var graph = Graph()
///     let x = try graph.input([784])
///     let h = try graph.add(Sigmoid(), to: graph.add(Dense(100), to: x))
///     let model = try Model(graph, inputs: [x], outputs: [h])
///
/// A node can only take earlier nodes, so a graph has no cycles. Models made of a graph do not depend on it or on each other.
public struct Graph: Sendable {
  /// One layer applied to earlier nodes, or a place where data comes in.
  public struct Node: Hashable, Sendable {
    /// Its number in the graph that made it.
    public let index: Int
    public init(index: Int) { self.index = index }
  }

  struct LayerEntry {
    var name: String
    var layer: any BuildableLayer
    /// Of its first place.
    var inputShapes: [[Int]]
    /// Nodes it stands at.
    var placeCount = 1
    /// Its scale starts at 0 instead of 1.
    var startsWithScaleZero = false
  }

  struct NodeEntry {
    /// Nil for an input.
    var layer: Int?
    var inputs: [Int]
    /// Of one row.
    var shape: [Int]
    /// Which of its layer's places this is, from 1 on.
    var place = 1
    /// Empty for a layer's node.
    var inputName = ""
  }

  private(set) var layers: [LayerEntry] = []
  private(set) var nodes: [NodeEntry] = []
  private var names: Set<Name> = []
  private var counters: [String: Int] = [:]

  public init() {}

  /// A place where data comes in; `shape` is that of one row, without the batch axis.
  ///
  /// - Throws: ``MartletError/Kind/shapeMismatch`` for a negative dimension, too many elements or more than ``Limits/rowRank`` axes;
  ///   ``MartletError/Kind/invalidArgument`` for a name that is taken or not one of a layer, or beyond ``Limits/nodeCount`` nodes.
  public mutating func input(_ shape: [Int], name: String? = nil) throws -> Node {
    let reserve = try MemoryReserve(nodes: nodes.count / 8)
    defer { reserve.end() }
    _ = try Shape.rowElementCount(shape, argument: "input shape")
    try checkRoom(inputs: 0)
    let name = try unique(name, kind: "input")
    names.insert(Name(name))
    nodes.append(NodeEntry(layer: nil, inputs: [], shape: shape, inputName: name))
    return Node(index: nodes.count - 1)
  }

  /// A layer applied to one node.
  ///
  /// - Parameter name: unique, of at most ``Limits/nameByteCount`` bytes, without '/' and control characters; nil: the kind and a number
  ///     ("dense_1").
  /// - Throws: ``MartletError`` naming the layer if the input does not fit it or its options are out of range.
  public mutating func add(_ layer: any Layer, to input: Node, name: String? = nil) throws -> Node {
    try add(layer, to: [input], name: name)
  }

  /// A layer applied to several nodes.
  public mutating func add(_ layer: any Layer, to inputs: [Node], name: String? = nil) throws -> Node {
    guard let layer = layer as? any BuildableLayer else {
      throw MartletError(.unsupported, "\(type(of: layer)) is not one of this library's layers, which alone can be built.")
    }
    let reserve = try MemoryReserve(nodes: (nodes.count + inputs.count) / 8)
    defer { reserve.end() }
    try checkRoom(inputs: inputs.count)
    let shapes = try inputs.map { try entry($0, "input of \(type(of: layer).kind)").shape }
    let name = try unique(name, kind: type(of: layer).kind)
    let shape: [Int]
    do {
      shape = try layer.outputShape(shapes)
      _ = try Shape.rowElementCount(shape, argument: "a row of its output")
      _ = try layer.variables(shapes)
    } catch let error as MartletError {
      throw MartletError(error.kind, "Layer \(excerpt(name)): \(error.message)")
    }
    names.insert(Name(name))
    layers.append(LayerEntry(name: name, layer: layer, inputShapes: shapes))
    nodes.append(NodeEntry(layer: layers.count - 1, inputs: inputs.map(\.index), shape: shape))
    return Node(index: nodes.count - 1)
  }

  /// The layer that made an earlier node, applied once more: one set of parameters and state in two places.
  ///
  /// Gradients of all places add up. Dropout drops other elements in each place; a batch norm's moving statistics follow every
  /// place's batch in turn.
  ///
  /// - Returns: a node named after the layer and the place: "dense_1/2".
  /// - Throws: ``MartletError`` if `node` is an input, or these inputs would need tensors of other shapes.
  public mutating func apply(layerOf node: Node, to inputs: [Node]) throws -> Node {
    guard let number = try entry(node, "layer").layer else {
      throw MartletError.invalidArgument(
        "layer: node \(node.index) (\(excerpt(name(of: node.index)))) is an input, not a layer's.")
    }
    let reserve = try MemoryReserve(nodes: (nodes.count + inputs.count) / 8)
    defer { reserve.end() }
    let first = layers[number]
    try checkRoom(inputs: inputs.count)
    guard first.placeCount < Limits.placeCount else {
      throw MartletError.invalidArgument(
        "layer: expected at most \(Limits.placeCount) places of one layer; \(excerpt(first.name)) has as many.")
    }
    let shapes = try inputs.map { try entry($0, "input of \(type(of: first.layer).kind)").shape }
    let shape: [Int]
    do {
      shape = try first.layer.outputShape(shapes)
      _ = try Shape.rowElementCount(shape, argument: "a row of its output")
      for (wanted, has) in try zip(first.layer.variables(shapes), first.layer.variables(first.inputShapes))
      where wanted.shape != has.shape {
        throw MartletError.shapeMismatch(
          "its \(has.name) has the shape \(Shape.text(has.shape)) of its first place, where a row of the input has the shape "
            + "\(first.inputShapes.map(Shape.text).joined(separator: ", ")); "
            + "\(shapes.map(Shape.text).joined(separator: ", ")) needs \(Shape.text(wanted.shape)). Make a layer of its own for it."
        )
      }
    } catch let error as MartletError {
      throw MartletError(error.kind, "Layer \(excerpt(first.name)): \(error.message)")
    }
    layers[number].placeCount += 1
    nodes.append(NodeEntry(layer: number, inputs: inputs.map(\.index), shape: shape, place: layers[number].placeCount))
    return Node(index: nodes.count - 1)
  }

  /// Its outputs must keep their shapes.
  mutating func replaceLayer(_ number: Int, by layer: any BuildableLayer) { layers[number].layer = layer }

  /// Whether that is new.
  @discardableResult
  mutating func startWithScaleZero(_ number: Int) -> Bool {
    defer { layers[number].startsWithScaleZero = true }
    return !layers[number].startsWithScaleZero
  }

  /// An input's own name; else the layer's, and in its second place "<layer>/2".
  func name(of node: Int) -> String {
    let entry = nodes[node]
    return entry.layer.map { Network.nodeName(layers[$0].name, place: entry.place) } ?? entry.inputName
  }

  func entry(_ node: Node, _ argument: String) throws -> NodeEntry {
    guard nodes.indices.contains(node.index) else {
      throw MartletError.invalidArgument(
        "\(argument): node \(node.index) is not one of this graph's \(nodes.count) nodes.")
    }
    return nodes[node.index]
  }

  /// Refuses one node more, with so many inputs, beyond the limits.
  private func checkRoom(inputs: Int) throws {
    guard nodes.count < Limits.nodeCount else {
      throw MartletError.invalidArgument("graph: expected at most \(Limits.nodeCount) nodes; this one would be one more.")
    }
    guard inputs <= Limits.layerInputCount else {
      throw MartletError.invalidArgument("inputs: expected at most \(Limits.layerInputCount) of one layer; got \(inputs).")
    }
  }

  private mutating func unique(_ name: String?, kind: String) throws -> String {
    if let name {
      try LayerName.check(name)
      guard !names.contains(Name(name)) else {
        throw MartletError.invalidArgument("name: \(excerpt(name)) is taken by an earlier layer of this graph.")
      }
      return name
    }
    while true {
      counters[kind, default: 0] += 1
      let candidate = "\(kind)_\(counters[kind, default: 0])"
      if !names.contains(Name(candidate)) { return candidate }
    }
  }
}
