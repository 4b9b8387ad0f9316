// What the well-known networks are made with.

/// A network under construction: a graph, and the pieces that several families share.
struct NetworkBuilder {
  let classes: Int
  let options: NetworkOptions
  var graph = Graph()

  init(classes: Int, options: NetworkOptions) {
    self.classes = classes
    self.options = options
  }

  /// Channels after the option `width`.
  func wide(_ channels: Int) -> Int { max(1, Int((Double(channels) * options.width).rounded())) }

  /// The shape of one row of a node.
  func shape(_ node: Graph.Node) throws -> [Int] { try graph.entry(node, "node").shape }

  mutating func add(_ layer: any Layer, to node: Graph.Node, name: String? = nil) throws -> Graph.Node {
    try graph.add(layer, to: node, name: name)
  }

  mutating func relu(_ node: Graph.Node) throws -> Graph.Node { try graph.add(ReLU(), to: node) }

  /// Convolution without a bias, batch norm.
  mutating func normalized(
    _ node: Graph.Node, _ filters: Int, kernel: Int, strides: Int = 1, padding: Padding = .same, groups: Int = 1,
    bias: Bool = false,
    name: String, norm: String
  ) throws -> Graph.Node {
    let convolution = Conv2D(
      filters, kernelSize: Extent2D(kernel), strides: Extent2D(strides), padding: padding, groups: groups, bias: bias,
      weightInitializer: .heNormal)
    return try graph.add(BatchNorm(), to: graph.add(convolution, to: node, name: name), name: norm)
  }

  /// Dense without a bias, batch norm, ReLU.
  mutating func normalizedDense(_ node: Graph.Node, _ units: Int, name: String, norm: String) throws -> Graph.Node {
    let dense = try graph.add(Dense(units, bias: false, weightInitializer: .heNormal), to: node, name: name)
    return try relu(graph.add(BatchNorm(), to: dense, name: norm))
  }

  /// Dropout, unless its rate is 0.
  mutating func dropout(_ node: Graph.Node, default rate: Double = 0) throws -> Graph.Node {
    let rate = options.dropout ?? rate
    return rate == 0 ? node : try graph.add(Dropout(rate), to: node)
  }

  /// The last layer.
  mutating func logits(_ node: Graph.Node, name: String) throws -> Graph.Node {
    try graph.add(Dense(classes), to: node, name: name)
  }
}
