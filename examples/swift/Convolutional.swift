import Martlet

/// A small convolutional network for images of 28 × 28 pixels: two convolutions, a residual block.
func convolutionalNetwork(seed: UInt64) throws -> Model {
  var graph = Graph()
  let pixels = try graph.input([784])
  func convolution(_ filters: Int, strides: Extent2D = 1, _ x: Graph.Node) throws -> Graph.Node {
    // What these narrow layers take by themselves; from 32 channels on the automatic choice is Winograd's algorithm.
    let layer = Conv2D(filters, kernelSize: 3, strides: strides, padding: .same, algorithm: .direct)
    return try graph.add(BatchNorm(), to: graph.add(layer, to: x))
  }
  func relu(_ x: Graph.Node) throws -> Graph.Node { try graph.add(ReLU(), to: x) }

  let image = try graph.add(Reshape([28, 28, 1]), to: pixels)
  let stem = try relu(convolution(16, strides: 2, relu(convolution(8, strides: 2, image))))
  let branch = try convolution(16, relu(convolution(16, stem)))
  let block = try relu(graph.add(Add(), to: [branch, stem]))
  let logits = try graph.add(Dense(10), to: graph.add(Flatten(), to: block))
  // No bias before batch norm, and the block starts as its shortcut.
  graph.applyResidualRecipe()
  return try Model(graph, inputs: [pixels], outputs: [logits], seed: seed)
}
