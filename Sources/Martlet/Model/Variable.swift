// A model's tensors: parameters that training changes, and state kept beside them.

/// What a layer asks for: one tensor.
struct VariableSpecification {
  var name: String
  var shape: [Int]
  var kind: Variable.Kind
  var dataType: DataType = .float32
  var initializer: Initializer = .zeros
  var fanIn = 0
  var fanOut = 0
  /// A matrix of weights, which weight decay shrinks by default; not a scale, shift or bias.
  var isWeight = false
  var isTrainable = true
}

/// One tensor of a model, with its gradient where it has one. Named as in PyTorch's state dictionaries: "0.weight".
///
/// `value` and `gradient` are the memory itself, which lives as long as this object.
public final class Variable: @unchecked Sendable {
  public enum Kind: Int32, Sendable {
    /// Training changes it.
    case parameter = 0
    /// Kept beside the parameters: moving statistics, counters.
    case state = 1
  }

  /// "<layer>.<tensor>"
  public let name: String
  public let shape: [Int]
  public let kind: Kind
  public let dataType: DataType
  /// Elements.
  public let count: Int
  /// Whether optimizers change it, and backward computes its gradient.
  public internal(set) var isTrainable: Bool
  let isWeight: Bool
  let initializer: Initializer
  let fanIn: Int
  let fanOut: Int
  let storage: Storage
  let gradientStorage: Storage?

  init(layer: String, _ specification: VariableSpecification) throws {
    name = layer + "." + specification.name
    shape = specification.shape
    kind = specification.kind
    dataType = specification.dataType
    isTrainable = specification.kind == .parameter && specification.isTrainable
    isWeight = specification.isWeight
    initializer = specification.initializer
    fanIn = specification.fanIn
    fanOut = specification.fanOut
    count = try Shape.elementCount(shape, argument: name)
    storage = try Storage(byteCount: count * dataType.byteCount)
    gradientStorage = kind == .parameter ? try Storage(byteCount: count * 4) : nil
  }

  /// The tensor's last name: "weight".
  var localName: String { String(name[name.index(after: name.lastIndex(of: ".") ?? name.startIndex)...]) }

  /// Where the values lie. Only for float32.
  var floats: UnsafeMutablePointer<Float> { storage.floats }
  var gradient: UnsafeMutablePointer<Float>? { gradientStorage?.floats }

  /// The values' memory, writable, as long as this object lives.
  public var value: ArrayView { view(storage) }
  /// The gradient's memory; nil for state.
  public var gradientValue: ArrayView? { gradientStorage.map { view($0, .float32) } }

  private func view(_ storage: Storage, _ type: DataType? = nil) -> ArrayView {
    ArrayView(unchecked: storage.base, type ?? dataType, shape: shape, count: count)
  }

  func copyValues(from other: Variable) {
    storage.base.copyMemory(from: other.storage.base, byteCount: count * dataType.byteCount)
    isTrainable = other.isTrainable
  }
}
