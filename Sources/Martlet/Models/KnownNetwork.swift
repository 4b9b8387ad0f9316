// Well-known networks, by name.

/// A network that can be built by its name, for inputs and classes of one's own.
///
///     let net = try Model.build(.resnet20, inputShape: [32, 32, 3], classes: 10, seed: 1)
///
/// The last layer gives logits `[rows, classes]`. Images are `[height, width, channels]`. Layers of ``resnet18`` and ``vggBN`` are named
/// as in torchvision, so that its state dictionaries can be loaded.
public enum KnownNetwork: String, CaseIterable, Sendable {
  /// Dense layers with batch norm and ReLU, on inputs of any shape.
  case mlp
  /// Five convolutions with batch norm for small grey or colour images.
  case cnn
  /// LeNet-5 with batch norm. Source: LeCun et al. 1998.
  case lenetBN = "lenet_bn"
  /// The residual networks of 20, 32 and 56 layers for CIFAR. Source: He et al. 2015, section 4.2.
  case resnet20, resnet32, resnet56
  /// The residual network of 18 layers for ImageNet. Source: He et al. 2015, table 1.
  case resnet18
  /// VGG-16 with batch norm. Source: Simonyan & Zisserman 2014, configuration D.
  case vggBN = "vgg_bn"
  /// The Inception network with batch norm. Source: Ioffe & Szegedy 2015, figure 5.
  case bnInception = "bn_inception"
  /// Depthwise separable convolutions. Source: Howard et al. 2017, table 1.
  case mobilenetV1 = "mobilenet_v1"

  /// Options that it takes; others must keep their defaults.
  var takes: Set<NetworkOptions.Name> {
    switch self {
    case .mlp: [.hidden, .dropout]
    case .cnn, .vggBN, .mobilenetV1: [.width, .dropout]
    case .lenetBN: [.width]
    case .bnInception: [.width, .dropout]
    case .resnet18, .resnet20, .resnet32, .resnet56: [.width, .shortcut, .zeroLastScale, .residualRecipe]
    }
  }

  func add(to builder: inout NetworkBuilder, _ input: Graph.Node) throws -> Graph.Node {
    switch self {
    case .mlp: try builder.perceptron(input)
    case .cnn: try builder.smallConvolutional(input)
    case .lenetBN: try builder.leNet(input)
    case .resnet20: try builder.residual(input, blocksPerStage: 3)
    case .resnet32: try builder.residual(input, blocksPerStage: 5)
    case .resnet56: try builder.residual(input, blocksPerStage: 9)
    case .resnet18: try builder.residual18(input)
    case .vggBN: try builder.vgg16(input)
    case .bnInception: try builder.inception(input)
    case .mobilenetV1: try builder.mobileNet(input)
    }
  }
}

extension Model {
  /// A well-known network with fresh parameters.
  ///
  /// - Parameters:
  ///   - inputShape: of one row, without the batch axis: `[height, width, channels]` for all but ``KnownNetwork/mlp``.
  ///   - classes: outputs; ≥ 1.
  ///   - seed: of the parameters' first values.
  /// - Throws: ``MartletError/Kind/invalidArgument`` for an option out of range or one that this network does not take;
  ///   ``MartletError/Kind/shapeMismatch``, naming the layer, for images that are too small.
  public static func build(
    _ network: KnownNetwork, inputShape: [Int], classes: Int, options: NetworkOptions = NetworkOptions(), seed: UInt64 = 0
  ) throws -> Model {
    try options.check(for: network)
    guard classes >= 1 else { throw MartletError.invalidArgument("classes must be 1 or more; \(classes) came.") }
    guard network == .mlp || inputShape.count == 3 else {
      throw MartletError.shapeMismatch(
        "\(network.rawValue) takes images [height, width, channels]; a row of the input has the shape \(Shape.text(inputShape))."
      )
    }
    var builder = NetworkBuilder(classes: classes, options: options)
    let input = try builder.graph.input(inputShape, name: "input")
    let output = try network.add(to: &builder, input)
    if options.residualRecipe { builder.graph.applyResidualRecipe() }
    return try Model(builder.graph, inputs: [input], outputs: [output], seed: seed)
  }
}
