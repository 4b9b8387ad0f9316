import MartletRuntime
import MartletTestSupport
import ReferenceKernels
import Testing

/// Copies of columns and transposition: exact, inside their bounds, for any number of threads.
@Suite struct RearrangeTests {
  @Test(arguments: [(1, 1, 1), (1, 3, 5), (4, 2, 17), (2, 33, 16), (3, 3, 1000), (1, 300, 301), (2, 1, 40), (5, 64, 7)])
  func transpose(matrices: Int, height: Int, width: Int) {
    var random = TestRandom(seed: UInt64(height * width))
    let x = random.array(matrices * height * width)
    let before = random.array(x.count)
    let want = Reference.transposed(x, height: height, width: width)
    for (set, computes) in EveryCompute.ofAllThreads {
      for compute in computes {
        for accumulate in [false, true] {
          let (source, target) = (GuardedBuffer(x), GuardedBuffer(before))
          compute.transpose(
            source.input, matrices: matrices, height: height, width: width, into: target.pointer, accumulate: accumulate)
          #expect(
            target.values == (accumulate ? zip(before, want).map { $0 + $1 } : want), "accumulate \(accumulate) on \(set)")
        }
      }
    }
  }

  @Test(arguments: [(1, 1, 1), (3, 2, 5), (7, 16, 40), (500, 33, 70), (2, 0, 3)])
  func copyColumns(rows: Int, columns: Int, width: Int) {
    var random = TestRandom(seed: UInt64(rows * columns))
    let x = random.array(rows * columns)
    let before = random.array(rows * width)
    for (set, computes) in EveryCompute.ofAllThreads {
      for compute in computes {
        for (first, accumulate) in [(0, false), (width - columns, false), (width - columns, true)] {
          let (source, target) = (GuardedBuffer(x), GuardedBuffer(before))
          compute.copyColumns(
            source.input, rowStride: columns, rows: rows, columns: columns, into: target.pointer + first, rowStride: width,
            accumulate: accumulate)
          var want = before
          for r in 0..<rows {
            for c in 0..<columns {
              let place = r * width + first + c
              want[place] = accumulate ? want[place] + x[r * columns + c] : x[r * columns + c]
            }
          }
          #expect(target.values == want, "first column \(first), accumulate \(accumulate) on \(set)")
          // And back, out of the wider matrix.
          let part = GuardedBuffer(count: rows * columns)
          compute.copyColumns(
            target.input + first, rowStride: width, rows: rows, columns: columns, into: part.pointer, rowStride: columns,
            accumulate: false)
          if !accumulate { #expect(part.values == x, "back, on \(set)") }
        }
      }
    }
  }
}
