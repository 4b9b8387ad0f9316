@testable import MartletRuntime
import MartletKernels
import MartletTestSupport
import Testing

/// A matrix packed beforehand gives the bits of the same matrix in place, in memory that faults past its end.
@Suite struct PackedMatrixTests {
  /// The case's product over packed panels, in a workspace made for `capacity` rows.
  private func packedProduct(
    _ shape: MatrixCase, _ compute: Compute, _ x: MatrixCase.Operands, capacity: Int, asHalves: Bool = false
  ) -> [Float] {
    let (columns, depth) = (shape.columns, shape.depth)
    let panels = GuardedBuffer(compute.packedByteCount(columns: columns, depth: depth) / 4)
    for i in 0..<panels.count { panels.pointer[i] = .nan }
    compute.pack(x.viewB, columns: columns, depth: depth, into: panels.pointer)
    let rowStride = columns + MatrixCase.gap
    let c = GuardedBuffer((shape.rows - 1) * rowStride + columns)
    for i in 0..<c.count { c.pointer[i] = MatrixCase.sentinel }
    let halves = GuardedBuffer(panels.count / 2)
    if asHalves {
      #expect(compute.roundToHalves(panels.pointer, count: panels.count, into: halves.pointer))
      for i in 0..<panels.count { panels.pointer[i] = .nan }
    }
    let bytes = compute.packedMultiplyWorkspaceByteCount(rows: capacity, columns: columns, depth: depth, areHalves: asHalves)
    let workspace = GuardedBuffer(bytes / 4)
    compute.multiply(
      rows: shape.rows, x.viewA,
      asHalves
        ? PackedMatrix(halves: halves.pointer, columns: columns, depth: depth)
        : PackedMatrix(panels: panels.pointer, columns: columns, depth: depth),
      into: c.pointer, rowStride: rowStride,
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

  /// Halves give the bits of the product with the rounded numbers, for one row and for many.
  @Test(arguments: KernelSet.available)
  func halves(_ set: KernelSet) throws {
    for threads in [1, 3] {
      let compute = makeCompute(set, threads: threads)
      for rows in [1, 2, 7, 60, 500] {
        for (columns, depth) in [(1, 5), (10, 100), (100, 130), (67, 257), (300, 64)] {
          let shape = MatrixCase(rows: rows, columns: columns, depth: depth, layoutB: .columns, bias: true)
          let x = shape.makeOperands(seed: UInt64(columns))
          let found = packedProduct(shape, compute, x, capacity: rows + 3, asHalves: true)
          for i in 0..<x.b.count where x.b.pointer[i].isFinite {
            x.b.pointer[i] = try #require(Half(rounding: x.b.pointer[i])).float
          }
          #expect(found.map(\.bitPattern) == shape.product(compute, x).map(\.bitPattern), "\(set) \(shape)")
        }
      }
    }
  }

  /// Rounding against its definition: no half-precision number lies nearer, and ties go to the even one.
  @Test func roundingToHalves() throws {
    var values: [Float] = [
      0, -0.0, 1, -1, 65504, -65504, 65519.996, 0x1p-14, 0x1p-24, 0x1p-25, 0x1.8p-25, 0x1p-26, 0x1.002p0, 0x1.006p0,
    ]
    var random = TestRandom(seed: 5)
    for _ in 0..<20000 {
      let scale = Float(sign: .plus, exponent: Int.random(in: -26...15, using: &random), significand: 1)
      values.append(random.uniform() * scale)
    }
    for value in values {
      let half = try #require(Half(rounding: value))
      let error = abs(Double(half.float) - Double(value))
      #expect(half.float.sign == value.sign)
      for neighbour in [half.bits &- 1, half.bits &+ 1] where neighbour & 0x7fff < 0x7c00 && half.bits & 0x7fff > 0 {
        let other = abs(Double(Half(bits: neighbour).float) - Double(value))
        #expect(error < other || (error == other && half.bits & 1 == 0), "\(value)")
      }
      #expect(error <= max(abs(Double(value)) * 0x1p-11, 0x1p-25), "\(value)")
    }
    for value: Float in [65520, -65520, 1e9, .infinity, -.infinity, .nan] { #expect(Half(rounding: value) == nil) }
  }

  /// Every half-precision number that is finite, on every instruction set.
  @Test(arguments: KernelSet.available)
  func wideningHalves(_ set: KernelSet) {
    let count = 1 << 16
    let halves = GuardedBuffer(count / 2)
    let bits = UnsafeMutableRawPointer(halves.pointer).assumingMemoryBound(to: UInt16.self)
    for i in 0..<count { bits[i] = i & 0x7c00 == 0x7c00 ? 0 : UInt16(i) }
    let floats = GuardedBuffer(count)
    makeCompute(set).kernels.matrix.widenHalves(
      UnsafeRawPointer(halves.pointer).assumingMemoryBound(to: Half.self), count, floats.pointer)
    for i in 0..<count where floats.pointer[i].bitPattern != Half(bits: bits[i]).float.bitPattern {
      Issue.record("\(set): half \(bits[i]) became \(floats.pointer[i])")
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

extension Half {
  /// Its value by the format's definition.
  fileprivate var float: Float {
    let (exponent, fraction) = (Int(bits >> 10 & 31), Float(bits & 1023))
    let magnitude =
      exponent == 0 ? fraction * 0x1p-24 : Float(sign: .plus, exponent: exponent - 15, significand: 1 + fraction / 1024)
    return bits >> 15 == 1 ? -magnitude : magnitude
  }
}
