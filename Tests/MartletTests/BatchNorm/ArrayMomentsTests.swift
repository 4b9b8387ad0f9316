import MartletTestSupport
import Testing

@testable import Martlet

/// Float64 and integers are measured and normalised at their own precision.
@Suite struct ArrayMomentsTests {
  /// Calls `body` with an array of such elements.
  private func withArray<Element, Result>(
    _ values: [Element], _ type: DataType, _ shape: [Int], strides: [Int]? = nil, _ body: (ArrayView) throws -> Result
  ) throws -> Result {
    var values = values
    return try values.withUnsafeMutableBytes {
      try body(ArrayView($0.baseAddress, type, shape: shape, strides: strides))
    }
  }

  /// 0, 1, 2, 3 far from zero: mean 1.5 and variance 1.25 beside the offset.
  @Test(arguments: [1 << 24, 1_700_000_000, 1 << 40, 1_700_000_000_000_000_000]) func farFromZero(_ base: Int) throws {
    var statistics = [try PopulationStatistics(channels: 1)]
    try withArray((0..<4).map { Int64(base + $0) }, .int64, [4, 1]) { try statistics[0].add($0) }
    if base < 1 << 50 {
      statistics.append(try PopulationStatistics(channels: 1))
      try withArray((0..<4).map { Double(base + $0) }, .float64, [4, 1]) { try statistics[1].add($0) }
    }
    if base < 1 << 31 {
      statistics.append(try PopulationStatistics(channels: 1))
      try withArray((0..<4).map { Int32(base + $0) }, .int32, [4, 1]) { try statistics[2].add($0) }
    }
    for found in statistics {
      #expect(try found.variance() == [1.25])
      #expect(found.mean[0] == Double(base) + 1.5)
    }
  }

  /// Batches pool to the whole, whatever is far from zero.
  @Test(arguments: [1, 3, 5]) func pooling(_ batch: Int) throws {
    let base = 1_700_000_000_000_000_000
    var statistics = try PopulationStatistics(channels: 2)
    let values = (0..<20).map { Int64(base + ($0 * 7) % 20) }
    for first in stride(from: 0, to: 10, by: batch) {
      let rows = min(batch, 10 - first)
      try withArray(Array(values[2 * first..<2 * (first + rows)]), .int64, [rows, 2]) { try statistics.add($0) }
    }
    for c in 0..<2 {
      let column = stride(from: c, to: 20, by: 2).map { Double(Int(values[$0]) - base) }
      let mean = column.reduce(0, +) / 10
      let variance = column.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 10
      #expect(try abs(statistics.variance()[c] - variance) <= 1e-13 * variance)
    }
  }

  /// Any shape, strides and axis; the reference converts to Float64 first.
  @Test func shapes() throws {
    let values = (0..<120).map { 1e9 + Double(($0 * 37) % 120) / 16 }
    let cases: [(shape: [Int], strides: [Int]?, axis: ChannelAxis)] = [
      ([120], nil, .last), ([30, 4], nil, .last), ([4, 30], [1, 4], .last), ([5, 4, 6], nil, .last), ([5, 4, 6], nil, .first),
      ([5, 2, 3], [24, 6, 2], .first), ([5, 3, 2], [-1, 6, 24], .last), ([2, 3, 4, 5], nil, .first),
    ]
    for (shape, strides, axis) in cases {
      var values = values
      try values.withUnsafeMutableBytes { bytes in
        let start = (strides?[0] ?? 0) < 0 ? bytes.baseAddress.map { $0 + 8 * 20 } : bytes.baseAddress
        let view = try ArrayView(start, .float64, shape: shape, strides: strides)
        var flat = [Double](repeating: 0, count: view.count)
        view.copy(into: &flat)
        let channelShape = try axis.shape(of: shape, argument: "x")
        var statistics = try PopulationStatistics(channels: channelShape.channels)
        try statistics.add(view, channelAxis: axis)
        for c in 0..<channelShape.channels {
          let inner = channelShape.inner
          let channel = flat.indices.filter { $0 / inner % channelShape.channels == c }.map { flat[$0] - 1e9 }
          let mean = channel.reduce(0, +) / Double(channel.count)
          let variance = channel.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(channel.count)
          #expect(abs(statistics.mean[c] - 1e9 - mean) <= 1e-6, "\(shape) \(axis)")
          #expect(try abs(statistics.variance()[c] - variance) <= 1e-12, "\(shape) \(axis)")
        }
      }
    }
  }

