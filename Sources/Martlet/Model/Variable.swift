// A model's tensors: parameters that training changes, and state kept beside them.
import Synchronization

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
  /// What a file or a caller may give it.
  var rule = ValueRule.any
}

/// One tensor of a model, with its gradient where it has one. Named as in PyTorch's state dictionaries: "0.weight".
///
/// ``value`` and ``gradientValue`` are the memory itself, which lives as long as this object; ``copyValues(into:)`` reads.
///
/// Inference keeps numbers made from the values (weights packed for the kernels, folded batch norms). They are made anew when
/// ``version`` has moved, which everything in the library that writes values takes care of; and for every call once ``value`` was
/// handed out, for then nobody can tell when it is written.
public final class Variable: @unchecked Sendable {
  public enum Kind: Int32, Sendable {
    /// Training changes it.
    case parameter = 0
    /// Kept beside the parameters: moving statistics, counters.
    case state = 1
  }

  /// "<layer>.<tensor>"
  public let name: String
  /// The tensor's last name: "weight".
  let localName: String
  public let shape: [Int]
  /// Steps between neighbours of each axis, in elements: the values lie side by side in row-major order.
  public var strides: [Int] { Shape.contiguousStrides(shape) }
  public let kind: Kind
  public let dataType: DataType
  /// Elements.
  public let count: Int
  /// Whether optimizers change it, and backward computes its gradient.
  public internal(set) var isTrainable: Bool
  let isWeight: Bool
  let rule: ValueRule
  let initializer: Initializer
  let fanIn: Int
  let fanOut: Int
  let storage: Storage
  /// Counts the writes of the library's own.
  private(set) var version = 0
  private let exposure = Atomic<Bool>(false)
  let gradientStorage: Storage?
  /// Of the network that it belongs to.
  var exclusivity: Exclusivity?

  init(layer: String, _ specification: VariableSpecification) throws {
    name = layer + "." + specification.name
    localName = specification.name
    shape = specification.shape
    kind = specification.kind
    dataType = specification.dataType
    isTrainable = specification.kind == .parameter && specification.isTrainable
    isWeight = specification.isWeight
    rule = specification.rule
    initializer = specification.initializer
    fanIn = specification.fanIn
    fanOut = specification.fanOut
    count = try Shape.elementCount(shape, argument: name)
    storage = try Storage(byteCount: count * dataType.byteCount)
    gradientStorage = kind == .parameter ? try Storage(byteCount: count * 4) : nil
  }

  /// Where the values lie, to read. Only for float32.
  var floats: UnsafePointer<Float> { UnsafePointer(storage.floats) }
  /// Where the values lie; whoever writes there says so with ``didWrite()``.
  var mutableFloats: UnsafeMutablePointer<Float> { storage.floats }
  /// What was made from the values is stale.
  func didWrite() { version &+= 1 }
  /// A caller holds the memory and may write to it at any time.
  var isExposed: Bool { exposure.load(ordering: .relaxed) }
  var gradient: UnsafeMutablePointer<Float>? { gradientStorage?.floats }

  /// The values' memory, writable, as long as this object lives.
  ///
  /// From then on every inference run makes anew what it would otherwise keep of this tensor: it is slower, mostly for single
  /// rows. To read, use ``copyValues(into:)``; to write, ``Model/setVariables(_:strict:)``.
  public var value: ArrayView {
    exposure.store(true, ordering: .relaxed)
    return view(storage)
  }
  /// The gradient's memory; nil for state.
  public var gradientValue: ArrayView? { gradientStorage.map { view($0, .float32) } }

  private func view(_ storage: Storage, _ type: DataType? = nil) -> ArrayView {
    ArrayView(unchecked: storage.base, type ?? dataType, shape: shape, count: count)
  }

  /// The values' memory for reading inside the library, which exposes nothing.
  var readingView: ArrayView { view(storage) }

  func copyValues(from other: Variable) {
    storage.base.copyMemory(from: other.storage.base, byteCount: count * dataType.byteCount)
    isTrainable = other.isTrainable
    didWrite()
  }
}
