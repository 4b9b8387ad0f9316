import MartletRuntime
import MartletTestSupport
import ReferenceKernels
import Testing

@Suite struct SoftmaxTests {
  static let shapes = (1...36).map { (3, $0) } + [(0, 5), (4, 0), (1, 1000), (3000, 10), (5, 20_000)]

  @Test func forward() {
    var random = TestRandom(seed: 12)
    for (rows, columns) in Self.shapes {
      let x = random.array(rows * columns, -20...20)
      let want = (0..<rows).flatMap { r in
        columns == 0 ? [] : Reference.softmax(x[r * columns..<(r + 1) * columns].map(Double.init))
      }
      for (set, computes) in EveryCompute.ofAllThreads {
        let results = computes.map { compute in
          let y = GuardedBuffer(x)
          compute.softmaxRows(y.input, rows: rows, columns: columns, into: y.pointer)
          return y.values
        }
        #expect(results[0].bits == results[1].bits && results[0].bits == results[2].bits, "\(rows)×\(columns) on \(set)")
        let isRight = zip(results[0], want).allSatisfy {
          abs(Double($0) - $1) <= Tolerance.softmax(spread: 40) * $1 + 0x1p-149
        }
        #expect(isRight, "\(rows)×\(columns) on \(set)")
      }
    }
  }

  @Test func extremeRows() {
    for (set, compute) in EveryCompute.ofOneThread {
      func softmax(_ x: [Float]) -> [Float] {
        let y = GuardedBuffer(x)
        compute.softmaxRows(y.input, rows: 1, columns: x.count, into: y.pointer)
        return y.values
      }
      #expect(softmax([1e30, -1e30, 1e30]) == [0.5, 0, 0.5], "\(set)")
      #expect(softmax([-.infinity, 3]) == [0, 1], "\(set)")
      #expect(softmax([Float](repeating: -3e38, count: 32)) == [Float](repeating: 1 / 32, count: 32), "\(set)")
      #expect(softmax([1, .nan, 3]).allSatisfy { $0.isNaN }, "\(set)")
      #expect(softmax([1, .infinity, 3]).allSatisfy { $0.isNaN }, "\(set)")
    }
  }

  @Test func gradient() {
    var random = TestRandom(seed: 13)
    for (rows, columns) in Self.shapes {
      let y = random.array(rows * columns, 0...1)
      let g = random.array(rows * columns)
      let old = random.array(rows * columns)
      var want: [Double] = []
      var bounds: [Double] = []
      for r in 0..<rows {
        let range = r * columns..<(r + 1) * columns
        let dot = range.map { Double(g[$0]) * Double(y[$0]) }.reduce(0, +)
        want += range.map { Double(y[$0]) * (Double(g[$0]) - dot) }
        // The rounding of the sum, of the difference and of the product, each at the size of what it rounds; one more to add.
        bounds += range.map { Tolerance.steps(4) * (Double(y[$0]) * (abs(Double(g[$0])) + abs(dot)) + abs(Double(old[$0]))) }
      }
      for (set, computes) in EveryCompute.ofAllThreads {
        for accumulate in [false, true] {
          let results = computes.map { compute in
            let output = GuardedBuffer(y)
            let gradient = GuardedBuffer(g)
            let result = GuardedBuffer(old)
            compute.softmaxGradientRows(
              gradOutput: gradient.input, output: output.input, rows: rows, columns: columns, into: result.pointer,
              accumulate: accumulate)
            return result.values
          }
          #expect(results[0].bits == results[1].bits && results[0].bits == results[2].bits, "\(rows)×\(columns) on \(set)")
          let isRight = want.indices.allSatisfy {
            abs(Double(results[0][$0]) - (want[$0] + (accumulate ? Double(old[$0]) : 0))) <= bounds[$0]
          }
          #expect(isRight, "\(rows)×\(columns) on \(set)")
        }
      }
    }
  }
}
