// Residual networks of basic blocks.

extension NetworkBuilder {
  /// CIFAR's form: a 3×3 convolution, three stages of 16, 32 and 64 channels, the mean over the image, a dense layer: 6n + 2 layers.
  mutating func residual(_ input: Graph.Node, blocksPerStage n: Int) throws -> Graph.Node {
    let stem = try relu(normalized(input, wide(16), kernel: 3, padding: .all(1), name: "conv1", norm: "bn1"))
    return try stages(stem, channels: [16, 32, 64], blocks: n, shortcut: options.shortcut ?? .parameterFree)
  }

  /// ImageNet's form of 18 layers: a 7×7 convolution and a pool, a step of 2 each, then four stages of two blocks.
  mutating func residual18(_ input: Graph.Node) throws -> Graph.Node {
    let stem = try relu(normalized(input, wide(64), kernel: 7, strides: 2, padding: .all(3), name: "conv1", norm: "bn1"))
    let pooled = try add(MaxPool2D(3, strides: 2, padding: .all(1)), to: stem)
    return try stages(pooled, channels: [64, 128, 256, 512], blocks: 2, shortcut: options.shortcut ?? .projection)
  }

  /// All stages but the first halve the image.
  private mutating func stages(
    _ input: Graph.Node, channels: [Int], blocks: Int, shortcut: NetworkOptions.Shortcut
  ) throws -> Graph.Node {
    var node = input
    for (stage, channels) in channels.enumerated() {
      for block in 0..<blocks {
        node = try basicBlock(
          node, wide(channels), strides: stage > 0 && block == 0 ? 2 : 1, shortcut, name: "layer\(stage + 1).\(block)")
      }
    }
    return try logits(add(GlobalAvgPool2D(), to: node), name: "fc")
  }

  /// relu(x + BN(conv(relu(BN(conv(x))))))
  private mutating func basicBlock(
    _ input: Graph.Node, _ channels: Int, strides: Int, _ shortcut: NetworkOptions.Shortcut, name: String
  ) throws -> Graph.Node {
    let first = try normalized(
      input, channels, kernel: 3, strides: strides, padding: .all(1), name: "\(name).conv1", norm: "\(name).bn1")
    let second = try normalized(
      relu(first), channels, kernel: 3, padding: .all(1), name: "\(name).conv2", norm: "\(name).bn2")
    if options.zeroLastScale, let norm = graph.nodes[second.index].layer { graph.startWithScaleZero(norm) }
    var identity = input
    if try shape(input) != shape(second) {
      switch shortcut {
      case .parameterFree: identity = try subsampled(input, channels, strides: strides)
      case .projection:
        identity = try normalized(
          input, channels, kernel: 1, strides: strides, padding: .valid, name: "\(name).downsample.0",
          norm: "\(name).downsample.1")
      }
    }
    return try relu(graph.add(Add(), to: [second, identity]))
  }

  /// Every other pixel, with channels of zeros behind its own.
  private mutating func subsampled(_ input: Graph.Node, _ channels: Int, strides: Int) throws -> Graph.Node {
    var node = input
    if strides > 1 { node = try add(AvgPool2D(1, strides: Extent2D(strides)), to: node) }
    let image = try shape(node)
    let missing = channels - image[2]
    guard missing > 0 else { return node }
    // With the channels as an image's width, they are padded where images are.
    node = try add(Reshape([image[0] * image[1], image[2], 1]), to: node)
    node = try add(ZeroPad2D(right: missing), to: node)
    return try add(Reshape([image[0], image[1], channels]), to: node)
  }
}
