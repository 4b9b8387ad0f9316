// One matrix product in guarded memory, compared with the naive one.
import MartletRuntime
import MartletTestSupport
import ReferenceKernels
import Testing

/// How an operand lies in memory.
enum Layout: CaseIterable {
  /// Rows contiguous, with a gap between them.
  case rows
  /// Columns contiguous, with a gap between them: a transposed operand.
  case columns
  /// Neither.
  case spread

  func strides(_ rows: Int, _ columns: Int) -> (row: Int, column: Int) {
    switch self {
    case .rows: return (columns + 3, 1)
    case .columns: return (1, rows + 1)
    case .spread: return (2 * columns + 1, 2)
    }
  }
}

func makeCompute(_ set: KernelSet, threads: Int = 1) -> Compute {
  Compute(kernels: set.makeTable(), pool: ThreadPool(threadCount: threads))
}

struct MatrixCase {
  var rows: Int
  var columns: Int
  var depth: Int
  var layoutA = Layout.rows
  var layoutB = Layout.rows
  var accumulate = false
  var activation = Activation.identity
  var bias = false
  var scales = false

  /// C with its gap of three values a row; the gap must keep its contents.
  static let gap = 3
  static let sentinel: Float = 12345

  struct Operands {
    var a: GuardedBuffer
    var b: GuardedBuffer
    var viewA: MatrixView
    var viewB: MatrixView
    var initial: [Float]
    var bias: GuardedBuffer
    var multiplier: GuardedBuffer
    var offset: GuardedBuffer
  }

  func makeOperands(seed: UInt64) -> Operands {
    var random = TestRandom(seed: seed)
    func operand(_ layout: Layout, _ rows: Int, _ columns: Int) -> (GuardedBuffer, MatrixView) {
      let (row, column) = layout.strides(rows, columns)
      let count = rows == 0 || columns == 0 ? 0 : (rows - 1) * row + (columns - 1) * column + 1
      let memory = GuardedBuffer(random.array(count))
      return (memory, MatrixView(memory.pointer, rowStride: row, columnStride: column))
    }
    let (a, viewA) = operand(layoutA, rows, depth)
    let (b, viewB) = operand(layoutB, depth, columns)
    return Operands(
      a: a, b: b, viewA: viewA, viewB: viewB, initial: random.array(rows * columns),
      bias: GuardedBuffer(random.array(columns)), multiplier: GuardedBuffer(random.array(columns)),
      offset: GuardedBuffer(random.array(columns)))
  }

  /// The product's rows without the gaps, for the first `rows` rows of the operands, in a workspace for `capacity` rows.
  func product(_ compute: Compute, _ x: Operands, capacity: Int? = nil) -> [Float] {
    let rowStride = columns + Self.gap
    let c = GuardedBuffer((rows - 1) * rowStride + columns)
    for i in 0..<c.count {
      c.pointer[i] = i % rowStride < columns ? x.initial[i / rowStride * columns + i % rowStride] : Self.sentinel
    }
    let bytes = compute.multiplyWorkspaceByteCount(rows: capacity ?? rows, columns: columns, depth: depth)
    let workspace = GuardedBuffer(bytes / 4)
    compute.multiply(
      rows: rows, columns: columns, depth: depth, x.viewA, x.viewB, into: c.pointer, rowStride: rowStride,
      accumulate: accumulate,
      tail: MatrixTail(
        bias: bias ? UnsafePointer(x.bias.pointer) : nil, multiplier: scales ? UnsafePointer(x.multiplier.pointer) : nil,
        offset: scales ? UnsafePointer(x.offset.pointer) : nil, activation: activation),
      workspace: workspace.pointer)
    var result: [Float] = []
    for i in 0..<rows {
      result += UnsafeBufferPointer(start: c.pointer + i * rowStride, count: columns)
      for j in columns..<rowStride where i + 1 < rows {
        #expect(c.pointer[i * rowStride + j] == Self.sentinel, "\(self) wrote past row \(i)")
      }
    }
    return result
  }

  /// Compares with Float64; the first element outside the tolerance is reported.
  func check(_ compute: Compute, seed: UInt64) {
    let x = makeOperands(seed: seed)
    let result = product(compute, x)
    let reference = ReferenceProduct(
      rows: rows, columns: columns, depth: depth, x.a.pointer, aRowStride: x.viewA.rowStride,
      aColumnStride: x.viewA.columnStride, x.b.pointer, bRowStride: x.viewB.rowStride, bColumnStride: x.viewB.columnStride)
    for i in 0..<rows * columns {
      let j = i % columns
      var value = reference.values[i]
      var magnitude = reference.magnitudes[i]
      if accumulate {
        value += Double(x.initial[i])
        magnitude += Double(x.initial[i].magnitude)
      }
      let b = bias ? Double(x.bias.pointer[j]) : 0
      let m = scales ? Double(x.multiplier.pointer[j]) : 1
      let o = scales ? Double(x.offset.pointer[j]) : 0
      let error = Tolerance.dotProduct(terms: depth + 2, magnitude: magnitude)
      let hasTail = bias || scales || activation != .identity
      let tolerance = hasTail ? Tolerance.productTail(error: error, value: value, bias: b, multiplier: m, offset: o) : error
      let expected = hasTail ? activation.reference((value + b) * m + o) : value
      if !((Double(result[i]) - expected).magnitude <= tolerance) {
        Issue.record("\(self), \(compute.kernels.name), seed \(seed): [\(i / columns), \(j)] is \(result[i]), not \(expected)")
        return
      }
    }
  }
}

extension Activation {
  /// In Float64.
  func reference(_ x: Double) -> Double {
    switch self {
    case .identity: return x
    case .sigmoid: return 1 / (1 + exponential(-x))
    case .tanh: return 1 - 2 / (exponential(2 * x) + 1)
    case .relu: return x < 0 ? 0 : x
    }
  }
}

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif
private func exponential(_ x: Double) -> Double { exp(x) }
