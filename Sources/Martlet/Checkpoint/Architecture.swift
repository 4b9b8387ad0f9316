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

  static func named(_ kind: String) -> (any BuildableLayer.Type)? { all.first { $0.kind == kind } }
}

/// Typed reading of a layer's options; what is missing or of another type is a corrupt file.
struct ConfigurationReader {
  private let json: JSON
  private let kind: String

  init(_ json: JSON, kind: String) {
    self.json = json
    self.kind = kind
  }

  func value(_ key: String) throws -> JSON {
    guard let value = json[key] else { throw MartletError.corruptFile("\(kind): the option \"\(key)\" is missing") }
    return value
  }

  private func read<Value>(_ key: String, _ what: String, _ get: (JSON) -> Value?) throws -> Value {
    let found = try value(key)
    guard let result = get(found) else {
      throw MartletError.corruptFile("\(kind): the option \"\(key)\" should be \(what), it is \(found.kindName)")
    }
    return result
  }

  func bool(_ key: String) throws -> Bool { try read(key, "a boolean", \.bool) }
  func int(_ key: String) throws -> Int { try read(key, "an integer", \.int) }
  func double(_ key: String) throws -> Double { try read(key, "a number", \.double) }
  func string(_ key: String) throws -> String { try read(key, "a string", \.string) }
  func ints(_ key: String) throws -> [Int] {
    try read(key, "a list of integers") { list in
      let values = list.array?.compactMap(\.int)
      return values?.count == list.array?.count ? values : nil
    }
  }
  func optionalDouble(_ key: String) throws -> Double? { try value(key).isNull ? nil : double(key) }
}

extension Model {
  static let formatName = "martlet"
  static let formatVersion = 1

  /// The architecture with all options and switches.
  var architecture: JSON {
    let layerNumbers = Dictionary(uniqueKeysWithValues: layers.enumerated().map { (ObjectIdentifier($1), $0) })
    let nodes = network.nodes.map { node -> JSON in
      guard let layer = node.layer, let number = layerNumbers[ObjectIdentifier(layer)] else {
        return .object([("input", Model.integers(node.shape)), ("name", .string(node.name))])
      }
      return .object([("layer", .integer(Int64(number))), ("from", Model.integers(node.inputs))])
    }
    return .object([
      ("format", .string(Model.formatName)), ("version", .integer(Int64(Model.formatVersion))),
      (
        "layers",
        .array(
          layers.map {
            .object([("name", .string($0.name)), ("kind", .string($0.kind)), ("options", .object($0.layer.configuration))])
          })
      ),
      ("nodes", .array(nodes)), ("inputs", Model.integers(inputNodes)), ("outputs", Model.integers(outputNodes)),
      ("frozen", .array(variables.filter { $0.kind == .parameter && !$0.isTrainable }.map { .string($0.name) })),
    ])
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

  init(_ json: JSON) throws {
    guard json["format"]?.string == Model.formatName else {
      throw MartletError.corruptFile("the architecture's \"format\" should be \"\(Model.formatName)\"")
    }
    let version = json["version"]?.int ?? 0
    guard version == Model.formatVersion else {
      throw MartletError(
        .corruptFile, "the architecture has version \(version); this library reads version \(Model.formatVersion)")
    }
    guard let layerList = json["layers"]?.array, let nodeList = json["nodes"]?.array else {
      throw MartletError.corruptFile("the architecture has no \"layers\" or no \"nodes\"")
    }
    let layers = try layerList.map { entry -> (name: String, layer: any BuildableLayer) in
      guard let name = entry["name"]?.string, let kind = entry["kind"]?.string, let options = entry["options"] else {
        throw MartletError.corruptFile("a layer lacks \"name\", \"kind\" or \"options\"")
      }
      guard let type = LayerKinds.named(kind) else {
        throw MartletError.corruptFile(
          "layer \"\(name)\" is of the unknown kind \"\(kind)\"; was it written by a newer version?")
      }
      return (name, try type.init(configuration: options))
    }
    /// The first node of each layer.
    var used: [Int: Graph.Node] = [:]
    for (place, node) in nodeList.enumerated() {
      if let shape = node["input"]?.array {
        _ = try graph.input(Self.integers(shape), name: node["name"]?.string)
        continue
      }
      guard let number = node["layer"]?.int, layers.indices.contains(number), let from = node["from"]?.array else {
        throw MartletError.corruptFile("node \(place) is neither an input nor a layer of the list")
      }
      let sources = try Self.integers(from)
      guard sources.allSatisfy({ (0..<place).contains($0) }) else {
        throw MartletError.corruptFile("node \(place) reads a node that is not before it")
      }
      let inputs = sources.map(Graph.Node.init)
      if let first = used[number] {
        _ = try graph.apply(layerOf: first, to: inputs)
      } else {
        used[number] = try graph.add(layers[number].layer, to: inputs, name: layers[number].name)
      }
    }
    func nodes(_ key: String) throws -> [Graph.Node] {
      guard let list = json[key]?.array else { throw MartletError.corruptFile("the architecture has no \"\(key)\"") }
      return try Self.integers(list).map(Graph.Node.init)
    }
    inputs = try nodes("inputs")
    outputs = try nodes("outputs")
    frozen = (json["frozen"]?.array ?? []).compactMap(\.string)
  }

  private static func integers(_ list: [JSON]) throws -> [Int] {
    try list.map {
      guard let value = $0.int else { throw MartletError.corruptFile("an integer is needed where \($0.kindName) stands") }
      return value
    }
  }

  /// Shape and type of every tensor the model will have, by name. Takes no memory for them.
  func tensors() throws -> [String: VariableSpecification] {
    var result: [String: VariableSpecification] = [:]
    for entry in graph.layers {
      for variable in try entry.layer.variables(entry.inputShapes) { result[entry.name + "." + variable.name] = variable }
    }
    return result
  }
}
