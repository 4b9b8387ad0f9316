// LeNet-5 with batch norm.

extension NetworkBuilder {
  /// 5×5 convolutions of 6 and 16 channels, each with batch norm, ReLU and a 2×2 pool; dense layers of 120 and 84 units with batch norm
  /// and ReLU; a dense layer.
  ///
  /// The first convolution keeps the size (28×28 images are LeNet's 32×32 without their frame), the second has no padding. The
  /// activation, the pools (maxima) and the full connections are today's; the sizes are LeCun's.
  mutating func leNet(_ input: Graph.Node) throws -> Graph.Node {
    var node = try relu(normalized(input, wide(6), kernel: 5, name: "conv1", norm: "bn1"))
    node = try add(MaxPool2D(2), to: node)
    node = try relu(normalized(node, wide(16), kernel: 5, padding: .valid, name: "conv2", norm: "bn2"))
    node = try add(Flatten(), to: add(MaxPool2D(2), to: node))
    node = try normalizedDense(node, wide(120), name: "fc1", norm: "bn3")
    node = try normalizedDense(node, wide(84), name: "fc2", norm: "bn4")
    return try logits(node, name: "fc3")
  }
}
