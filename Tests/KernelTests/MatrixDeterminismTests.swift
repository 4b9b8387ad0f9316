import MartletRuntime
import MartletTestSupport
import Testing

/// The same bits whatever surrounds a row and whoever computes it.
@Suite struct MatrixDeterminismTests {
  static let shapes = [
    MatrixCase(rows: 60, columns: 100, depth: 300, layoutB: .columns, activation: .sigmoid, bias: true),
    MatrixCase(rows: 210, columns: 67, depth: 129),
    MatrixCase(rows: 97, columns: 130, depth: 64),
    MatrixCase(rows: 25, columns: 10, depth: 1000, layoutB: .columns, accumulate: true),
    MatrixCase(rows: 520, columns: 70, depth: 30, layoutA: .columns, bias: true, scales: true),
    MatrixCase(rows: 20, columns: 33, depth: 40, layoutA: .spread, layoutB: .spread),
  ]

  @Test(arguments: KernelSet.available)
  func rowAloneHasTheBitsOfRowInBatch(_ set: KernelSet) {
    let compute = makeCompute(set)
    for shape in Self.shapes {
      let x = shape.makeOperands(seed: 1)
      let batch = shape.product(compute, x)
      for row in [0, 1, 5, 6, shape.rows / 2, shape.rows - 1] {
        var alone = shape
        alone.rows = 1
        var y = x
        y.viewA.data += row * x.viewA.rowStride
        y.initial = Array(x.initial[row * shape.columns..<(row + 1) * shape.columns])
        let bits = alone.product(compute, y).map(\.bitPattern)
        #expect(bits == batch[row * shape.columns..<(row + 1) * shape.columns].map(\.bitPattern), "\(set) \(shape) row \(row)")
      }
    }
  }

  @Test(arguments: KernelSet.available)
  func threadsChangeNothing(_ set: KernelSet) {
    let computes = [1, 2, 5].map { makeCompute(set, threads: $0) }
    for shape in Self.shapes + [MatrixCase(rows: 400, columns: 300, depth: 100)] {
      let x = shape.makeOperands(seed: 2)
      let results = computes.map { shape.product($0, x).map(\.bitPattern) }
      #expect(results[0] == results[1] && results[0] == results[2], "\(set) \(shape)")
    }
  }

  /// How an operand lies in memory decides what is copied, never how a sum is rounded.
  @Test(arguments: KernelSet.available)
  func layoutsChangeNothing(_ set: KernelSet) {
    let compute = makeCompute(set)
    let shape = MatrixCase(rows: 31, columns: 64, depth: 140)
    let x = shape.makeOperands(seed: 4)
    let expected = shape.product(compute, x).map(\.bitPattern)
    for layout in [Layout.columns, .spread] {
      var other = shape
      other.layoutA = layout
      other.layoutB = layout
      let y = other.makeOperands(seed: 4)
      for i in 0..<shape.rows {
        for k in 0..<shape.depth {
          y.a.pointer[i * y.viewA.rowStride + k * y.viewA.columnStride] = x.a.pointer[i * x.viewA.rowStride + k]
        }
      }
      for k in 0..<shape.depth {
        for j in 0..<shape.columns {
          y.b.pointer[k * y.viewB.rowStride + j * y.viewB.columnStride] = x.b.pointer[k * x.viewB.rowStride + j]
        }
      }
      #expect(other.product(compute, y).map(\.bitPattern) == expected, "\(set) \(layout)")
    }
  }

  /// One rounding a multiply-add and the same blocks of depth: the width of a vector does not show.
  @Test func fusedInstructionSetsAgree() {
    let results = KernelSet.available.filter { $0 != .baseline }.map { set in
      Self.shapes.filter { $0.activation == .identity }.map { $0.product(makeCompute(set), $0.makeOperands(seed: 6)) }
    }
    for other in results.dropFirst() { #expect(other == results[0]) }
  }
}
