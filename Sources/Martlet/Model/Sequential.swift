// The simple model: one layer after another.

extension Model {
  /// A chain of layers, named by their places as in PyTorch's `nn.Sequential`: the tensors are "0.weight", "0.bias",
  /// "1.weight", …
  ///
  ///     let net = try Model.sequential([Dense(100), BatchNorm(), Sigmoid(), Dense(10)], inputShape: [784])
  ///
  /// - Parameter inputShape: of one row, without the batch axis.
  public static func sequential(_ layers: [any Layer], inputShape: [Int], seed: UInt64 = 0) throws -> Model {
    guard !layers.isEmpty else { throw MartletError.invalidArgument("layers: a model needs at least one layer.") }
    var graph = Graph()
    let input = try graph.input(inputShape, name: "input")
    var last = input
    for (place, layer) in layers.enumerated() { last = try graph.add(layer, to: last, name: String(place)) }
    return try Model(graph, inputs: [input], outputs: [last], seed: seed)
  }
}
