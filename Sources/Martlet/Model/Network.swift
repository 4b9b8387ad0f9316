// Layers with their variables, joined: what a model and its submodels share.
import MartletRuntime

/// A layer that has its variables.
public final class ModelLayer: @unchecked Sendable {
  public let name: String
  /// The layer with its options; of a BatchNorm the switches may change.
  var layer: any BuildableLayer
  public let variables: [Variable]
  /// Shapes of one row.
  public let inputShapes: [[Int]]
  public let outputShape: [Int]

  init(name: String, layer: any BuildableLayer, inputShapes: [[Int]], outputShape: [Int]) throws {
    self.name = name
    self.layer = layer
    self.inputShapes = inputShapes
    self.outputShape = outputShape
    variables = try layer.variables(inputShapes).map { try Variable(layer: name, $0) }
  }

  public var options: any Layer { layer }
  public var kind: String { type(of: layer).kind }

  func variable(_ localName: String) -> Variable? { variables.first { $0.localName == localName } }
}

/// The nodes of a model, in an order in which they can run.
final class Network: @unchecked Sendable {
  struct Node {
    /// Nil for an input.
    let layer: ModelLayer?
    let inputs: [Int]
    /// Of one row.
    let shape: [Int]
    /// The layer's; in its second place "<layer>/2".
    let name: String
    /// Of a layer whose weights inference packs.
    let packed = PackedCopies()
  }

  /// What a layer's node is called in the layer's first, second, … place of a model.
  static func nodeName(_ layer: String, place: Int) -> String { place == 1 ? layer : "\(layer)/\(place)" }

  let nodes: [Node]
  /// Each layer once, in the order they run.
  let layers: [ModelLayer]
  let variables: [Variable]
  private let variableByName: [String: Variable]
  /// Counts changes that make plans stale: switches, trainable flags.
  private(set) var version = 0

  init(nodes: [Node], layers: [ModelLayer]) {
    self.nodes = nodes
    self.layers = layers
    variables = layers.flatMap(\.variables)
    variableByName = Dictionary(variables.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  func didChange() { version += 1 }

  /// See ``Model/setAllReduce(_:)``.
  var allReduce: AllReduce? { didSet { didChange() } }
  /// In the middle of a run, which waits for ``allReduce``.
  private var isExchanging = false

  /// ``allReduce``, whose calls mark the network as one that no other run may touch; nil: there is none.
  var exchange: AllReduce? {
    guard let allReduce else { return nil }
    return { sums in
      self.isExchanging = true
      defer { self.isExchanging = false }
      try allReduce(sums)
    }
  }

  /// Refuses what an all-reduce would do to the run that waits for it.
  func refuseDuringExchange(_ call: String) throws {
    guard isExchanging else { return }
    throw MartletError.invalidState(
      "\(call) was called by the model's own all-reduce, in the middle of a run of this model. An all-reduce only sums numbers; "
        + "call this before or after the run.")
  }

  /// See ``Model/imageNormalization``.
  var imageNormalizer: ImageNormalizer?

  /// The statistics as they stood at the begin of each open transaction, the outermost first.
  var statisticsBefore: [StateSnapshot] = []

  /// How inference keeps the weights of Dense layers; convolutions keep Float32.
  var inferenceWeights = InferenceWeights.float32 {
    didSet { if inferenceWeights != oldValue { didChange() } }
  }

  func variable(named name: String) throws -> Variable {
    guard let variable = variableByName[name] else {
      let known = variables.prefix(12).map { "\"\($0.name)\"" }.joined(separator: ", ")
      throw MartletError.invalidArgument(
        "The model has no tensor \"\(name)\". Its \(variables.count) tensors: \(known)\(variables.count > 12 ? ", ..." : "").")
    }
    return variable
  }

  func layer(named name: String) throws -> ModelLayer {
    guard let layer = layers.first(where: { $0.name == name }) else {
      let known = layers.map { "\"\($0.name)\" (\($0.kind))" }.joined(separator: ", ")
      throw MartletError.invalidArgument("The model has no layer \"\(name)\". Its layers: \(known).")
    }
    return layer
  }

  /// The nodes needed for `outputs`, in order.
  func nodesReaching(_ outputs: [Int]) -> [Int] {
    var needed: Set<Int> = []
    var open = outputs
    while let node = open.popLast() {
      if needed.insert(node).inserted { open.append(contentsOf: nodes[node].inputs) }
    }
    return needed.sorted()
  }
}
