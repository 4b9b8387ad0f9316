// VGG-16 with batch norm.

extension NetworkBuilder {
  /// Thirteen 3×3 convolutions with batch norm and ReLU in five groups, a 2×2 pool after each; dense layers of 4096 and 4096 units with
  /// ReLU and dropout; a dense layer.
  ///
  /// Names, and the biases before the batch norms, are torchvision's, and so is the order of the values that reach the first dense layer.
  /// It takes whatever the pools leave: 7×7 pixels of a 224×224 image, a single one of a 32×32 image.
  mutating func vgg16(_ input: Graph.Node) throws -> Graph.Node {
    var node = input
    var place = 0
    for (convolutions, channels) in [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)] {
      for _ in 0..<convolutions {
        node = try relu(
          normalized(
            node, wide(channels), kernel: 3, padding: .all(1), bias: true, name: "features.\(place)",
            norm: "features.\(place + 1)"))
        place += 3
      }
      node = try add(MaxPool2D(2), to: node)
      place += 1
    }
    node = try add(Flatten(), to: add(ChannelsFirst(), to: node))
    for name in ["classifier.0", "classifier.3"] {
      node = try add(Dense(wide(4096), weightInitializer: .heNormal), to: node, name: name)
      node = try dropout(relu(node), default: 0.5)
    }
    return try logits(node, name: "classifier.6")
  }
}
