import MartletRuntime
import MartletTestSupport
import ReferenceKernels
import Testing

@Suite struct ElementwiseTests {
  /// Every tail of every vector width, and beyond one piece.
  static let counts = Array(0...35) + [63, 64, 65, 1000]

  private func exact(_ operation: BinaryOperation, _ a: Float, _ b: Float) -> Float {
    switch operation {
    case .add: a + b
    case .subtract: a - b
    case .multiply: a * b
    case .divide: a / b
    case .maximum: a.isNaN || b.isNaN ? .nan : max(a, b)
    case .minimum: a.isNaN || b.isNaN ? .nan : min(a, b)
    }
  }

  @Test func binaryWithTails() {
    var random = TestRandom(seed: 1)
    for (set, compute) in EveryCompute.ofOneThread {
      for count in Self.counts {
        var x = random.array(count)
        if count > 2 { (x[1], x[count - 1]) = (.nan, .infinity) }
        let a = GuardedBuffer(x, misalignedBy: 4)
        let b = GuardedBuffer(random.array(count))
        for operation in BinaryOperation.allCases {
          let y = GuardedBuffer(count: count)
          for swapped in [false, true] {
            compute.binary(
              operation, a.input, b.input, rows: 1, columns: count, broadcast: .none, swapped: swapped, into: y.pointer)
            let want = zip(x, b.values).map { swapped ? exact(operation, $1, $0) : exact(operation, $0, $1) }
            #expect(same(y.values, want), "\(operation) of \(count) on \(set)")
          }
        }
      }
    }
  }

  @Test func broadcasts() {
    var random = TestRandom(seed: 2)
    for (rows, columns) in [(1, 1), (3, 5), (7, 16), (2, 33), (0, 4), (4, 0), (3500, 11)] {
      let x = random.array(rows * columns)
      let row = random.array(columns, 1...2)
      let (b, scalar) = (GuardedBuffer(row), GuardedBuffer([1.5]))
      for operation in BinaryOperation.allCases {
        for swapped in [false, true] {
          let rowwise = x.indices.map { i in
            swapped ? exact(operation, row[i % columns], x[i]) : exact(operation, x[i], row[i % columns])
          }
          let scalarwise = x.map { swapped ? exact(operation, 1.5, $0) : exact(operation, $0, 1.5) }
          for (set, computes) in EveryCompute.ofAllThreads {
            for compute in computes {
              // In place.
              let y = GuardedBuffer(x)
              let z = GuardedBuffer(x)
              compute.binary(
                operation, y.input, b.input, rows: rows, columns: columns, broadcast: .alongRows,
                swapped: swapped, into: y.pointer)
              #expect(y.values == rowwise, "\(operation) \(rows)×\(columns) on \(set)")
              compute.binary(
                operation, z.input, scalar.input, rows: rows, columns: columns, broadcast: .scalar,
                swapped: swapped, into: z.pointer)
              #expect(z.values == scalarwise, "\(operation) with a scalar on \(set)")
            }
          }
        }
      }
    }
  }

  @Test func exactUnaryFunctions() {
    var random = TestRandom(seed: 3)
    let functions: [(UnaryOperation, (Float) -> Float)] = [
      (.negate, { -$0 }), (.absolute, { abs($0) }), (.square, { $0 * $0 }), (.squareRoot, { $0.squareRoot() }),
    ]
    for (set, compute) in EveryCompute.ofOneThread {
      for count in Self.counts {
        var x = random.array(count, -2...100)
        if count > 3 { (x[0], x[1], x[2], x[count - 1]) = (0, -0.0, .nan, -.infinity) }
        for (operation, f) in functions {
          let y = GuardedBuffer(x, misalignedBy: 8)
          compute.unary(operation, y.input, count: count, into: y.pointer)
          #expect(same(y.values, x.map(f)), "\(operation) of \(count) on \(set)")
        }
      }
    }
  }

