// Header section: tensors.
import CMartlet
import Martlet

typealias Out = UnsafeMutablePointer<OpaquePointer?>

private func tensor(_ handle: OpaquePointer?, _ argument: String) throws -> Tensor {
  try object(handle, argument, as: TensorHandle.self).tensor
}

private func makeTensor(_ out: Out?, _ body: () throws -> Tensor) -> martlet_status {
  boundary { try create(out) { try TensorHandle(body()) } }
}

@_cdecl("martlet_tensor_create") @implementation
public func martlet_tensor_create(
  _ out: UnsafeMutablePointer<OpaquePointer?>!, _ source: UnsafePointer<martlet_array>!
) -> martlet_status {
  makeTensor(out) { try Tensor(copying: ArrayView(source, "source"), argument: "source") }
}

@_cdecl("martlet_tensor_create_filled") @implementation
public func martlet_tensor_create_filled(
  _ out: UnsafeMutablePointer<OpaquePointer?>!, _ rank: Int32, _ dimensions: UnsafePointer<Int64>!, _ value: Float
) -> martlet_status {
  makeTensor(out) { try Tensor(shape: shape(rank, dimensions, "shape"), filledWith: value) }
}

@_cdecl("martlet_tensor_destroy") @implementation
public func martlet_tensor_destroy(_ tensor: OpaquePointer!) { destroy(tensor, as: TensorHandle.self) }

@_cdecl("martlet_tensor_view") @implementation
public func martlet_tensor_view(_ handle: OpaquePointer!, _ out: UnsafeMutablePointer<martlet_view>!) -> martlet_status {
  boundary {
    let holder = try object(handle, "tensor", as: TensorHandle.self)
    let out = try require(out, "out")
    out.pointee = try martlet_view(
      ArrayView(UnsafeMutableRawPointer(holder.floats), .float32, shape: holder.tensor.shape, argument: "tensor"))
  }
}

private func index(_ handle: TensorHandle, _ pointer: UnsafePointer<Int64>?) throws -> [Int] {
  try shape(Int32(handle.tensor.shape.count), pointer, "index")
}

@_cdecl("martlet_tensor_get") @implementation
public func martlet_tensor_get(
  _ handle: OpaquePointer!, _ position: UnsafePointer<Int64>!, _ out: UnsafeMutablePointer<Float>!
) -> martlet_status {
  boundary {
    let holder = try object(handle, "tensor", as: TensorHandle.self)
    let out = try require(out, "out")
    out.pointee = try holder.tensor.element(at: index(holder, position))
  }
}

@_cdecl("martlet_tensor_set") @implementation
public func martlet_tensor_set(_ handle: OpaquePointer!, _ position: UnsafePointer<Int64>!, _ value: Float) -> martlet_status {
  boundary {
    let holder = try object(handle, "tensor", as: TensorHandle.self)
    let offset = try holder.tensor.offset(of: index(holder, position))
    holder.floats?[offset] = value
  }
}

@_cdecl("martlet_tensor_reshape") @implementation
public func martlet_tensor_reshape(
  _ out: UnsafeMutablePointer<OpaquePointer?>!, _ x: OpaquePointer!, _ rank: Int32, _ dimensions: UnsafePointer<Int64>!
) -> martlet_status {
  makeTensor(out) {
    var copy = try tensor(x, "x").reshaped(to: shape(rank, dimensions, "shape"))
    try copy.withMutableFloats { _ in }
    return copy
  }
}

@_cdecl("martlet_tensor_binary") @implementation
public func martlet_tensor_binary(
  _ out: UnsafeMutablePointer<OpaquePointer?>!, _ operation: Int32, _ a: OpaquePointer!, _ b: OpaquePointer!
) -> martlet_status {
  makeTensor(out) { try Tensor.elementwise(choice(operation, "operation"), tensor(a, "a"), tensor(b, "b")) }
}

@_cdecl("martlet_tensor_unary") @implementation
public func martlet_tensor_unary(
  _ out: UnsafeMutablePointer<OpaquePointer?>!, _ operation: Int32, _ x: OpaquePointer!
) -> martlet_status {
  makeTensor(out) { try tensor(x, "x").mapped(choice(operation, "operation")) }
}

@_cdecl("martlet_tensor_activation") @implementation
public func martlet_tensor_activation(
  _ out: UnsafeMutablePointer<OpaquePointer?>!, _ activation: Int32, _ x: OpaquePointer!
) -> martlet_status {
  makeTensor(out) { try tensor(x, "x").activated(choice(activation, "activation")) }
}

@_cdecl("martlet_tensor_softmax") @implementation
public func martlet_tensor_softmax(_ out: UnsafeMutablePointer<OpaquePointer?>!, _ x: OpaquePointer!) -> martlet_status {
  makeTensor(out) { try tensor(x, "x").softmax() }
}

@_cdecl("martlet_tensor_matmul") @implementation
public func martlet_tensor_matmul(
  _ out: UnsafeMutablePointer<OpaquePointer?>!, _ a: OpaquePointer!, _ b: OpaquePointer!, _ transpose_a: Int32,
  _ transpose_b: Int32
) -> martlet_status {
  makeTensor(out) {
    try tensor(a, "a").matrixProduct(
      tensor(b, "b"), transposed: flag(transpose_a, "transpose_a"), otherTransposed: flag(transpose_b, "transpose_b"))
  }
}

@_cdecl("martlet_matmul") @implementation
public func martlet_matmul(
  _ a: UnsafePointer<martlet_array>!, _ b: UnsafePointer<martlet_array>!, _ c: UnsafePointer<martlet_array>!
) -> martlet_status {
  boundary { try MatrixProductFunction.multiply(ArrayView(a, "a"), ArrayView(b, "b"), into: ArrayView(c, "c")) }
}

@_cdecl("martlet_tensor_reduce") @implementation
public func martlet_tensor_reduce(
  _ out: UnsafeMutablePointer<OpaquePointer?>!, _ operation: Int32, _ x: OpaquePointer!, _ axis: Int32
) -> martlet_status {
  makeTensor(out) {
    try tensor(x, "x").reduced(choice(operation, "operation"), axis: axis == Int32.max ? nil : Int(axis))
  }
}
