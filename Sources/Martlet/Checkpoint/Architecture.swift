// The architecture of a model as JSON, and back.
//
//     {"format": "martlet", "version": 1,
//      "layers": [{"name": "0", "kind": "dense", "options": {…}}, …],
//      "nodes": [{"input": [784], "name": "input"}, {"layer": 0, "from": [0]}, …],
//      "inputs": [0], "outputs": [4], "frozen": ["1.weight"]}

/// Every kind of layer that files may hold.
public enum LayerKinds {
  /// Their names: "dense", "batch_norm", …
  public static var names: [String] { all.map { $0.kind } }

  static let all: [any BuildableLayer.Type] = [
    Dense.self, BatchNorm.self, Sigmoid.self, Tanh.self, ReLU.self, Softmax.self, Dropout.self, Flatten.self,
    InputNormalization.self, Add.self, Concatenate.self, Reshape.self, ChannelsLast.self, ChannelsFirst.self,
    Conv2D.self, Conv1D.self, MaxPool2D.self, MaxPool1D.self, AvgPool2D.self,
    AvgPool1D.self, GlobalAvgPool2D.self, GlobalAvgPool1D.self, ZeroPad2D.self, Upsample2D.self,
    LayerNorm.self, RMSNorm.self, GroupNorm.self, InstanceNorm.self, FilterResponseNorm.self,
  ]

  static func named(_ kind: String) -> (any BuildableLayer.Type)? { all.first { $0.kind.utf8.elementsEqual(kind.utf8) } }
}

extension Model {
  static let formatName = "martlet"
  static let formatVersion = 1

  /// The architecture with all options and switches.
  var architecture: JSON {
    let layerNumbers = Dictionary(uniqueKeysWithValues: layers.enumerated().map { (ObjectIdentifier($1), $0) })
    // Of a submodel, a part of the network's: the file is about what this model reaches.
    let position = Dictionary(uniqueKeysWithValues: nodes.enumerated().map { ($1, $0) })
    func places(_ nodes: [Int]) -> JSON { Model.integers(nodes.compactMap { position[$0] }) }
    let described = nodes.map { index -> JSON in
      let node = network.nodes[index]
      guard let layer = node.layer, let number = layerNumbers[ObjectIdentifier(layer)] else {
        return .object([("input", Model.integers(node.shape)), ("name", .string(node.inputName))])
      }
      return .object([("layer", .integer(Int64(number))), ("from", places(node.inputs))])
    }
    // Only where there is one: other files read as they did before there was such a member.
    let normalization = imageNormalization.map { [("image_normalization", $0.configuration)] } ?? []
    return .object(
      [
        ("format", .string(Model.formatName)), ("version", .integer(Int64(Model.formatVersion))),
        (
          "layers",
          .array(
            layers.map {
              .object([("name", .string($0.name)), ("kind", .string($0.kind)), ("options", .object($0.layer.configuration))])
            })
        ),
        ("nodes", .array(described)), ("inputs", places(inputNodes)), ("outputs", places(outputNodes)),
        ("frozen", .array(variables.filter { $0.kind == .parameter && !$0.isTrainable }.map { .string($0.name) })),
      ] + normalization)
  }

  private static func integers(_ list: [Int]) -> JSON { .array(list.map { .integer(Int64($0)) }) }

  /// The architecture as JSON text: what ``save(to:)`` stores beside the tensors.
  public var architectureText: String { get throws { try architecture.text() } }
}

/// A network as a file describes it, before any of its memory exists.
struct ArchitectureDescription {
  var graph = Graph()
  var inputs: [Graph.Node] = []
  var outputs: [Graph.Node] = []
  var frozen: [String] = []
  var imageNormalization: ImageNormalization?

