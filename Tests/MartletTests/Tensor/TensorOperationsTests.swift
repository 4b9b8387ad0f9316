import MartletTestSupport
import ReferenceKernels
import Testing

@testable import Martlet

@Suite struct TensorOperationsTests {
  private func reference(_ operation: BinaryOperation, _ a: Float, _ b: Float) -> Float {
    switch operation {
    case .add: a + b
    case .subtract: a - b
    case .multiply: a * b
    case .divide: a / b
    case .maximum: max(a, b)
    case .minimum: min(a, b)
    }
  }

  /// One rounding an element: exact, in every way of broadcasting, on both sides.
  @Test(arguments: BinaryOperation.allCases) func elementwise(_ operation: BinaryOperation) throws {
    for (left, right, shape) in [
      ([2, 3, 5], [2, 3, 5], [2, 3, 5]), ([2, 3, 5], [5], [2, 3, 5]), ([5], [2, 3, 5], [2, 3, 5]), ([2, 3, 5], [], [2, 3, 5]),
      ([], [2, 3, 5], [2, 3, 5]), ([2, 3, 5], [1], [2, 3, 5]), ([1, 1], [2, 37], [2, 37]), ([4, 1], [1], [4, 1]), ([], [], []),
      ([0, 4], [4], [0, 4]), ([4], [0, 4], [0, 4]), ([3, 0], [0], [3, 0]), ([3, 0], [], [3, 0]), ([129], [129], [129]),
    ] as [([Int], [Int], [Int])] {
      let a = try randomTensor(left, seed: 1)
      let b = try randomTensor(right, seed: 2, 0.5...2)
      let result = try Tensor.elementwise(operation, a, b)
      #expect(result.shape == shape, "\(left) \(right)")
      let (x, y) = (a.values, b.values)
      let want = (0..<result.count).map { reference(operation, x[$0 % max(x.count, 1)], y[$0 % max(y.count, 1)]) }
      #expect(result.values == want, "\(operation) \(left) \(right)")
    }
  }

  @Test func operators() throws {
    let (a, b) = (try Tensor([6, 8]), try Tensor([2, 4]))
    #expect(try (a + b).values == [8, 12])
    #expect(try (a - b).values == [4, 4])
    #expect(try (a * b).values == [12, 32])
    #expect(try (a / b).values == [3, 2])
    #expect(a.values == [6, 8] && b.values == [2, 4])
  }

  @Test func elementwiseErrors() throws {
    for (left, right) in [([2, 3], [2]), ([2, 3], [3, 2]), ([2], [3]), ([2, 3], [1, 3])] as [([Int], [Int])] {
      expectError(.shapeMismatch, "equal shapes", "\(left)", "\(right)") {
        _ = try Tensor.elementwise(.add, Tensor(shape: left), Tensor(shape: right))
      }
    }
  }

  @Test(arguments: [false, true], [false, true]) func matrixProduct(_ transposed: Bool, _ otherTransposed: Bool) throws {
    for (m, k, n) in [(1, 1, 1), (3, 5, 7), (17, 33, 19), (64, 100, 10), (2, 300, 3), (0, 3, 2), (3, 0, 2)] {
      let a = try randomTensor(transposed ? [k, m] : [m, k], seed: UInt64(m * 1000 + k))
      let b = try randomTensor(otherTransposed ? [n, k] : [k, n], seed: UInt64(k * 1000 + n))
      let (x, y) = (a.doubles, b.doubles)
      var want = [Double](repeating: 0, count: m * n)
      for row in 0..<m {
        for column in 0..<n {
          for i in 0..<k {
            want[row * n + column] +=
              x[transposed ? i * m + row : row * k + i] * y[otherTransposed ? column * k + i : i * n + column]
          }
        }
      }
      let result = try a.matrixProduct(b, transposed: transposed, otherTransposed: otherTransposed)
      #expect(result.shape == [m, n])
      // Factors below 1: the sizes of k products add up to at most k.
      expectClose(result.values, want, within: Tolerance.dotProduct(terms: k, magnitude: Double(k)), "\(m) \(k) \(n)")
    }
  }

