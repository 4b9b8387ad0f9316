// Objects as C sees them: owned pointers to incomplete structs.
import CMartlet
import Martlet

/// Values of Swift's own kind (structs) in an object, so that C can hold on to them.
final class GraphHandle {
  private var value = Graph()
  private let exclusivity = Exclusivity("graph")

  /// A copy, which stays as it is.
  var graph: Graph { get throws { try exclusivity.reading { value } } }
  func change<Result>(_ body: (inout Graph) throws -> Result) throws -> Result { try exclusivity.changing { try body(&value) } }
}

/// A tensor with memory of its own at one address: it may be read and written there by several threads without being moved or freed.
final class TensorHandle {
  let tensor: Tensor
  let floats: UnsafeMutablePointer<Float>?

  init(_ tensor: consuming Tensor) throws {
    floats = try tensor.withMutableFloats { $0.baseAddress }
    self.tensor = tensor
  }
}

final class StatisticsHandle {
  let exclusivity = Exclusivity("statistics")
  var statistics: PopulationStatistics
  init(_ statistics: PopulationStatistics) { self.statistics = statistics }
}

/// A model with its names as C strings.
final class ModelHandle: @unchecked Sendable {
  let model: Model
  let layerNames: CStrings
  let tensorNames: CStrings

  init(_ model: Model) {
    self.model = model
    layerNames = CStrings(model.layers.map(\.name))
    tensorNames = CStrings(model.variables.map(\.name))
  }
}

/// Makes an object and hands it out, owned; `out` is unchanged if that fails.
func create<Object: AnyObject>(_ out: UnsafeMutablePointer<OpaquePointer?>?, _ body: () throws -> Object) throws {
  let out = try require(out, "out")
  let object = try body()
  out.pointee = OpaquePointer(Unmanaged.passRetained(object).toOpaque())
}

/// The object behind a handle that may not be NULL.
func object<Object: AnyObject>(_ handle: OpaquePointer?, _ argument: String, as _: Object.Type = Object.self) throws -> Object {
  Unmanaged<Object>.fromOpaque(UnsafeRawPointer(try require(handle, argument))).takeUnretainedValue()
}

/// Ends the caller's ownership; NULL does nothing.
func destroy<Object: AnyObject>(_ handle: OpaquePointer?, as _: Object.Type) {
  guard let handle else { return }
  Unmanaged<Object>.fromOpaque(UnsafeRawPointer(handle)).release()
}

func model(_ handle: OpaquePointer?) throws -> Model { try object(handle, "model", as: ModelHandle.self).model }
