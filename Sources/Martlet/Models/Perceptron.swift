// The fully connected network.

extension NetworkBuilder {
  /// Flatten; for each hidden size Dense – BatchNorm – ReLU; Dense.
  mutating func perceptron(_ input: Graph.Node) throws -> Graph.Node {
    var node = try shape(input).count == 1 ? input : add(Flatten(), to: input)
    for (place, units) in (options.hidden ?? [100, 100, 100]).enumerated() {
      node = try normalizedDense(node, units, name: "dense_\(place + 1)", norm: "norm_\(place + 1)")
    }
    return try logits(dropout(node), name: "output")
  }
}