  @Test(arguments: [false, true], [false, true]) func matrixProductOfArrays(_ transposed: Bool, _ otherTransposed: Bool) throws
  {
    for (m, k, n) in [(1, 1, 1), (3, 5, 7), (17, 33, 19), (1, 300, 1), (300, 1, 2), (2, 0, 3), (0, 3, 2)] {
      var a = try randomTensor(transposed ? [k, m] : [m, k], seed: UInt64(m + 1))
      var b = try randomTensor(otherTransposed ? [n, k] : [k, n], seed: UInt64(n + 1))
      var c = try Tensor([Float](repeating: .nan, count: m * n), shape: [m, n])
      let want = try a.matrixProduct(b, transposed: transposed, otherTransposed: otherTransposed)
      try a.withMutableFloats { a in
        try b.withMutableFloats { b in
          try c.withMutableFloats { c in
            try MatrixProductFunction.multiply(
              ArrayView(a.baseAddress, .float32, shape: [m, k], strides: transposed ? [1, m] : nil),
              ArrayView(b.baseAddress, .float32, shape: [k, n], strides: otherTransposed ? [1, k] : nil),
              into: ArrayView(c.baseAddress, .float32, shape: [m, n]))
          }
        }
      }
      #expect(c.values == want.values, "\(m) \(k) \(n)")
    }
  }

