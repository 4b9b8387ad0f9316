// The Inception network with batch norm.

extension NetworkBuilder {
  /// Channels of a module's branches, as a row of the paper's figure 5 gives them.
  private struct Module {
    var name: String
    /// 0: no such branch; then the other branches have a step of 2.
    var single: Int
    var reduce: Int
    var triple: Int
    var doubleReduce: Int
    var double: Int
    var pool: Pool
  }

  private enum Pool {
    case average(Int)
    case maximum(Int)
    /// A maximum with a step of 2, with no convolution behind it.
    case passThrough
  }

  private static let modules = [
    Module(name: "3a", single: 64, reduce: 64, triple: 64, doubleReduce: 64, double: 96, pool: .average(32)),
    Module(name: "3b", single: 64, reduce: 64, triple: 96, doubleReduce: 64, double: 96, pool: .average(64)),
    Module(name: "3c", single: 0, reduce: 128, triple: 160, doubleReduce: 64, double: 96, pool: .passThrough),
    Module(name: "4a", single: 224, reduce: 64, triple: 96, doubleReduce: 96, double: 128, pool: .average(128)),
    Module(name: "4b", single: 192, reduce: 96, triple: 128, doubleReduce: 96, double: 128, pool: .average(128)),
    Module(name: "4c", single: 160, reduce: 128, triple: 160, doubleReduce: 128, double: 160, pool: .average(96)),
    Module(name: "4d", single: 96, reduce: 128, triple: 192, doubleReduce: 160, double: 192, pool: .average(96)),
    Module(name: "4e", single: 0, reduce: 128, triple: 192, doubleReduce: 192, double: 256, pool: .passThrough),
    Module(name: "5a", single: 352, reduce: 192, triple: 320, doubleReduce: 160, double: 224, pool: .average(128)),
    Module(name: "5b", single: 352, reduce: 192, triple: 320, doubleReduce: 192, double: 224, pool: .maximum(128)),
  ]

  /// A separable 7×7 convolution (8 filters a channel, then 1×1, then its batch norm), a pool, a 1×1 and a 3×3 convolution, a pool, ten
  /// modules, the mean over the image, a dense layer. Every convolution but the separable's first half is followed by its batch norm and
  /// ReLU: 69 of them. The training's auxiliary classifiers are left out.
  mutating func inception(_ input: Graph.Node) throws -> Graph.Node {
    let channels = try shape(input)[2]
    let (filters, overflows) = channels.multipliedReportingOverflow(by: 8)
    guard !overflows else {
      throw MartletError.shapeMismatch("bn_inception: \(channels) channels are too many.")
    }
    let depthwise = Conv2D(
      filters, kernelSize: 7, strides: 2, padding: .same, groups: max(channels, 1), bias: false, weightInitializer: .heNormal)
    var node = try add(depthwise, to: input, name: "conv1.depthwise")
    node = try unit(node, 64, kernel: 1, name: "conv1.pointwise", norm: "conv1.norm")
    node = try add(MaxPool2D(3, strides: 2, padding: .same), to: node)
    node = try unit(node, 64, kernel: 1, name: "conv2.reduce")
    node = try unit(node, 192, kernel: 3, name: "conv2")
    node = try add(MaxPool2D(3, strides: 2, padding: .same), to: node)
    for module in Self.modules { node = try add(module, to: node) }
    return try logits(dropout(add(GlobalAvgPool2D(), to: node)), name: "fc")
  }

  private mutating func add(_ module: Module, to input: Graph.Node) throws -> Graph.Node {
    let name = "inception_\(module.name)"
    let strides = module.single == 0 ? 2 : 1
    var branches: [Graph.Node] = []
    if module.single > 0 { branches.append(try unit(input, module.single, kernel: 1, name: "\(name).1x1")) }
    let reduced = try unit(input, module.reduce, kernel: 1, name: "\(name).3x3_reduce")
    branches.append(try unit(reduced, module.triple, kernel: 3, strides: strides, name: "\(name).3x3"))
    var double = try unit(input, module.doubleReduce, kernel: 1, name: "\(name).double_3x3_reduce")
    double = try unit(double, module.double, kernel: 3, name: "\(name).double_3x3_1")
    branches.append(try unit(double, module.double, kernel: 3, strides: strides, name: "\(name).double_3x3_2"))
    switch module.pool {
    case .average(let channels):
      let pooled = try add(AvgPool2D(3, strides: 1, padding: .same), to: input)
      branches.append(try unit(pooled, channels, kernel: 1, name: "\(name).pool_projection"))
    case .maximum(let channels):
      let pooled = try add(MaxPool2D(3, strides: 1, padding: .same), to: input)
      branches.append(try unit(pooled, channels, kernel: 1, name: "\(name).pool_projection"))
    case .passThrough:
      branches.append(try add(MaxPool2D(3, strides: 2, padding: .same), to: input))
    }
    return try graph.add(Concatenate(), to: branches)
  }

  /// Convolution, batch norm, ReLU.
  private mutating func unit(
    _ node: Graph.Node, _ channels: Int, kernel: Int, strides: Int = 1, name: String, norm: String? = nil
  ) throws -> Graph.Node {
    try relu(normalized(node, wide(channels), kernel: kernel, strides: strides, name: name, norm: norm ?? "\(name).norm"))
  }
}
