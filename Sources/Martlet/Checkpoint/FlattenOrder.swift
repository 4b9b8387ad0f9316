// Where flattened images put their values: channels last here, [H, W, C], and first in PyTorch, [C, H, W].

/// The order of the values of a flattened image, which the columns of a ``Dense`` that reads it follow.
///
/// The shapes are the same either way, so tensors of one order in a network of the other give wrong numbers without an error.
public enum FlattenOrder: Int32, Sendable, CaseIterable {
  /// `[H, W, C]`: this library, Keras.
  case channelsLast = 1
  /// `[C, H, W]`: PyTorch.
  case channelsFirst = 2
}

/// How the tensors of one layer differ between the two orders.
enum FlattenedReading: Equatable {
  /// Consecutive values of a flattened row: an image of that shape, or with nil values in one order everywhere.
  struct Part: Equatable {
    let count: Int
    let image: [Int]?
  }

  /// Not at all.
  case alike
  /// The layer reads these values; its tensors' last axis follows them.
  case flattened([Part])
  /// The layer's tensors have the shape of an image, channels last.
  case image([Int])
  /// It cannot be told; the words say why.
  case unknown(String)

  /// A text for errors: what the layer reads.
  var reason: String {
    switch self {
    case .alike: "reads values in one order"
    case .flattened(let parts):
      "reads a flattened image \(parts.first { $0.image != nil }?.image.map(Shape.text) ?? "[]")"
    case .image(let shape): "has tensors of the shape of an image \(Shape.text(shape))"
    case .unknown(let why): why
    }
  }
}

/// The order of a node's values, beside that of the same network in PyTorch.
private enum NodeOrder: Equatable {
  /// The same.
  case plain
  /// An image, channels last or first.
  case last
  case first
  /// A flattened row.
  case flattened([FlattenedReading.Part])
  /// Nobody knows what PyTorch's network would hold here.
  case unknown
}

extension Network {
  /// The layers whose tensors are not alike in both orders.
  func flattenedReadings() -> [ObjectIdentifier: FlattenedReading] {
    var orders: [NodeOrder] = []
    orders.reserveCapacity(nodes.count)
    var found: [ObjectIdentifier: FlattenedReading] = [:]
    for node in nodes {
      guard let layer = node.layer, let source = node.inputs.first else {
        orders.append(node.shape.count <= 1 ? .plain : .last)
        continue
      }
      let read = node.inputs.map { orders[$0] }
      let shapes = node.inputs.map { nodes[$0].shape }
      if !layer.variables.isEmpty {
        let reading = Self.reading(layer, read[0], nodes[source].shape)
        let known = found.updateValue(reading, forKey: ObjectIdentifier(layer))
        if let known, known != reading {
          found[ObjectIdentifier(layer)] = .unknown("stands in several places and reads values in different orders")
        }
      }
      orders.append(Self.order(of: node, layer.layer, read, shapes))
    }
    return found.filter { $0.value != .alike }
  }

  private static func reading(_ layer: ModelLayer, _ order: NodeOrder, _ shape: [Int]) -> FlattenedReading {
    switch order {
    case .plain, .first: return .alike
    case .last:
      let hasShapeOfImage = shape.count > 1 && layer.variables.contains { $0.shape == shape }
      return hasShapeOfImage && movesValues(shape) ? .image(shape) : .alike
    case .unknown:
      return shape.count == 1 ? .unknown("reads values whose order in PyTorch is not known") : .alike
    case .flattened(let parts):
      guard !(layer.layer is GroupNorm) else {
        return .unknown("normalizes groups of neighbouring values of a flattened image, which are other values in PyTorch")
      }
      let count = parts.reduce(0) { $0 + $1.count }
      let follows = layer.variables.allSatisfy { $0.count == 1 || $0.shape.last == count || $0.localName == "bias" }
      return follows ? .flattened(parts) : .unknown("reads a flattened image; the order of its tensors is not known")
    }
  }

  private static func order(of node: Node, _ layer: any BuildableLayer, _ read: [NodeOrder], _ shapes: [[Int]]) -> NodeOrder {
    switch layer {
    case is Flatten, is Reshape: return reshaped(read[0], shapes[0], node.shape)
    case is ChannelsLast: return .last
    case is ChannelsFirst: return .first
    case is Dense: return .plain
    case is Add: return read.allSatisfy { $0 == read[0] } ? read[0] : .unknown
    case is Concatenate: return concatenated(read, shapes)
    default:
      // What keeps the shape works on each value, or each channel, by itself.
      if node.shape == shapes[0] { return read[0] }
      return node.shape.count <= 1 ? .plain : .last
    }
  }

  private static func reshaped(_ order: NodeOrder, _ before: [Int], _ after: [Int]) -> NodeOrder {
    if before == after { return order }
    if after.count <= 1 {
      switch order {
      case .last:
        guard movesValues(before) else { return .plain }
        return .flattened([FlattenedReading.Part(count: before.reduce(1, *), image: before)])
      case .first: return .plain
      default: return order
      }
    }
    if case .flattened(let parts) = order, parts.count == 1, parts[0].image == after { return .last }
    return order == .plain && !movesValues(after) ? .last : .unknown
  }

  private static func concatenated(_ read: [NodeOrder], _ shapes: [[Int]]) -> NodeOrder {
    guard shapes.allSatisfy({ $0.count == 1 }) else { return read.allSatisfy { $0 == read[0] } ? read[0] : .unknown }
    var parts: [FlattenedReading.Part] = []
    for (order, shape) in zip(read, shapes) {
      switch order {
      case .flattened(let own): parts += own
      case .unknown: return .unknown
      default: parts.append(FlattenedReading.Part(count: shape[0], image: nil))
      }
    }
    return parts.contains { $0.image != nil } ? .flattened(parts) : .plain
  }

  /// Whether an image's values lie elsewhere in the other order: it has several positions and several channels.
  private static func movesValues(_ shape: [Int]) -> Bool { (shape.last ?? 1) > 1 && shape.dropLast().reduce(1, *) > 1 }
}
