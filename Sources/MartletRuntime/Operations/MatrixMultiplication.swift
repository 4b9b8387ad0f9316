// C = A·B, the strides chosen so that every transpose training needs is the same call.

/// A matrix in someone's memory: element (i, j) lies at `data[i·rowStride + j·columnStride]`.
public struct MatrixView {
  public var data: UnsafePointer<Float>
  public var rowStride: Int
  public var columnStride: Int
  public init(_ data: UnsafePointer<Float>, rowStride: Int, columnStride: Int) {
    self.data = data
    self.rowStride = rowStride
    self.columnStride = columnStride
  }
}

/// What happens to each element of a product while it is still in a register:
/// `y = activation((x + bias[j])·multiplier[j] + offset[j] + residual)`, j the column; a missing pointer means 0, 1 and 0, and no
/// last sum.
public struct MatrixTail {
  public var bias: UnsafePointer<Float>?
  public var multiplier: UnsafePointer<Float>?
  public var offset: UnsafePointer<Float>?
  public var activation: Activation
  /// Laid out as the result, which must not overlap it.
  public var residual: UnsafePointer<Float>?
  public init(
    bias: UnsafePointer<Float>? = nil, multiplier: UnsafePointer<Float>? = nil, offset: UnsafePointer<Float>? = nil,
    activation: Activation = .identity, residual: UnsafePointer<Float>? = nil
  ) {
    self.bias = bias
    self.multiplier = multiplier
    self.offset = offset
    self.activation = activation
    self.residual = residual
  }
}

extension Compute {
  /// Scratch memory of ``multiply(rows:columns:depth:_:_:into:rowStride:accumulate:tail:workspace:)`` for at most so many rows, and any thread
  /// count.
  public func multiplyWorkspaceByteCount(rows: Int, columns: Int, depth: Int) -> Int {
    MatrixBlocking(rows: rows, columns: columns, depth: depth, kernels.matrix).workspaceByteCount
  }

  /// Memory in which a product of at most so many rows leaves its moments; 0 where its cut does not allow that.
  public func multiplyMomentsByteCount(rows: Int, columns: Int, depth: Int) -> Int {
    MatrixBlocking(rows: rows, columns: columns, depth: depth, kernels.matrix).momentsByteCount
  }

  /// `C[rows, columns] (+)= A[rows, depth] · B[depth, columns]`, then the tail (never together with `accumulate`).
  ///
  /// Each element is the sum, in order, of one chain of multiply-adds for each ``MatrixBlocking/depthBlock`` of depth, whatever
  /// `rows`, the strides and the thread count are: row i of a product alone has the bits of row i in any larger product.
  ///
  /// - Parameter moments: receives the moments of C's columns after the tail, for ``normalizeBatch(_:_:_:epsilon:_:residual:activation:moments:into:workspace:)``;
  ///   C's rows then lie end to end.
  ///
  /// Edge cases: `depth == 0` writes zeros (then the tail), or adds nothing; NaN and infinity reach the elements whose row or
  /// column they are in, and no others. C must not overlap A or B.
  /// Cost: rows · columns · depth multiply-adds; each part of B is copied once for every ``MatrixBlocking/rowsPerBlock`` rows,
  /// unless it can be read in place.
  public func multiply(
    rows: Int, columns: Int, depth: Int, _ a: MatrixView, _ b: MatrixView,
    into c: UnsafeMutablePointer<Float>, rowStride: Int, accumulate: Bool = false, tail: MatrixTail = MatrixTail(),
    workspace: UnsafeMutableRawPointer, moments: UnsafeMutableRawPointer? = nil
  ) {
    guard rows > 0, columns > 0 else { return }
    let blocking = MatrixBlocking(
      rows: rows, columns: columns, depth: depth, isShared: pool.threadCount > 1, hasMoments: moments != nil, kernels.matrix)
    run(
      MatrixProduct(
        kernels: kernels.matrix, blocking: blocking, a: a, b: .view(b), c: c, cRowStride: rowStride, accumulate: accumulate,
        tail: tail, slots: blocking.slots(workspace)), moments)
  }

  /// The product, and the moments of its columns where there is memory for them.
  func run(_ product: MatrixProduct, _ moments: UnsafeMutableRawPointer?) {
    guard let moments, let gathering = product.blocking.moments(moments, kernels.batchNorm.moments) else { return run(product) }
    withUnsafePointer(to: gathering) {
      var product = product
      product.moments = $0
      run(product)
    }
  }

  func run(_ product: MatrixProduct) {
    var product = product
    let pieces = product.blocking.pieceCount
    if pieces == 1 { return product.computePiece(0) }
    withUnsafeMutablePointer(to: &product) { context in
      pool.run(pieces: pieces, context) { context, piece in
        context.assumingMemoryBound(to: MatrixProduct.self).pointee.computePiece(piece)
      }
    }
  }
}
