// The matrix product of arrays, on anybody's memory.
import MartletRuntime

/// The plain product, without tensors of the library's own: nothing is made for operands that can be read where they lie.
public enum MatrixProductFunction {
  /// `c[i, j] = Σ_l a[i, l]·b[l, j]`; each element is summed in one order whatever the strides, the other dimensions and the
  /// threads are, so that a row alone has the bits it has among others.
  ///
  /// - Parameters:
  ///   - a: `[m, k]`. Float32 with a step of 1 along either axis (so a transposed view, or a part of a larger matrix, too) is read where it
  ///     lies; anything else is copied first.
  ///   - b: `[k, n]`, likewise.
  ///   - c: `[m, n]`, contiguous Float32 that shares no memory with the others. Unchanged after a throw.
  ///
  /// - Throws: ``MartletError/Kind/shapeMismatch`` unless all are matrices that fit each other; ``MartletError/Kind/invalidArgument`` if `c` is not
  ///   contiguous Float32 or shares memory.
  ///
  /// Edge cases: k = 0 writes zeros; m = 0 or n = 0 nothing.
  public static func multiply(_ a: ArrayView, _ b: ArrayView, into c: ArrayView) throws {
    try multiply(a, b, into: c, on: .shared)
  }

  static func multiply(_ a: ArrayView, _ b: ArrayView, into c: ArrayView, on compute: Compute) throws {
    let environment = FloatingPointEnvironment.enter()
    defer { environment.leave() }
    guard a.shape.count == 2, b.shape.count == 2 else {
      throw MartletError.shapeMismatch(
        "A matrix product needs two matrices; \(Shape.text(a.shape)) and \(Shape.text(b.shape)) came as a and b.")
    }
    let (m, k, n) = (a.shape[0], a.shape[1], b.shape[1])
    guard b.shape[0] == k else {
      throw MartletError.shapeMismatch(
        "A matrix product needs equal inner dimensions; \(Shape.text(a.shape)) and \(Shape.text(b.shape)) came as a and b "
          + "(\(k) and \(b.shape[0])).")
    }
    let target = try c.target([m, n], "c")
    try ArrayView.checkSeparate(c, "c", from: a, "a")
    try ArrayView.checkSeparate(c, "c", from: b, "b")
    guard let target else { return }
    let (first, second) = try (Operand(a, "a", orAnything: target), Operand(b, "b", orAnything: target))
    let workspace = try Storage(
      byteCount: compute.multiplyWorkspaceByteCount(rows: m, columns: n, depth: k), isZeroed: false, isWorkspace: true)
    withExtendedLifetime((first, second, workspace)) {
      compute.multiply(
        rows: m, columns: n, depth: k, first.view, second.view, into: target, rowStride: n, workspace: workspace.base)
    }
  }

  /// A matrix where it lies, or a contiguous copy.
  private struct Operand {
    let view: MatrixView
    private let copy: Storage?

    /// - Parameter anything: an address for a matrix without elements, which nobody follows.
    init(_ array: ArrayView, _ argument: String, orAnything anything: UnsafeMutablePointer<Float>) throws {
      guard array.count > 0 else {
        view = MatrixView(anything, rowStride: 1, columnStride: 1)
        copy = nil
        return
      }
      // The step along an axis of one element leads nowhere.
      let rowStride = array.shape[0] == 1 ? array.shape[1] : array.stride(0)
      let columnStride = array.shape[1] == 1 ? 1 : array.stride(1)
      if array.dataType == .float32, rowStride > 0, columnStride > 0, rowStride == 1 || columnStride == 1,
        let data = array.data, Int(bitPattern: data) % 4 == 0
      {
        view = MatrixView(data.assumingMemoryBound(to: Float.self), rowStride: rowStride, columnStride: columnStride)
        copy = nil
        return
      }
      let storage = try Storage(byteCount: array.count * 4, isZeroed: false)
      try array.copy(into: storage.floats, argument)
      view = MatrixView(storage.floats, rowStride: array.shape[1], columnStride: 1)
      copy = storage
    }
  }
}
