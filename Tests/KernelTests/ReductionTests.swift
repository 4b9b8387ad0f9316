import MartletRuntime
import MartletTestSupport
import ReferenceKernels
import Testing

@Suite struct ReductionTests {
  static let shapes: [(outer: Int, axis: Int, inner: Int)] = {
    var shapes = [(1, 1, 1), (0, 3, 2), (3, 2, 0), (5, 7, 3), (2, 100, 33), (70, 3, 5), (1, 40_000, 3), (2, 70_001, 1)]
    shapes += [(1, 20, 9000), (3000, 40, 1), (300, 10, 20), (1, 300, 700)]
    shapes += (1...35).map { (3, $0, 1) } + (1...35).map { (2, 3, $0) }
    return shapes
  }()

  private func reduce(
    _ compute: Compute, _ operation: ReductionOperation, _ x: [Float], _ shape: (outer: Int, axis: Int, inner: Int)
  ) -> [Float] {
    let input = GuardedBuffer(x, misalignedBy: 4)
    let y = GuardedBuffer(count: shape.outer * shape.inner)
    let bytes = compute.reductionWorkspaceByteCount(outer: shape.outer, axis: shape.axis, inner: shape.inner)
    let workspace = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    defer { workspace.deallocate() }
    compute.reduce(
      operation, input.input, outer: shape.outer, axis: shape.axis, inner: shape.inner, into: y.pointer, workspace: workspace)
    return y.values
  }

  @Test func everyShape() {
    var random = TestRandom(seed: 9)
    for shape in Self.shapes {
      let (outer, axis, inner) = shape
      let x = random.array(outer * axis * inner)
      let sums = Reference.reduce(x, outer: outer, axis: axis, inner: inner, 0, +)
      let sizes = Reference.reduce(x, outer: outer, axis: axis, inner: inner, 0) { $0 + abs($1) }
      let largest = Reference.reduce(x, outer: outer, axis: axis, inner: inner, -.infinity, max)
      let smallest = Reference.reduce(x, outer: outer, axis: axis, inner: inner, .infinity, min)
      for (set, computes) in EveryCompute.ofAllThreads {
        let results = computes.map { reduce($0, .sum, x, shape) }
        #expect(results[0].bits == results[1].bits && results[0].bits == results[2].bits, "\(shape) on \(set)")
        let means = reduce(computes[0], .mean, x, shape)
        for i in sums.indices {
          // One rounding to Float32; the Float64 sums' own errors are nothing beside it, except where the sum nearly cancels.
          let bound = unitRoundoff * 1.01 * abs(sums[i]) + Double(axis) * 0x1p-52 * sizes[i]
          #expect(abs(Double(results[0][i]) - sums[i]) <= bound, "\(shape) on \(set)")
          #expect(abs(Double(means[i]) - sums[i] / Double(axis)) <= bound / Double(axis) + 0x1p-149, "\(shape) on \(set)")
        }
        #expect(reduce(computes[0], .maximum, x, shape).map(Double.init) == largest, "\(shape) on \(set)")
        #expect(reduce(computes[2], .minimum, x, shape).map(Double.init) == smallest, "\(shape) on \(set)")
      }
    }
  }

  @Test func emptyAxis() {
    for (_, compute) in EveryCompute.ofOneThread {
      for inner in [1, 5, 40] {
        #expect(reduce(compute, .sum, [], (2, 0, inner)) == [Float](repeating: 0, count: 2 * inner))
        #expect(reduce(compute, .mean, [], (2, 0, inner)).allSatisfy { $0.isNaN })
      }
    }
  }

  /// A NaN anywhere in the axis, the tails included, spoils its own result and no other.
  @Test func notANumber() {
    for (set, compute) in EveryCompute.ofOneThread {
      for operation in ReductionOperation.allCases {
        for axis in [1, 2, 15, 16, 17, 33, 70] {
          for place in 0..<axis {
            var row = [Float](repeating: 1, count: 2 * axis)
            row[place] = .nan
            let contiguous = reduce(compute, operation, row, (2, axis, 1))
            #expect(contiguous[0].isNaN && !contiguous[1].isNaN, "\(operation), \(place) of \(axis) on \(set)")
            var columns = [Float](repeating: 1, count: axis * 19)
            columns[place * 19 + place % 19] = .nan
            let strided = reduce(compute, operation, columns, (1, axis, 19))
            #expect(strided.indices.allSatisfy { strided[$0].isNaN == ($0 == place % 19) }, "\(operation) on \(set)")
          }
        }
      }
    }
  }

  @Test func sumsSurviveCancellation() {
    // 2²⁵ pairs away from Float32: 1 is lost in a Float32 sum, and exact in Float64.
    let x: [Float] = (0..<10_000).flatMap { _ in [3e7, 1, -3e7] }
    for (_, compute) in EveryCompute.ofOneThread {
      #expect(reduce(compute, .sum, x, (1, x.count, 1)) == [10_000])
      #expect(reduce(compute, .sum, x, (1, x.count / 3, 3)) == [3e11, 10_000, -3e11])
    }
  }

  @Test func columnSumsAccumulate() {
    var random = TestRandom(seed: 10)
    for (set, computes) in EveryCompute.ofAllThreads {
      for (rows, columns) in [(0, 3), (1, 1), (128, 10), (50_000, 10), (33, 100), (2000, 65)] {
        let x = random.array(rows * columns)
        let old = random.array(columns)
        let want = Reference.reduce(x, outer: 1, axis: rows, inner: columns, 0, +)
        let input = GuardedBuffer(x)
        let bytes = computes[0].reductionWorkspaceByteCount(outer: 1, axis: rows, inner: columns)
        let workspace = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
        defer { workspace.deallocate() }
        let results = computes.map { compute in
          let y = GuardedBuffer(old)
          compute.columnSums(
            input.input, rows: rows, columns: columns, into: y.pointer, accumulate: true, workspace: workspace)
          return y.values
        }
        #expect(results[0].bits == results[1].bits && results[0].bits == results[2].bits, "\(rows)×\(columns) on \(set)")
        for c in 0..<columns {
          let sum = Double(old[c]) + want[c]
          let bound = unitRoundoff * 1.01 * abs(sum) + Double(rows * rows) * 0x1p-52
          #expect(abs(Double(results[0][c]) - sum) <= bound, "\(rows)×\(columns) on \(set)")
        }
      }
    }
  }

  @Test func argmax() {
    var random = TestRandom(seed: 11)
    for (set, computes) in EveryCompute.ofAllThreads {
      for (rows, columns) in [(1, 1), (0, 4)] + (2...40).map({ (3, $0) }) + [(5000, 10), (3, 40_000)] {
        // Few different values, so that ties are common.
        var x = random.array(rows * columns).map { ($0 * 4).rounded() }
        if rows > 2, columns > 1 { x[2 * columns + columns / 2] = .nan }
        let input = GuardedBuffer(x)
        let want = (0..<rows).map { r -> Int32 in
          let row = x[r * columns..<(r + 1) * columns]
          let best = row.firstIndex { $0.isNaN } ?? row.firstIndex(of: row.max() ?? 0) ?? 0
          return Int32(best - r * columns)
        }
        for compute in computes {
          var y = [Int32](repeating: -1, count: rows)
          compute.argmaxRows(input.input, rows: rows, columns: columns, into: &y)
          #expect(y == want, "\(rows)×\(columns) on \(set)")
        }
      }
    }
  }
}
