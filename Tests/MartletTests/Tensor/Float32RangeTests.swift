import MartletTestSupport
import Testing

@testable import Martlet

/// A finite Float64 that Float32 cannot hold is refused wherever an array comes in, and nothing has changed then.
@Suite struct Float32RangeTests {
  /// Calls `body` with a Float64 array of these values.
  private func withDoubles<Result>(
    _ values: [Double], _ shape: [Int], _ body: (ArrayView) throws -> Result
  ) throws -> Result {
    var values = values
    return try values.withUnsafeMutableBytes { try body(ArrayView($0.baseAddress, .float64, shape: shape)) }
  }

  @Test func limits() {
    let largest = Double(Float.greatestFiniteMagnitude)
    #expect(Float(ifInRange: largest) == .greatestFiniteMagnitude)
    #expect(Float(ifInRange: Float32Range.limit.nextDown) == .greatestFiniteMagnitude)
    #expect(Float(ifInRange: Float32Range.limit) == nil && Float(ifInRange: -Float32Range.limit) == nil)
    #expect(Float(Float32Range.limit).isInfinite)
    #expect(Float(ifInRange: .infinity) == .infinity && Float(ifInRange: .nan)?.isNaN == true)
    #expect(Float(ifInRange: 5e-324) == 0)
  }

  /// Contiguous, strided and one-dimensional arrays name the first such element.
  @Test func places() throws {
    var values = [Double](repeating: 1, count: 24)
    (values[17], values[20]) = (-1e39, 2e39)
    try values.withUnsafeMutableBytes { bytes in
      let base = bytes.baseAddress
      let cases: [(shape: [Int], strides: [Int]?, place: String)] = [
        ([24], nil, "-1e+39 at [17]"), ([2, 3, 4], nil, "-1e+39 at [1, 1, 1]"), ([4, 6], [1, 4], "2e+39 at [0, 5]"),
        ([3, 2, 2], [8, 4, 1], "-1e+39 at [2, 0, 1]"),
      ]
      for (shape, strides, place) in cases {
        let view = try ArrayView(base, .float64, shape: shape, strides: strides)
        expectError(.invalidArgument, "x: expected", "3.4028235e+38", place) { try view.checkFloat32Range("x") }
        expectError(.invalidArgument, "x: expected", place) { _ = try Tensor(copying: view, argument: "x") }
      }
    }
    #expect(try withDoubles([.infinity, -.infinity], [2]) { try Tensor(copying: $0).values } == [.infinity, -.infinity])
  }

  @Test func plainFunctions() throws {
    let one = try Tensor([1, 1, 1, 1], shape: [2, 2])
    let y = try Tensor(shape: [2, 2])
    try withDoubles([1, 2, 3, 1e200], [2, 2]) { big in
      expectError(.invalidArgument, "b: expected", "1e+200 at [1, 1]") {
        try MatrixProductFunction.multiply(one.view(), big, into: y.view())
      }
      expectError(.invalidArgument, "x: expected", "[1, 1]") {
        try NormalizationFunction.normalize(big, with: RMSNorm(), into: y.view())
      }
      expectError(.invalidArgument, "output: expected") { _ = try Loss.meanSquaredError(big, one.view()) }
      expectError(.invalidArgument, "target: expected") { _ = try Loss.meanSquaredError(one.view(), big) }
    }
    try withDoubles([1, 1e39], [2]) { big in
      expectError(.invalidArgument, "scale: expected", "1e+39 at [1]") {
        _ = try BatchNormFunction.normalize(one.view(), scale: big, into: y.view())
      }
    }
    #expect(y.values == [0, 0, 0, 0])
    withExtendedLifetime((one, y)) {}
  }

  /// The last row cannot be held: no output is written, no weight moves.
  @Test func models() throws {
    let model = try Model.sequential([Dense(3), BatchNorm(), Dense(1)], inputShape: [2], seed: 1)
    let trainer = try Trainer(model, loss: .meanSquaredError)
    let before = model.allBytes
    let x = try randomTensor([9, 2], seed: 1)
    let y = try randomTensor([9, 1], seed: 2)
    let result = try Tensor(shape: [9, 1])
    var options = FitOptions(epochs: 1, batchSize: 2)
    try withDoubles(x.doubles.dropLast() + [1e39], [9, 2]) { big in
      expectError(.invalidArgument, "inputs[0]: expected", "[8, 1]") {
        try model.predict([big], batchSize: 2, into: [result.view()])
      }
      expectError(.invalidArgument, "inputs[0]: expected", "[8, 1]") { try trainer.step([big], [y.view()]) }
      expectError(.invalidArgument, "inputs[0]: expected", "[8, 1]") { try trainer.fit([big], [y.view()], options) }
      expectError(.invalidArgument, "inputs[0]: expected", "[8, 1]") { _ = try trainer.evaluate([big], [y.view()]) }
      expectError(.invalidArgument, "inputs[0]: expected", "[8, 1]") { try model.forward([big], training: true) }
      expectError(.invalidArgument, "inputs[0]: expected", "[8, 1]") { try model.updatePopulationStatistics([big]) }
      expectError(.invalidArgument, "micro_batches[0].inputs[0]: expected") {
        try trainer.step(microBatches: [([big], [y.view()])])
      }
      options.validation = try ([big], [y.view()])
      expectError(.invalidArgument, "validation_inputs[0]: expected") { try trainer.fit([x.view()], [y.view()], options) }
    }
    try withDoubles(y.doubles.dropLast() + [-1e300], [9, 1]) { big in
      expectError(.invalidArgument, "-1e+300, which float32 cannot hold, in row 8") { try trainer.step([x.view()], [big]) }
    }
    try withDoubles([1, 2, 3, 4, 5, 1e39], [3, 2]) { weight in
      try withDoubles([1, 2, 3], [3]) { bias in
        expectError(.invalidArgument, "0.weight: expected", "[2, 1]") {
          try model.setVariables([("0.bias", bias), ("0.weight", weight)], strict: false)
        }
      }
    }
    #expect(model.allBytes == before)
    #expect(result.values.allSatisfy { $0 == 0 })
    withExtendedLifetime((x, y, result)) {}
  }

  @Test func initializers() {
    for initializer in [Initializer.constant(1e39), .constant(-1e300), .normal(deviation: 1e38)] {
      expectError(.invalidArgument, "initializer.", "expected", "float32") { try initializer.check("initializer") }
    }
  }
}
