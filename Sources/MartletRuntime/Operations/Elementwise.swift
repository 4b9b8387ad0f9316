// Passes over every element: arithmetic, activations, copies.
import MartletKernels

public enum BinaryOperation: Int32, Sendable, CaseIterable {
  case add = 0, subtract, multiply, divide, maximum, minimum
}

public enum UnaryOperation: Int32, Sendable, CaseIterable {
  case negate = 0, absolute, square, squareRoot, exponential, logarithm
}

/// What the right operand of a binary operation looks like beside a left operand `[rows, columns]`.
public enum Broadcast: Sendable {
  /// as large as the left operand
  case none
  /// one value per column: `[columns]`
  case alongRows
  /// a single value
  case scalar
}

extension Compute {
  /// `y[r, c] = a[r, c] ∘ b[…]`; `y` may be `a` (or `b` if not broadcast). Swapped: `b ∘ a`.
  ///
  /// Edge cases: the maximum or minimum of a NaN and anything is NaN.
  public func binary(
    _ operation: BinaryOperation, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, rows: Int, columns: Int,
    broadcast: Broadcast, swapped: Bool, into y: UnsafeMutablePointer<Float>
  ) {
    let cut = broadcast == .alongRows ? PieceCut.rows(rows, columns: columns) : .elements(rows * columns)
    let work = BinaryWork(
      kernels: kernels.elementwise, function: operation.kernel(swapped: swapped), a: a, b: b, columns: columns,
      broadcast: broadcast, y: y, cut: cut)
    run(work, pieces: cut.pieces)
  }

  /// `y = f(x)`; `y` may be `x`. Exponential and logarithm are right to 2 units in the last place, the others exact.
  public func unary(_ operation: UnaryOperation, _ x: UnsafePointer<Float>, count: Int, into y: UnsafeMutablePointer<Float>) {
    map(operation.kernel, x, count: count, into: y)
  }

  /// `y = activation(x)`; `y` may be `x`. Error at most 4 units in the last place over all finite x; saturates cleanly
  /// (sigmoid(−200) is 0, never NaN), NaN stays NaN.
  public func activate(_ activation: Activation, _ x: UnsafePointer<Float>, count: Int, into y: UnsafeMutablePointer<Float>) {
    if activation == .identity, x == UnsafePointer(y) { return }
    map(activation.kernel, x, count: count, into: y)
  }

  private func map(_ function: UnaryKernel, _ x: UnsafePointer<Float>, count: Int, into y: UnsafeMutablePointer<Float>) {
    let cut = PieceCut.elements(count)
    run(UnaryWork(kernels: kernels.elementwise, function: function, x: x, y: y, cut: cut), pieces: cut.pieces)
  }

  /// `gradInput (+)= gradOutput·activation′(y)`, y the output; `gradInput` may be `gradOutput`.
  public func activationGradient(
    _ activation: Activation, gradOutput: UnsafePointer<Float>, output y: UnsafePointer<Float>, count: Int,
    into gradInput: UnsafeMutablePointer<Float>, accumulate: Bool
  ) {
    let cut = PieceCut.elements(count)
    let work = DerivativeWork(
      kernels: kernels.elementwise, function: activation.derivative, gradOutput: gradOutput, output: y,
      gradInput: gradInput, accumulate: accumulate, cut: cut)
    run(work, pieces: cut.pieces)
  }

  /// `y += x`
  public func add(_ x: UnsafePointer<Float>, count: Int, to y: UnsafeMutablePointer<Float>) {
    binary(.add, UnsafePointer(y), x, rows: 1, columns: count, broadcast: .none, swapped: false, into: y)
  }

  /// `y = value`, everywhere.
  public func fill(_ y: UnsafeMutablePointer<Float>, count: Int, with value: Float) {
    let cut = PieceCut.elements(count)
    run(FillWork(kernels: kernels.elementwise, value: value, y: y, cut: cut), pieces: cut.pieces)
  }

  /// Row r of `y` becomes row `indices[r]` of `x`; a row is `columns` Float32 values side by side, rows `rowStride` apart.
  public func gatherRows(
    _ x: UnsafePointer<Float>, rowStride: Int, indices: UnsafePointer<Int>, rows: Int, columns: Int,
    into y: UnsafeMutablePointer<Float>
  ) {
    let cut = PieceCut.rows(rows, columns: columns)
    let work = GatherWork(x: x, rowStride: rowStride, indices: indices, columns: columns, y: y, cut: cut)
    run(work, pieces: cut.pieces)
  }
}

// MARK: - Pieces

private struct BinaryWork: PieceWork {
  let kernels: ElementwiseKernels
  let function: BinaryKernel
  let a: UnsafePointer<Float>
  let b: UnsafePointer<Float>
  let columns: Int
  let broadcast: Broadcast
  let y: UnsafeMutablePointer<Float>
  /// of rows where b is a row, else of elements
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    switch broadcast {
    case .none: kernels.binary(function, a + start, b + start, 1, count, .full, y + start)
    case .scalar: kernels.binary(function, a + start, b, 1, count, .scalar, y + start)
    case .alongRows:
      kernels.binary(function, a + start * columns, b, count, columns, .row, y + start * columns)
    }
  }
}

private struct UnaryWork: PieceWork {
  let kernels: ElementwiseKernels
  let function: UnaryKernel
  let x: UnsafePointer<Float>
  let y: UnsafeMutablePointer<Float>
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    kernels.unary(function, x + start, count, y + start)
  }
}

private struct DerivativeWork: PieceWork {
  let kernels: ElementwiseKernels
  let function: DerivativeKernel
  let gradOutput: UnsafePointer<Float>
  let output: UnsafePointer<Float>
  let gradInput: UnsafeMutablePointer<Float>
  let accumulate: Bool
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    kernels.derivative(function, gradOutput + start, output + start, count, gradInput + start, accumulate)
  }
}

private struct FillWork: PieceWork {
  let kernels: ElementwiseKernels
  let value: Float
  let y: UnsafeMutablePointer<Float>
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    kernels.fill(value, count, y + start)
  }
}

private struct GatherWork: PieceWork {
  let x: UnsafePointer<Float>
  let rowStride: Int
  let indices: UnsafePointer<Int>
  let columns: Int
  let y: UnsafeMutablePointer<Float>
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    for r in start..<start + count {
      (y + r * columns).update(from: x + indices[r] * rowStride, count: columns)
    }
  }
}

// MARK: - Which kernel

extension BinaryOperation {
  fileprivate func kernel(swapped: Bool) -> BinaryKernel {
    switch self {
    case .add: .add
    case .subtract: swapped ? .subtractFrom : .subtract
    case .multiply: .multiply
    case .divide: swapped ? .divideInto : .divide
    case .maximum: .maximum
    case .minimum: .minimum
    }
  }
}

extension UnaryOperation {
  fileprivate var kernel: UnaryKernel {
    switch self {
    case .negate: .negate
    case .absolute: .absolute
    case .square: .square
    case .squareRoot: .squareRoot
    case .exponential: .exponential
    case .logarithm: .logarithm
    }
  }
}

extension Activation {
  fileprivate var kernel: UnaryKernel {
    switch self {
    case .identity: .identity
    case .sigmoid: .sigmoid
    case .tanh: .tanh
    case .relu: .relu
    }
  }

  fileprivate var derivative: DerivativeKernel {
    switch self {
    case .identity: .identity
    case .sigmoid: .sigmoid
    case .tanh: .tanh
    case .relu: .relu
    }
  }
}
