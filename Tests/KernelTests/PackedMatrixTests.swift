import MartletRuntime
import MartletTestSupport
import Testing

/// A matrix packed beforehand gives the bits of the same matrix in place, in memory that faults past its end.
@Suite struct PackedMatrixTests {
  /// The case's product over packed panels, in a workspace made for `capacity` rows.
  private func packedProduct(_ shape: MatrixCase, _ compute: Compute, _ x: MatrixCase.Operands, capacity: Int) -> [Float] {
    let (columns, depth) = (shape.columns, shape.depth)
    let panels = GuardedMemory(compute.packedByteCount(columns: columns, depth: depth) / 4)
    for i in 0..<panels.count { panels.pointer[i] = .nan }
    compute.pack(x.viewB, columns: columns, depth: depth, into: panels.pointer)
    let rowStride = columns + MatrixCase.gap
    let c = GuardedMemory((shape.rows - 1) * rowStride + columns)
    for i in 0..<c.count { c.pointer[i] = MatrixCase.sentinel }
    let bytes = compute.packedMultiplyWorkspaceByteCount(rows: capacity, columns: columns, depth: depth)
    let workspace = GuardedMemory(bytes / 4)
    compute.multiply(
      rows: shape.rows, x.viewA, PackedMatrix(panels: panels.pointer, columns: columns, depth: depth), into: c.pointer,
      rowStride: rowStride,
      tail: MatrixTail(
        bias: shape.bias ? UnsafePointer(x.bias.pointer) : nil,
        multiplier: shape.scales ? UnsafePointer(x.multiplier.pointer) : nil,
        offset: shape.scales ? UnsafePointer(x.offset.pointer) : nil, activation: shape.activation),
      workspace: workspace.pointer)
    for i in 0..<c.count where i % rowStride >= columns {
      #expect(c.pointer[i] == MatrixCase.sentinel, "\(shape) wrote past a row")
    }
    return (0..<shape.rows).flatMap { UnsafeBufferPointer(start: c.pointer + $0 * rowStride, count: columns) }
  }

  private func check(_ shape: MatrixCase, _ compute: Compute, capacity: Int? = nil) {
    let x = shape.makeOperands(seed: UInt64(shape.columns))
    let packed = packedProduct(shape, compute, x, capacity: capacity ?? shape.rows).map(\.bitPattern)
    #expect(packed == shape.product(compute, x).map(\.bitPattern), "\(compute.kernels.name) \(shape)")
  }

  /// Every number of vectors that one row takes at a time, and what begins after it.
  @Test(arguments: KernelSet.available)
  func oneRow(_ set: KernelSet) {
    let compute = makeCompute(set)
    for columns in 1...2 * compute.kernels.matrix.packedRowColumns + 3 {
      check(MatrixCase(rows: 1, columns: columns, depth: columns % 7 + 1, layoutB: .columns), compute)
    }
    for depth in [0, 1, 127, 128, 129, 256, 300] {
      for columns in [3, 64, 100, 150, 300] {
        check(
          MatrixCase(
            rows: 1, columns: columns, depth: depth, layoutA: .spread, layoutB: .columns, activation: .sigmoid, bias: true,
            scales: true), compute)
      }
    }
  }

  @Test(arguments: KernelSet.available)
  func manyRows(_ set: KernelSet) {
    for threads in [1, 3] {
      let compute = makeCompute(set, threads: threads)
      for rows in [2, 3, 5, 6, 7, 13, 60, 97, 200, 500] {
        for (columns, depth) in [(1, 5), (10, 100), (100, 130), (67, 257), (300, 64)] {
          check(MatrixCase(rows: rows, columns: columns, depth: depth, layoutB: .columns, bias: true), compute)
        }
      }
    }
  }

  /// Fewer rows are cut otherwise than many; the memory for many must do.
  @Test(arguments: KernelSet.available)
  func workspaceOfMoreRows(_ set: KernelSet) {
    let compute = makeCompute(set)
    for (capacity, rows) in [(2, 1), (7, 1), (60, 1), (60, 5), (256, 1), (2000, 300), (2000, 1000)] {
      let shape = MatrixCase(rows: rows, columns: 512, depth: 130, layoutB: .columns)
      check(shape, compute, capacity: capacity)
      _ = shape.product(compute, shape.makeOperands(seed: 3), capacity: capacity)
    }
  }

  /// Every layout of the source packs to the same panels.
  @Test(arguments: KernelSet.available)
  func everyLayout(_ set: KernelSet) {
    for layout in Layout.allCases {
      check(MatrixCase(rows: 9, columns: 70, depth: 131, layoutB: layout), makeCompute(set))
    }
  }
}