  @Test func notFinite() throws {
    var statistics = try PopulationStatistics(channels: 3)
    try withArray([.nan, .infinity, 1, 2, 3, 5.0], .float64, [2, 3]) { try statistics.add($0) }
    let variance = try statistics.variance()
    #expect(statistics.mean[0].isNaN && statistics.mean[1] == .infinity && statistics.mean[2] == 3)
    #expect(variance[0].isNaN && variance[1].isNaN && variance[2] == 4)
  }

  /// y and gradients of data far from zero are those of the data near zero.
  @Test(arguments: [ChannelAxis.last, .first], [Activation.identity, .relu, .tanh]) func function(
    _ axis: ChannelAxis, _ activation: Activation
  ) throws {
    let noise = try randomTensor([6, 3, 3], seed: 1)
    let (scale, shift) = (try Tensor([1, -2, 0.5]), try Tensor([0.1, 0, -0.2]))
    let grad = try randomTensor([6, 3, 3], seed: 2)
    var results: [[Float]] = []
    for offset in [0.0, 0x1p28] {
      let (y, gradInput) = (try Tensor(shape: [6, 3, 3]), try Tensor(shape: [6, 3, 3]))
      let (gradScale, gradShift) = (try Tensor(shape: [3]), try Tensor(shape: [3]))
      try withArray(noise.doubles.map { offset + ($0 * 0x1p20).rounded() * 0x1p-20 }, .float64, [6, 3, 3]) { x in
        let found = try BatchNormFunction.normalize(
          x, channelAxis: axis, activation: activation, scale: scale.view(), shift: shift.view(), into: y.view())
        let statistics = try #require(found)
        try withArray(statistics.mean, .float64, [3]) { mean in
          try withArray(statistics.variance, .float64, [3]) { variance in
            try BatchNormFunction.gradients(
              x, channelAxis: axis, activation: activation, scale: scale.view(), shift: shift.view(),
              statistics: (mean, variance), statisticsAreConstant: false, gradOutput: grad.view(),
              output: activation == .tanh ? y.view() : nil,
              into: .init(input: gradInput.view(), scale: gradScale.view(), shift: gradShift.view()))
          }
        }
      }
      results.append(y.values + gradInput.values + gradScale.values + gradShift.values)
    }
    for (near, far) in zip(results[0], results[1]) { #expect(abs(near - far) <= 2e-6 * max(1, abs(near))) }
    withExtendedLifetime((scale, shift, grad)) {}
  }

  /// Constant statistics in Float64, beyond Float32's range.
  @Test func givenStatistics() throws {
    let y = try Tensor(shape: [2, 1])
    try withArray([1e200, 3e200], .float64, [2, 1]) { x in
      try withArray([2e200], .float64, [1]) { mean in
        try withArray([1e300], .float64, [1]) { variance in
          _ = try BatchNormFunction.normalize(x, epsilon: 1, statistics: (mean, variance), into: y.view())
        }
      }
    }
    #expect(y.values == [-.infinity, .infinity] || y.values.allSatisfy { abs($0) > 1e38 })
    let found = try withArray([1e100, 3e100], .float64, [2, 1]) { x in
      try BatchNormFunction.normalize(x, into: y.view())
    }
    #expect(y.values == [-1, 1])
    #expect(abs((found?.mean[0] ?? 0) / 2e100 - 1) <= 1e-15)
  }
}