  init(_ json: JSON) throws {
    let reader = try ConfigurationReader(json, "the architecture", noun: "member")
    guard try reader.value("format").isText(Model.formatName) else {
      throw MartletError.corruptFile("the architecture: member \"format\": expected \"\(Model.formatName)\".")
    }
    let version = try reader.int("version")
    guard version == Model.formatVersion else {
      throw MartletError.corruptFile(
        "the architecture: member \"version\": expected \(Model.formatVersion), which this library reads; got \(version).")
    }
    let layerList = try reader.array("layers")
    let nodeList = try reader.array("nodes")
    inputs = try reader.ints("inputs").map(Graph.Node.init)
    outputs = try reader.ints("outputs").map(Graph.Node.init)
    frozen = try reader.strings("frozen")
    imageNormalization = try reader.optional("image_normalization").map(ImageNormalization.init(configuration:))
    try reader.refuseUnknown()

    guard layerList.count <= Limits.nodeCount else {
      throw MartletError.corruptFile(
        "the architecture: expected at most \(Limits.nodeCount) layers; got \(layerList.count).")
    }
    let layers = try layerList.enumerated().map { try Self.layer($1, at: $0) }
    /// The first node of each layer.
    var firstNodes = [Graph.Node?](repeating: nil, count: layers.count)
    for (place, node) in nodeList.enumerated() { try add(node, at: place, layers, &firstNodes) }
    if let unused = firstNodes.firstIndex(where: { $0 == nil }) {
      throw MartletError.corruptFile(
        "the architecture: expected each layer at a node; layer \(excerpt(layers[unused].name)) stands at none.")
    }
    try refuseUnneeded()
  }

  private static func layer(_ json: JSON, at place: Int) throws -> (name: String, layer: any BuildableLayer) {
    let reader = try ConfigurationReader(json, "layer \(place)", noun: "member")
    let name = try reader.string("name")
    let kind = try reader.string("kind")
    let options = try reader.value("options")
    try reader.refuseUnknown()
    guard let type = LayerKinds.named(kind) else {
      throw MartletError.corruptFile(
        "layer \(excerpt(name)) is of the unknown kind \(excerpt(kind)); was it written by a newer version?")
    }
    do {
      return (name, try type.init(configuration: options))
    } catch let error as MartletError {
      throw MartletError(error.kind, "layer \(excerpt(name)): \(error.message)")
    }
  }

  /// One node: an input, or a layer of the list applied to earlier nodes.
  private mutating func add(
    _ json: JSON, at place: Int, _ layers: [(name: String, layer: any BuildableLayer)], _ firstNodes: inout [Graph.Node?]
  ) throws {
    let reader = try ConfigurationReader(json, "node \(place)", noun: "member")
    if reader.optional("input") != nil {
      let shape = try reader.ints("input")
      let name = try reader.string("name")
      try reader.refuseUnknown()
      _ = try graph.input(shape, name: name)
      return
    }
    let number = try reader.int("layer")
    let sources = try reader.ints("from")
    try reader.refuseUnknown()
    guard layers.indices.contains(number) else {
      throw MartletError.corruptFile(
        "node \(place): member \"layer\": expected the number of one of \(layers.count) layers; got \(number).")
    }
    guard sources.allSatisfy({ (0..<place).contains($0) }) else {
      throw MartletError.corruptFile("node \(place) reads a node that is not before it")
    }
    let inputs = sources.map(Graph.Node.init)
    if let first = firstNodes[number] {
      _ = try graph.apply(layerOf: first, to: inputs)
    } else {
      firstNodes[number] = try graph.add(layers[number].layer, to: inputs, name: layers[number].name)
    }
  }

  /// Refuses nodes that no output needs and that are no inputs of the model: their layers would be lost.
  private func refuseUnneeded() throws {
    var isNeeded = [Bool](repeating: false, count: graph.nodes.count)
    for (nodes, name) in [(inputs, "inputs"), (outputs, "outputs")] {
      for node in nodes {
        _ = try graph.entry(node, name)
        isNeeded[node.index] = true
      }
    }
    // Every node reads earlier ones alone, so one pass from the last to the first finds all that are read.
    for (place, node) in graph.nodes.enumerated().reversed() where isNeeded[place] {
      for source in node.inputs { isNeeded[source] = true }
    }
    if let unneeded = isNeeded.firstIndex(of: false) {
      throw MartletError.corruptFile(
        "the architecture: expected nodes that the outputs need; node \(unneeded) (\(excerpt(graph.name(of: unneeded)))) is read by none."
      )
    }
  }
}
