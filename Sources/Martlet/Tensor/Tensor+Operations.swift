// Arithmetic on tensors: elementwise, matrix products, reductions, softmax. Every result is a new contiguous tensor.
import MartletRuntime

extension Tensor {
  /// `a ∘ b`, element by element.
  ///
  /// Shapes: equal; or one of the two is `[C]` beside `[…, C]`, or has a single element.
  ///
  /// - Throws: ``MartletError/Kind/shapeMismatch`` for other shapes.
  public static func elementwise(_ operation: BinaryOperation, _ a: Tensor, _ b: Tensor) throws -> Tensor {
    let environment = FloatingPointEnvironment.enter()
    defer { environment.leave() }
    let compute = try Compute.shared
    func run(_ wide: Tensor, _ narrow: Tensor, columns: Int, _ broadcast: Broadcast, swapped: Bool) throws -> Tensor {
      let result = try Tensor(uninitialized: wide.shape)
      guard wide.count > 0 else { return result }
      compute.binary(
        operation, wide.storage.floats, narrow.storage.floats, rows: wide.count / columns, columns: columns,
        broadcast: broadcast, swapped: swapped, into: result.storage.floats)
      return result
    }
    if a.shape == b.shape { return try run(a, b, columns: max(a.count, 1), .none, swapped: false) }
    if b.count == 1, b.shape.count <= a.shape.count { return try run(a, b, columns: max(a.count, 1), .scalar, swapped: false) }
    if a.count == 1, a.shape.count <= b.shape.count { return try run(b, a, columns: max(b.count, 1), .scalar, swapped: true) }
    if b.shape.count == 1, b.shape.last == a.shape.last { return try run(a, b, columns: b.count, .alongRows, swapped: false) }
    if a.shape.count == 1, a.shape.last == b.shape.last { return try run(b, a, columns: a.count, .alongRows, swapped: true) }
    throw MartletError.shapeMismatch(
      "\(operation) needs equal shapes, [C] beside [..., C], or a single element on one side; "
        + "\(Shape.text(a.shape)) and \(Shape.text(b.shape)) came.")
  }

  public static func + (a: Tensor, b: Tensor) throws -> Tensor { try elementwise(.add, a, b) }
  public static func - (a: Tensor, b: Tensor) throws -> Tensor { try elementwise(.subtract, a, b) }
  public static func * (a: Tensor, b: Tensor) throws -> Tensor { try elementwise(.multiply, a, b) }
  public static func / (a: Tensor, b: Tensor) throws -> Tensor { try elementwise(.divide, a, b) }

  /// The function of each element.
  public func mapped(_ operation: UnaryOperation) throws -> Tensor {
    let environment = FloatingPointEnvironment.enter()
    defer { environment.leave() }
    let compute = try Compute.shared
    let result = try Tensor(uninitialized: shape)
    compute.unary(operation, storage.floats, count: count, into: result.storage.floats)
    return result
  }

  /// The activation of each element.
  public func activated(_ activation: Activation) throws -> Tensor {
    let environment = FloatingPointEnvironment.enter()
    defer { environment.leave() }
    let compute = try Compute.shared
    let result = try Tensor(uninitialized: shape)
    compute.activate(activation, storage.floats, count: count, into: result.storage.floats)
    return result
  }

  /// e^(x − max) / Σ e^(x − max) over the last axis.
  public func softmax() throws -> Tensor {
    let environment = FloatingPointEnvironment.enter()
    defer { environment.leave() }
    let compute = try Compute.shared
    let result = try Tensor(uninitialized: shape)
    guard count > 0 else { return result }
    let columns = shape.last ?? 1
    compute.softmaxRows(storage.floats, rows: count / columns, columns: columns, into: result.storage.floats)
    return result
  }

  /// The matrix product of this `[m, k]` (`[k, m]` if transposed) and `b` `[k, n]` (`[n, k]` if transposed): `[m, n]`.
  ///
  /// - Throws: ``MartletError/Kind/shapeMismatch`` unless both are matrices and the inner dimensions are equal.
  public func matrixProduct(_ b: Tensor, transposed: Bool = false, otherTransposed: Bool = false) throws -> Tensor {
    let environment = FloatingPointEnvironment.enter()
    defer { environment.leave() }
    let compute = try Compute.shared
    guard shape.count == 2, b.shape.count == 2 else {
      throw MartletError.shapeMismatch(
        "A matrix product needs two matrices; \(Shape.text(shape)) and \(Shape.text(b.shape)) came.")
    }
    let (m, k) = transposed ? (shape[1], shape[0]) : (shape[0], shape[1])
    let (inner, n) = otherTransposed ? (b.shape[1], b.shape[0]) : (b.shape[0], b.shape[1])
    guard k == inner else {
      throw MartletError.shapeMismatch(
        "A matrix product needs equal inner dimensions; \(Shape.text(shape))\(transposed ? " transposed" : "") and "
          + "\(Shape.text(b.shape))\(otherTransposed ? " transposed" : "") came (\(k) and \(inner)).")
    }
    let result = try Tensor(uninitialized: [m, n])
    guard result.count > 0 else { return result }
    let workspace = try Storage(
      byteCount: compute.multiplyWorkspaceByteCount(rows: m, columns: n, depth: k), isZeroed: false, isWorkspace: true)
    compute.multiply(
      rows: m, columns: n, depth: k,
      MatrixView(storage.floats, rowStride: transposed ? 1 : k, columnStride: transposed ? m : 1),
      MatrixView(b.storage.floats, rowStride: otherTransposed ? 1 : n, columnStride: otherTransposed ? k : 1),
      into: result.storage.floats, rowStride: n, workspace: workspace.base)
    return result
  }

  /// Reduces one axis (negative: counted from the end), or everything with nil (a result of rank 0). Sums are gathered in
  /// Float64.
  ///
  /// - Throws: ``MartletError/Kind/invalidArgument`` for an axis that is not there, or the extreme of nothing.
  public func reduced(_ operation: ReductionOperation, axis: Int? = nil) throws -> Tensor {
    let environment = FloatingPointEnvironment.enter()
    defer { environment.leave() }
    let compute = try Compute.shared
    var (outer, length, inner) = (1, count, 1)
    var resultShape: [Int] = []
    if let axis {
      let position = axis < 0 ? axis + shape.count : axis
      guard shape.indices.contains(position) else {
        throw MartletError.invalidArgument(
          "axis: \(axis) is not one of the \(shape.count) axes of the shape \(Shape.text(shape)).")
      }
      outer = shape[..<position].reduce(1, *)
      length = shape[position]
      inner = shape[(position + 1)...].reduce(1, *)
      resultShape = shape
      resultShape.remove(at: position)
    }
    let result = try Tensor(uninitialized: resultShape)
    guard result.count > 0 else { return result }
    if length == 0, operation == .maximum || operation == .minimum {
      throw MartletError.invalidArgument("The \(operation) of no elements is undefined; the shape is \(Shape.text(shape)).")
    }
    let workspace = try Storage(
      byteCount: compute.reductionWorkspaceByteCount(outer: outer, axis: length, inner: inner), isZeroed: false,
      isWorkspace: true)
    compute.reduce(
      operation, storage.floats, outer: outer, axis: length, inner: inner, into: result.storage.floats,
      workspace: workspace.base)
    return result
  }
}
