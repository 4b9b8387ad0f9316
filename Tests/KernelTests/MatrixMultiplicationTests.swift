import MartletRuntime
import MartletTestSupport
import Testing

/// Every instruction set of this machine, against Float64, in memory that faults past its end.
@Suite struct MatrixMultiplicationTests {
  @Test(arguments: KernelSet.available)
  func everyTileEdge(_ set: KernelSet) {
    let compute = makeCompute(set)
    let tile = compute.kernels.matrix
    for rows in 1...2 * tile.tileRows + 1 {
      for columns in 1...2 * tile.panelColumns + 1 {
        MatrixCase(rows: rows, columns: columns, depth: 3, layoutB: columns % 2 == 0 ? .rows : .columns)
          .check(compute, seed: UInt64(rows * 1000 + columns))
      }
    }
  }

  @Test(arguments: KernelSet.available)
  func everyDepth(_ set: KernelSet) {
    let compute = makeCompute(set)
    for depth in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 127, 128, 129, 130, 255, 256, 257, 400] {
      for columns in [1, 5, compute.kernels.lanes, compute.kernels.matrix.panelColumns + 3] {
        for layout in Layout.allCases {
          MatrixCase(rows: 7, columns: columns, depth: depth, layoutB: layout).check(compute, seed: UInt64(depth))
        }
      }
    }
  }

  @Test(arguments: KernelSet.available)
  func everyLayout(_ set: KernelSet) {
    let compute = makeCompute(set)
    for a in Layout.allCases {
      for b in Layout.allCases {
        for (rows, columns, depth) in [(1, 1, 1), (1, 70, 9), (13, 1, 130), (17, 37, 21), (100, 130, 10), (130, 66, 140)] {
          MatrixCase(rows: rows, columns: columns, depth: depth, layoutA: a, layoutB: b).check(compute, seed: 7)
        }
      }
    }
  }

  /// A whose columns lie far apart is packed, a block of rows at a time.
  @Test(arguments: KernelSet.available)
  func tallTransposedOperand(_ set: KernelSet) {
    let compute = makeCompute(set)
    for rows in [600, 605] {
      MatrixCase(rows: rows, columns: 150, depth: 9, layoutA: .columns).check(compute, seed: 11)
    }
  }

  /// A whose rows lie side by side is packed for a wide product on one thread: whole tiles, what is left of them, several blocks of rows and
  /// groups of depth. Threads share other pieces and give the same bits.
  @Test(arguments: KernelSet.available)
  func wideProduct(_ set: KernelSet) {
    let (one, three) = (makeCompute(set), makeCompute(set, threads: 3))
    for (rows, columns, depth) in [(5, 512, 3), (6, 513, 129), (13, 600, 300), (100, 520, 1400), (1037, 515, 260)] {
      for accumulate in [false, true] {
        let shape = MatrixCase(rows: rows, columns: columns, depth: depth, accumulate: accumulate)
        shape.check(one, seed: 17)
        let x = shape.makeOperands(seed: 17)
        #expect(shape.product(one, x).bits == shape.product(three, x).bits, "\(shape), \(set)")
        #expect(shape.product(one, x, capacity: 2 * rows + 9).bits == shape.product(three, x).bits, "\(shape), \(set)")
      }
    }
  }

  @Test(arguments: KernelSet.available)
  func accumulates(_ set: KernelSet) {
    let compute = makeCompute(set)
    for (rows, columns, depth) in [(1, 1, 0), (5, 9, 1), (6, 64, 128), (13, 67, 129), (14, 20, 300)] {
      for a in Layout.allCases {
        MatrixCase(rows: rows, columns: columns, depth: depth, layoutA: a, accumulate: true).check(compute, seed: 3)
      }
    }
  }

  @Test(arguments: KernelSet.available, Activation.allCases)
  func tail(_ set: KernelSet, _ activation: Activation) {
    let compute = makeCompute(set)
    for columns in [1, 3, 4, 8, 15, 16, 17, 64, 100] {
      for (bias, scales) in [(false, false), (true, false), (false, true), (true, true)] {
        for depth in [0, 6, 200] {
          MatrixCase(
            rows: 9, columns: columns, depth: depth, layoutB: .columns, activation: activation, bias: bias, scales: scales
          ).check(compute, seed: UInt64(columns))
        }
      }
    }
  }

  /// A NaN or an infinity reaches its row (of A) or its column (of B), and nothing else, though lanes are padded with zeros.
  @Test(arguments: KernelSet.available, [Float.nan, .infinity])
  func nonFiniteValuesStayWhereTheyBelong(_ set: KernelSet, _ bad: Float) {
    let compute = makeCompute(set)
    let shape = MatrixCase(rows: 8, columns: compute.kernels.lanes + 1, depth: 5, layoutB: .columns)
    for inA in [true, false] {
      let x = shape.makeOperands(seed: 5)
      if inA {
        x.a.pointer[3 * x.viewA.rowStride + 2] = bad
      } else {
        x.b.pointer[2 * x.viewB.rowStride + 4 * x.viewB.columnStride] = bad
      }
      for (i, value) in shape.product(compute, x).enumerated() {
        let belongs = inA ? i / shape.columns == 3 : i % shape.columns == 4
        #expect(value.isFinite != belongs, "\(set) \(inA) element \(i) is \(value)")
      }
    }
  }

  /// Nothing is computed for an empty C, and nothing is touched.
  @Test func emptyProduct() {
    let compute = makeCompute(.baseline)
    let memory = GuardedBuffer(0)
    let view = MatrixView(memory.pointer, rowStride: 1, columnStride: 1)
    let workspace = GuardedBuffer(compute.multiplyWorkspaceByteCount(rows: 0, columns: 0, depth: 0) / 4)
    compute.multiply(
      rows: 0, columns: 5, depth: 3, view, view, into: memory.pointer, rowStride: 5, workspace: workspace.pointer)
    compute.multiply(
      rows: 5, columns: 0, depth: 3, view, view, into: memory.pointer, rowStride: 5, workspace: workspace.pointer)
  }
}
