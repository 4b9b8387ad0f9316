// What can be chosen of a well-known network.

/// Options of ``Model/build(_:inputShape:classes:options:seed:)``. A network refuses those that mean nothing to it.
public struct NetworkOptions: Equatable, Sendable {
  /// How a residual block's input reaches its sum where its shape changes.
  public enum Shortcut: Int32, Sendable, CaseIterable {
    /// Every other pixel, and zeros for the new channels: no parameters. The paper's option A.
    case parameterFree = 1
    /// A 1×1 convolution and a batch norm. The paper's option B.
    case projection = 2
  }

  enum Name: String {
    case width, dropout, hidden, shortcut
    case zeroLastScale = "zero_last_scale"
    case residualRecipe = "residual_recipe"
  }

  /// Multiplies every layer's channels, rounded, at least 1; above 0, at most 64. Of all but the mlp.
  public var width: Double
  /// Probability before the last layer (vgg: before its last two); nil: the network's own, 0.5 for vgg and 0 for the others. Of mlp, cnn,
  /// vgg, inception and mobilenet.
  public var dropout: Double?
  /// Units of the mlp's hidden layers; nil: 100, 100, 100.
  public var hidden: [Int]?
  /// Of the residual networks; nil: the papers' own, parameter-free for CIFAR's, a projection for resnet18.
  public var shortcut: Shortcut?
  /// Every residual block's last scale starts at 0 instead of 1, so that the block starts as its shortcut. Source: Goyal et al. 2017.
  public var zeroLastScale: Bool
  /// ``Graph/applyResidualRecipe()``, for residual networks: includes `zeroLastScale`. Their convolutions have no bias anyway.
  public var residualRecipe: Bool

  public init(
    width: Double = 1, dropout: Double? = nil, hidden: [Int]? = nil, shortcut: Shortcut? = nil, zeroLastScale: Bool = false,
    residualRecipe: Bool = false
  ) {
    self.width = width
    self.dropout = dropout
    self.hidden = hidden
    self.shortcut = shortcut
    self.zeroLastScale = zeroLastScale
    self.residualRecipe = residualRecipe
  }

  /// Options that are not at their defaults.
  private var given: [Name] {
    var names: [Name] = []
    if width != 1 { names.append(.width) }
    if dropout != nil { names.append(.dropout) }
    if hidden != nil { names.append(.hidden) }
    if shortcut != nil { names.append(.shortcut) }
    if zeroLastScale { names.append(.zeroLastScale) }
    if residualRecipe { names.append(.residualRecipe) }
    return names
  }

  func check(for network: KnownNetwork) throws {
    for name in given where !network.takes.contains(name) {
      let others = KnownNetwork.allCases.filter { $0.takes.contains(name) }.map(\.rawValue).joined(separator: ", ")
      throw MartletError.invalidArgument("\(name.rawValue) means nothing to \(network.rawValue); it is an option of \(others).")
    }
    guard width > 0, width <= 64 else {
      throw MartletError.invalidArgument("width must be above 0 and at most 64; \(width) came.")
    }
    if let dropout, !(dropout >= 0 && dropout < 1) {
      throw MartletError.invalidArgument("dropout must be 0 or more and below 1; \(dropout) came.")
    }
  }
}
