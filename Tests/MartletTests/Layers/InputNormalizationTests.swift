import MartletTestSupport
import Testing

@testable import Martlet

/// Directly behind an input, features are measured and normalised as the caller has them.
@Suite struct InputNormalizationTests {
  private static let base = 1_700_000_000
  private let rows = 12

  /// [rows, 2]: seconds far from zero, and small numbers.
  private var values: [Double] {
    (0..<rows).flatMap { (row: Int) -> [Double] in
      let seconds = Self.base + row * 5 % 12
      let small = Double(row * row % 7) / 8
      return [Double(seconds), small]
    }
  }

  private func expected(_ values: [Double]) -> [Float] {
    var result = [Float](repeating: 0, count: values.count)
    for c in 0..<2 {
      let column = stride(from: c, to: values.count, by: 2).map { values[$0] }
      let origin = column[0]
      let mean = column.reduce(0) { $0 + ($1 - origin) } / Double(rows)
      let variance = column.reduce(0) { $0 + ($1 - origin - mean) * ($1 - origin - mean) } / Double(rows)
      for (row, x) in column.enumerated() { result[2 * row + c] = Float((x - origin - mean) / variance.squareRoot()) }
    }
    return result
  }

  private func close(_ a: [Float], _ b: [Float], _ tolerance: Float = 1e-6) -> Bool {
    a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= tolerance }
  }

  /// Every way into a model: predict, by hand, strided rows, whole numbers.
  @Test func everyWayIn() throws {
    let model = try Model.sequential([InputNormalization()], inputShape: [2])
    var values = values
    let want = expected(values)
    try values.withUnsafeMutableBytes { bytes in
      let x = try ArrayView(bytes.baseAddress, .float64, shape: [rows, 2])
      try model.fitInputNormalization([x], batchSize: 5)
      let y = try Tensor(shape: [rows, 2])
      try model.predict([x], batchSize: 5, into: [y.view()])
      #expect(close(y.values, want))
      try model.forward([x], training: true)
      #expect(close(try Tensor(copying: model.output(0)).values, want))
      // Every other row, backwards.
      let odd = try ArrayView(bytes.baseAddress.map { $0 + 16 * 11 }, .float64, shape: [6, 2], strides: [-4, 1])
      let half = try Tensor(shape: [6, 2])
      try model.predict([odd], into: [half.view()])
      let wantHalf = (0..<6).flatMap { (row: Int) -> ArraySlice<Float> in
        let first = 2 * (11 - 2 * row)
        return want[first...first + 1]
      }
      #expect(close(half.values, wantHalf))
      withExtendedLifetime((y, half)) {}
    }
    var whole = (0..<rows).flatMap { [Int64(Self.base + $0), Int64($0)] }
    try whole.withUnsafeMutableBytes { bytes in
      let x = try ArrayView(bytes.baseAddress, .int64, shape: [rows, 2])
      try model.fitInputNormalization([x])
      let y = try Tensor(shape: [rows, 2])
      try model.predict([x], into: [y.view()])
      for row in 0..<rows { #expect(abs(y.values[2 * row] - y.values[2 * row + 1]) <= 1e-6) }
      withExtendedLifetime(y) {}
    }
  }

  /// Training on seconds since 1970 is training on seconds since then: shuffled, in micro-batches, in parts.
  @Test func training() throws {
    func trained(_ values: [Double], _ train: (Trainer, ArrayView, ArrayView) throws -> Void) throws -> [Float] {
      let model = try Model.sequential([InputNormalization(), Dense(4), Tanh(), Dense(1)], inputShape: [2], seed: 3)
      let trainer = try Trainer(model, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.1))
      let y = try randomTensor([rows, 1], seed: 1)
      var values = values
      return try values.withUnsafeMutableBytes { bytes in
        let x = try ArrayView(bytes.baseAddress, .float64, shape: [rows, 2])
        try model.fitInputNormalization([x])
        try train(trainer, x, y.view())
        return try withExtendedLifetime(y) { try model.variable(named: "1.weight").copyValues().values }
      }
    }
    let ways: [(Trainer, ArrayView, ArrayView) throws -> Void] = [
      { try $0.fit([$1], [$2], FitOptions(epochs: 3, batchSize: 5)) },
      {
        try $0.setMicroBatchSize(5)
        try $0.step([$1], [$2])
      },
      { try $0.step(microBatches: [([$1], [$2]), ([$1], [$2])], statistics: .whole) },
    ]
    for way in ways {
      let near = try trained(values.enumerated().map { $0 % 2 == 0 ? $1 - Double(Self.base) : $1 }, way)
      #expect(close(try trained(values, way), near))
    }
  }

  /// Float32 beside Float64 in one batch of parts: the bits of each alone.
  @Test func mixedParts() throws {
    let model = try Model.sequential([InputNormalization(), BatchNorm(), Dense(1)], inputShape: [2], seed: 3)
    let x = try randomTensor([6, 2], seed: 5)
    let y = try randomTensor([6, 1], seed: 6)
    var doubles = x.doubles
    let single = try Model.sequential([InputNormalization(), BatchNorm(), Dense(1)], inputShape: [2], seed: 3)
    try doubles.withUnsafeMutableBytes { bytes in
      let wide = try ArrayView(bytes.baseAddress, .float64, shape: [6, 2])
      for parts in try [[x.view(), wide], [wide, x.view()]] {
        for m in [model, single] { try m.fitInputNormalization([x.view()]) }
        let result = try Trainer(model.clone(), loss: .meanSquaredError).step(
          microBatches: parts.map { ([$0], [try y.view()]) }, statistics: .whole)
        let plain = try Trainer(single.clone(), loss: .meanSquaredError).step(
          microBatches: parts.map { _ in ([try x.view()], [try y.view()]) }, statistics: .whole)
        #expect(abs(result.loss - plain.loss) <= 1e-6)
      }
    }
    withExtendedLifetime((x, y)) {}
  }

  /// Float32 and bytes keep the kernels' bits, whatever ran before on the same memory.
  @Test func narrowTypesKeepTheirBits() throws {
    let model = try Model.sequential([Flatten(), InputNormalization(), Dense(2)], inputShape: [2, 1], seed: 1)
    let x = try Tensor(values.map { Float($0) - Float(Self.base) * ($0 > 9 ? 1 : 0) }, shape: [rows, 2, 1])
    try model.fitInputNormalization([x.view()])
    let before = try model.predict(x).bits
    var values = values
    try values.withUnsafeMutableBytes { bytes in
      let wide = try ArrayView(bytes.baseAddress, .float64, shape: [rows, 2, 1])
      let y = try Tensor(shape: [rows, 2])
      try model.predict([wide], into: [y.view()])
      #expect(try model.predict(x).bits == before)
      withExtendedLifetime(y) {}
    }
  }
}
