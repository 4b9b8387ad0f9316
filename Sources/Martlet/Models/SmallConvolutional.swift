// A small convolutional network for small images.

extension NetworkBuilder {
  /// 3×3 convolutions of 32, pool, 64, pool and 128 channels, each with batch norm and ReLU; then a dense layer.
  ///
  /// Most of the channels come after the pools, where an image has few pixels: 7.4 million multiply-adds for a 28×28 image.
  mutating func smallConvolutional(_ input: Graph.Node) throws -> Graph.Node {
    var node = input
    for (place, channels) in [32, 64, 128].enumerated() {
      if place > 0 { node = try add(MaxPool2D(2), to: node) }
      node = try relu(
        normalized(node, wide(channels), kernel: 3, name: "conv\(place + 1)", norm: "bn\(place + 1)"))
    }
    return try logits(dropout(add(Flatten(), to: node)), name: "fc")
  }
}
