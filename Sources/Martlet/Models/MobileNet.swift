// MobileNet, the first.

extension NetworkBuilder {
  /// A 3×3 convolution with a step of 2; thirteen depthwise 3×3 convolutions, each followed by a 1×1 one; the mean over the image; a
  /// dense layer. Every convolution has its batch norm and ReLU.
  ///
  /// The option `width` is the paper's α. The paper's last depthwise layer is given a step of 2 on a 7×7 image that stays 7×7; it is 1 here.
  mutating func mobileNet(_ input: Graph.Node) throws -> Graph.Node {
    var node = try relu(normalized(input, wide(32), kernel: 3, strides: 2, name: "conv1", norm: "bn1"))
    let blocks =
      [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + Array(repeating: (512, 1), count: 5) + [
        (1024, 2), (1024, 1),
      ]
    for (place, (channels, strides)) in blocks.enumerated() {
      let name = "block\(place + 1)"
      let depth = try shape(node)[2]
      node = try relu(
        normalized(
          node, depth, kernel: 3, strides: strides, groups: depth, name: "\(name).depthwise", norm: "\(name).bn1"))
      node = try relu(normalized(node, wide(channels), kernel: 1, name: "\(name).pointwise", norm: "\(name).bn2"))
    }
    return try logits(dropout(add(GlobalAvgPool2D(), to: node)), name: "fc")
  }
}
