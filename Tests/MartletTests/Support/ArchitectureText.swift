// Architectures as text, honest or not: what a stranger's file may say.

@testable import Martlet

/// The parts of a file's architecture as JSON texts, each of which a test may replace by what no library would write.
struct ArchitectureText {
  var format = "\"martlet\""
  var version = "1"
  var layers: [String] = []
  var nodes: [String] = []
  var inputs = "[0]"
  var outputs = "[0]"
  var frozen = "[]"
  /// Further members, with the comma before them.
  var more = ""

  /// An input and a chain of layers, named by their places.
  init(input: [Int], _ chain: [(kind: String, options: String)] = []) {
    nodes = ["{\"input\":\(input),\"name\":\"input\"}"]
    for (place, layer) in chain.enumerated() {
      layers.append("{\"name\":\"\(place)\",\"kind\":\"\(layer.kind)\",\"options\":\(layer.options)}")
      nodes.append("{\"layer\":\(place),\"from\":[\(place)]}")
    }
    outputs = "[\(chain.count)]"
  }

  var text: String {
    "{\"format\":\(format),\"version\":\(version),\"layers\":[\(layers.joined(separator: ","))],"
      + "\"nodes\":[\(nodes.joined(separator: ","))],\"inputs\":\(inputs),\"outputs\":\(outputs),\"frozen\":\(frozen)\(more)}"
  }

  /// What the file describes, or the error that refuses it.
  @discardableResult
  func described() throws -> ArchitectureDescription {
    try ArchitectureDescription(JSON.parse(text, source: "test"))
  }

  /// The bytes of a file without tensors.
  func file() throws -> [UInt8] {
    let metadata = try JSON.object([("__metadata__", .object([("martlet", .string(text))]))]).text()
    return rawFile(metadata, dataLength: 0)
  }
}

/// Files that no honest library writes and that must be refused, by what is wrong with them.
enum HostileArchitectures {
  /// 330 bytes whose input has more axes than an array may have, with the batch.
  static func input(axes: Int) -> ArchitectureText {
    ArchitectureText(input: [Int](repeating: 1, count: axes), [("relu", "{}")])
  }

  /// Layers in a chain, each a node.
  static func chain(nodes: Int) -> ArchitectureText {
    ArchitectureText(input: [1], [(kind: String, options: String)](repeating: ("relu", "{}"), count: nodes - 1))
  }

  /// One layer that stands at so many places, one after the other.
  static func places(_ count: Int) -> ArchitectureText {
    var text = ArchitectureText(input: [1], [("relu", "{}")])
    for place in 1..<count { text.nodes.append("{\"layer\":0,\"from\":[\(place)]}") }
    text.outputs = "[\(count)]"
    return text
  }

  /// A layer that joins so many inputs, all of them one node.
  static func join(_ count: Int) -> ArchitectureText {
    var text = ArchitectureText(input: [1], [("add", "{}")])
    text.nodes[1] = "{\"layer\":0,\"from\":\([Int](repeating: 0, count: count))}"
    return text
  }

  /// One node, so many times an output.
  static func outputs(_ count: Int) -> ArchitectureText {
    var text = ArchitectureText(input: [1], [("relu", "{}")])
    text.outputs = "\([Int](repeating: 1, count: count))"
    return text
  }
}