  @Test func activationsDoNotDependOnPlaceOrThreads() {
    var random = TestRandom(seed: 4)
    let x = random.array(100_003, -12...12)
    for (set, computes) in EveryCompute.ofAllThreads {
      for activation in Activation.allCases {
        let results = computes.map { compute in
          let y = GuardedBuffer(count: x.count)
          let input = GuardedBuffer(x)
          compute.activate(activation, input.input, count: x.count, into: y.pointer)
          return y.values.bits
        }
        #expect(results[0] == results[1] && results[0] == results[2], "\(activation) on \(set)")
        for count in Self.counts {
          let y = GuardedBuffer(Array(x[5..<5 + count]))
          computes[0].activate(activation, y.input, count: count, into: y.pointer)
          #expect(y.values.bits == Array(results[0][5..<5 + count]), "\(activation) of \(count) on \(set)")
        }
      }
    }
  }

  @Test func activationGradients() {
    var random = TestRandom(seed: 5)
    let derivatives: [(Activation, (Double) -> Double)] = [
      (.identity, { _ in 1 }), (.sigmoid, { $0 * (1 - $0) }), (.tanh, { 1 - $0 * $0 }), (.relu, { $0 > 0 ? 1 : 0 }),
    ]
    for (set, compute) in EveryCompute.ofOneThread {
      for count in Self.counts + [70_001] {
        let y = random.array(count, 0...1)
        let g = random.array(count)
        let old = random.array(count)
        for (activation, derivative) in derivatives {
          let output = GuardedBuffer(activation == .relu ? y.map { $0 < 0.5 ? 0 : $0 } : y)
          let result = GuardedBuffer(g)
          let sum = GuardedBuffer(old)
          let gradient = GuardedBuffer(g)
          compute.activationGradient(
            activation, gradOutput: result.input, output: output.input, count: count, into: result.pointer, accumulate: false)
          compute.activationGradient(
            activation, gradOutput: gradient.input, output: output.input, count: count, into: sum.pointer, accumulate: true)
          let outputs = output.values
          let results = result.values
          let sums = sum.values
          var isRight = true
          for i in 0..<count {
            let want = Double(g[i]) * derivative(Double(outputs[i]))
            // Four roundings at most, 1 − y exact or one of them.
            isRight = isRight && abs(Double(results[i]) - want) <= Tolerance.steps(4) * abs(want)
            isRight = isRight && sums[i] == old[i] + results[i]
          }
          #expect(isRight, "\(activation) of \(count) on \(set)")
        }
      }
    }
  }

  @Test func addFillGather() {
    var random = TestRandom(seed: 6)
    for (set, computes) in EveryCompute.ofAllThreads {
      for compute in computes {
        for count in Self.counts + [70_001] {
          let x = random.array(count)
          let old = random.array(count)
          let a = GuardedBuffer(x)
          let y = GuardedBuffer(old)
          compute.add(a.input, count: count, to: y.pointer)
          #expect(y.values == zip(old, x).map { $0 + $1 }, "\(count) on \(set)")
          compute.fill(y.pointer, count: count, with: 2.5)
          #expect(y.values.allSatisfy { $0 == 2.5 }, "\(count) on \(set)")
        }
        for (rows, columns) in [(0, 3), (1, 1), (5, 7), (3000, 20)] {
          let x = GuardedBuffer(random.array(10 * (columns + 2)))
          let indices = (0..<rows).map { _ in Int.random(in: 0..<10, using: &random) }
          let y = GuardedBuffer(count: rows * columns)
          compute.gatherRows(
            x.input, rowStride: columns + 2, indices: indices, rows: rows, columns: columns, into: y.pointer)
          let source = x.values
          let want = indices.flatMap { source[$0 * (columns + 2)..<$0 * (columns + 2) + columns] }
          #expect(y.values == want, "\(rows)×\(columns) on \(set)")
        }
      }
    }
  }

  /// Equal numbers, or NaN in both.
  private func same(_ a: [Float], _ b: [Float]) -> Bool {
    a.count == b.count && zip(a, b).allSatisfy { $0 == $1 || ($0.isNaN && $1.isNaN) }
  }
}