  /// Steps of neither 1 nor forwards, and another type: copied first, with the same bits.
  @Test func matrixProductOfOddArrays() throws {
    var a: [Double] = (0..<48).map { Double($0 % 7) - 3 }
    var b = try Tensor([1, 2, 3, 4, 5, 6], shape: [3, 2])
    var c = try Tensor(shape: [4, 2])
    try a.withUnsafeMutableBytes { a in
      try b.withMutableFloats { b in
        try c.withMutableFloats { c in
          // Row i, column j: a[12·i + 2·j], and b's rows from the last to the first.
          try MatrixProductFunction.multiply(
            ArrayView(a.baseAddress, .float64, shape: [4, 3], strides: [12, 2]),
            ArrayView(b.baseAddress.map { $0 + 4 }, .float32, shape: [3, 2], strides: [-2, 1]),
            into: ArrayView(c.baseAddress, .float32, shape: [4, 2]))
        }
      }
    }
    let rows: [[Double]] = [[5, 6], [3, 4], [1, 2]]
    for i in 0..<4 {
      for j in 0..<2 { #expect(Double(c.values[2 * i + j]) == (0..<3).reduce(0) { $0 + a[12 * i + 2 * $1] * rows[$1][j] }) }
    }
  }

  @Test func matrixProductOfArraysRefuses() throws {
    var values = [Float](repeating: 1, count: 20)
    try values.withUnsafeMutableBytes { memory in
      func view(_ place: Int, _ shape: [Int], _ type: DataType = .float32) throws -> ArrayView {
        try ArrayView(memory.baseAddress.map { $0 + 4 * place }, type, shape: shape)
      }
      let (a, b) = try (view(0, [2, 3]), view(6, [3, 2]))
      expectError(.shapeMismatch, "equal inner dimensions", "[2, 3]") {
        try MatrixProductFunction.multiply(a, a, into: view(12, [2, 3]))
      }
      expectError(.shapeMismatch, "two matrices", "[3]") {
        try MatrixProductFunction.multiply(a, view(0, [3]), into: view(12, [2]))
      }
      expectError(.shapeMismatch, "c", "[2, 2]", "[4]") { try MatrixProductFunction.multiply(a, b, into: view(12, [4])) }
      expectError(.invalidArgument, "c", "contiguous") {
        try MatrixProductFunction.multiply(a, b, into: view(12, [2, 2], .int32))
      }
      expectError(.invalidArgument, "c shares memory with b") {
        try MatrixProductFunction.multiply(a, b, into: view(11, [2, 2]))
      }
    }
    #expect(values.allSatisfy { $0 == 1 })
  }

  @Test func matrixProductErrors() throws {
    let a = try Tensor(shape: [2, 3])
    expectError(.shapeMismatch, "equal inner dimensions", "[2, 3]", "3 and 2") { _ = try a.matrixProduct(a) }
    expectError(.shapeMismatch, "[2, 3] transposed", "2 and 3") {
      _ = try a.matrixProduct(a, transposed: true, otherTransposed: true)
    }
    expectError(.shapeMismatch, "two matrices", "[3]") { _ = try a.matrixProduct(Tensor(shape: [3])) }
  }

  @Test(arguments: ReductionOperation.allCases) func reductions(_ operation: ReductionOperation) throws {
    let rules: [ReductionOperation: (Double, @Sendable (Double, Double) -> Double)] = [
      .sum: (0, { $0 + $1 }), .mean: (0, { $0 + $1 }), .maximum: (-.infinity, { max($0, $1) }),
      .minimum: (.infinity, { min($0, $1) }),
    ]
    let (initial, rule) = try #require(rules[operation])
    for shape in [[1], [7], [3, 5], [4, 3, 5], [2, 1, 33], [70, 40], []] {
      let t = try randomTensor(shape, seed: 9)
      for axis in [nil] + (-shape.count..<shape.count).map(Optional.some) {
        let place = axis.map { ($0 + shape.count) % shape.count }
        let (outer, length, inner) =
          place.map { (shape[..<$0].reduce(1, *), shape[$0], shape[($0 + 1)...].reduce(1, *)) } ?? (1, t.count, 1)
        var want = Reference.reduce(t.values, outer: outer, axis: length, inner: inner, initial, rule)
        if operation == .mean { want = want.map { $0 / Double(length) } }
        let result = try t.reduced(operation, axis: axis)
        #expect(result.shape == (place.map { p in shape.indices.filter { $0 != p }.map { shape[$0] } } ?? []))
        // Gathered in Float64, rounded once.
        expectClose(result.values, want, within: Tolerance.steps(1) * largest(want), "\(operation) \(shape) \(axis ?? 99)")
      }
    }
  }

  @Test func reductionEdges() throws {
    let empty = try Tensor(shape: [3, 0])
    #expect(try empty.reduced(.sum, axis: 1).values == [0, 0, 0])
    #expect(try empty.reduced(.mean, axis: 1).values.allSatisfy(\.isNaN))
    #expect(try empty.reduced(.sum, axis: 0).count == 0)
    expectError(.invalidArgument, "maximum of no elements", "[3, 0]") { _ = try empty.reduced(.maximum, axis: 1) }
    expectError(.invalidArgument, "axis: 2", "2 axes", "[3, 0]") { _ = try empty.reduced(.sum, axis: 2) }
    expectError(.invalidArgument, "axis: -3") { _ = try empty.reduced(.sum, axis: -3) }
    #expect(try Tensor([1, .nan, 3]).reduced(.maximum).values[0].isNaN)
    // 2²⁵ ones would stop at 2²⁴ in a Float32 sum; with fewer, the same shows through large terms.
    #expect(try Tensor([1e8, 1, -1e8]).reduced(.sum).values == [1])
  }

  @Test func softmax() throws {
    for shape in [[1], [5], [3, 4], [2, 3, 17], [2, 0]] {
      let t = try randomTensor(shape, seed: 12, -20...20)
      let result = try t.softmax()
      #expect(result.shape == shape)
      let columns = shape[shape.count - 1]
      guard columns > 0 else { continue }
      let want = Reference.softmaxRows(t.doubles, columns: columns)
      for (got, want) in zip(result.values, want) {
        #expect(abs(Double(got) - want) <= Tolerance.softmax(spread: 40) * want)
      }
    }
    #expect(try Tensor([1000, 1000]).softmax().values == [0.5, 0.5])
    #expect(try Tensor([-1e30, 0]).softmax().values == [0, 1])
  }

  @Test func functionsOfElements() throws {
    let t = try randomTensor([3, 11], seed: 13, 0.1...4)
    let rules: [(UnaryOperation, (Double) -> Double)] = [
      (.negate, { -$0 }), (.absolute, { abs($0) }), (.square, { $0 * $0 }), (.squareRoot, { $0.squareRoot() }),
      (.exponential, Reference.exponential), (.logarithm, Reference.logarithm),
    ]
    #expect(rules.count == UnaryOperation.allCases.count)
    for (operation, rule) in rules {
      for (got, x) in zip(try t.mapped(operation).values, t.doubles) {
        #expect(Reference.ulps(got, rule(x)) <= Tolerance.exponentialUlps, "\(operation)(\(x))")
      }
    }
    let signed = try randomTensor([40], seed: 14, -6...6)
    for activation in Activation.allCases {
      for (got, x) in zip(try signed.activated(activation).values, signed.doubles) {
        #expect(Reference.ulps(got, Reference.activation(activation.rawValue, x)) <= Tolerance.tanhUlps, "\(activation)(\(x))")
      }
    }
  }
}
