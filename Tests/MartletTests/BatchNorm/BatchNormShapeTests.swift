import MartletTestSupport
import ReferenceKernels
import Testing

@testable import Martlet

/// Batch norm on rows, sequences, images and volumes, against the definition in Float64: channels last, channels first, and the one seen
/// as the other by its strides.
@Suite struct BatchNormShapeTests {
  static let shapes = [[12, 3], [5, 4, 3], [3, 4, 5, 3], [2, 2, 3, 2, 3]]
  private let channels = 3
  private let scale: [Float] = [0.5, -1.5, 2]
  private let shift: [Float] = [0.1, 0.2, -0.3]

  /// The same numbers as `[N, C, …]`, contiguous.
  private func channelsFirst(_ x: Tensor) throws -> Tensor {
    let positions = x.shape.dropFirst().dropLast().reduce(1, *)
    var values = x.values
    for (i, value) in x.values.enumerated() {
      let (row, channel) = (i / channels, i % channels)
      values[(row / positions * channels + channel) * positions + row % positions] = value
    }
    return try Tensor(values, shape: [x.shape[0], channels] + x.shape.dropFirst().dropLast())
  }

  /// `first`, which is `[N, C, …]`, seen with its channels last.
  private func seenLast(_ first: Tensor) throws -> ArrayView {
    let strides = Shape.contiguousStrides(first.shape)
    return try ArrayView(
      first.storage.base, .float32, shape: [first.shape[0]] + first.shape.dropFirst(2) + [channels],
      strides: [strides[0]] + strides.dropFirst(2) + [strides[1]])
  }

  /// x and the cotangent in each layout; the axis, and how a result of this layout is read with channels last.
  private typealias Layout = (x: ArrayView, grad: ArrayView, axis: ChannelAxis, shape: [Int], read: (Tensor) throws -> [Float])
  private func layouts(_ x: Tensor, _ grad: Tensor, _ firsts: (x: Tensor, grad: Tensor)) throws -> [Layout] {
    [
      (try x.view(), try grad.view(), .last, x.shape, \.values),
      (
        try firsts.x.view(), try firsts.grad.view(), .first, firsts.x.shape,
        { y in try withExtendedLifetime(y) { try Tensor(copying: seenLast(y)).values } }
      ),
      (try seenLast(firsts.x), try seenLast(firsts.grad), .last, x.shape, \.values),
    ]
  }

  @Test(arguments: shapes) func function(_ shape: [Int]) throws {
    let (x, grad) = (try randomTensor(shape, seed: 1, -2...3), try randomTensor(shape, seed: 2))
    let firsts = (x: try channelsFirst(x), grad: try channelsFirst(grad))
    let (s, t) = (try Tensor(scale), try Tensor(shift))
    func definition(_ x: [Double], _ scale: [Double], _ shift: [Double]) -> [Double] {
      let (mean, variance) = Reference.channelMoments(x, channels: channels)
      return Reference.normalise(x, mean: mean, variance: variance, epsilon: 1e-3, scale: scale, shift: shift)
    }
    func loss(_ x: [Double], _ scale: [Double], _ shift: [Double]) -> Double {
      Reference.dot(definition(x, scale, shift), grad.doubles)
    }
    let (scales, shifts, values) = (scale.map(Double.init), shift.map(Double.init), x.count / channels)
    let want = definition(x.doubles, scales, shifts)
    let moments = Reference.channelMoments(x.doubles, channels: channels)
    let dx = GradientCheck.differences(at: x.doubles) { loss($0, scales, shifts) }
    let ds = GradientCheck.differences(at: scales) { loss(x.doubles, $0, shifts) }
    let dt = GradientCheck.differences(at: shifts) { loss(x.doubles, scales, $0) }
    let allowed = Tolerance.network(depth: 2, terms: values, magnitude: max(largest(dx), largest(ds), largest(dt)))

    for layout in try layouts(x, grad, firsts) {
      let y = try Tensor(shape: layout.shape)
      let used = try #require(
        BatchNormFunction.normalize(
          layout.x, channelAxis: layout.axis, epsilon: 1e-3, scale: s.view(), shift: t.view(), into: y.view())
          as (mean: [Double], variance: [Double])?)
      expectClose(try layout.read(y), want, within: Tolerance.network(depth: 1, terms: 0, magnitude: largest(want)))
      for c in 0..<channels {
        #expect(abs(used.mean[c] - moments.mean[c]) <= Tolerance.mean(deviation: 2, largest: 3, values: values))
        #expect(
          abs(used.variance[c] - moments.variance[c]) <= Tolerance.variance(moments.variance[c], largest: 3, values: values))
      }
      let (mean, variance) = (try Tensor(used.mean.map { Float($0) }), try Tensor(used.variance.map { Float($0) }))
      let (gradX, gradScale, gradShift) = (try Tensor(shape: layout.shape), try Tensor(shape: [3]), try Tensor(shape: [3]))
      try BatchNormFunction.gradients(
        layout.x, channelAxis: layout.axis, epsilon: 1e-3, scale: s.view(), statistics: (mean.view(), variance.view()),
        statisticsAreConstant: false, gradOutput: layout.grad,
        into: BatchNormFunction.Gradients(input: gradX.view(), scale: gradScale.view(), shift: gradShift.view()))
      #expect(GradientCheck.mismatch(try layout.read(gradX).map(Double.init), dx, tolerance: allowed) == nil)
      #expect(GradientCheck.mismatch(gradScale.doubles, ds, tolerance: allowed) == nil)
      #expect(GradientCheck.mismatch(gradShift.doubles, dt, tolerance: allowed) == nil)
      withExtendedLifetime((mean, variance)) {}
    }
    withExtendedLifetime((x, grad, firsts, s, t)) {}
  }

  @Test(arguments: shapes) func layerGradients(_ shape: [Int]) throws {
    let model = try Model.sequential([BatchNorm()], inputShape: Array(shape.dropFirst()), seed: 1)
    try checkGradients(model, [randomTensor(shape, seed: 5)], terms: shape.dropLast().reduce(1, *), seed: 3)
  }

  /// Moving statistics of three steps, inference with them, and the same from a file. The step's input lies either way.
  @Test(arguments: shapes) func layer(_ shape: [Int]) throws {
    let model = try Model.sequential([BatchNorm(momentum: 0.75)], inputShape: Array(shape.dropFirst()), seed: 1)
    try model.variable(named: "0.weight").set(scale)
    try model.variable(named: "0.bias").set(shift)
    var (mean, variance) = ([Double](repeating: 0, count: channels), [Double](repeating: 1, count: channels))
    let values = Double(shape.dropLast().reduce(1, *))
    for step in 0..<3 {
      let x = try randomTensor(shape, seed: UInt64(10 + step), Float(step - 2)...Float(step + 1))
      let first = try channelsFirst(x)
      let input = try step == 1 ? Tensor(copying: seenLast(first)) : x
      let y = try model.forward(input, training: true)
      let moments = Reference.channelMoments(x.doubles, channels: channels)
      let want = Reference.normalise(
        x.doubles, mean: moments.mean, variance: moments.variance, epsilon: 1e-5, scale: scale.map(Double.init),
        shift: shift.map(Double.init))
      expectClose(y.values, want, within: Tolerance.network(depth: 1, terms: 0, magnitude: largest(want)))
      for c in 0..<channels {
        mean[c] = 0.75 * mean[c] + 0.25 * moments.mean[c]
        variance[c] = 0.75 * variance[c] + 0.25 * moments.variance[c] * values / (values - 1)
      }
      withExtendedLifetime(first) {}
    }
    expectClose(try model.values("0.running_mean"), mean, within: Tolerance.steps(4) * 4, "mean")
    expectClose(try model.values("0.running_var"), variance, within: Tolerance.steps(4) * 4, "variance")

    let x = try randomTensor(shape, seed: 20, -2...3)
    let first = try channelsFirst(x)
    let want = Reference.normalise(
      x.doubles, mean: mean, variance: variance, epsilon: 1e-5, scale: scale.map(Double.init), shift: shift.map(Double.init))
    let y = try model.predict(x)
    expectClose(y.values, want, within: Tolerance.network(depth: 2, terms: 0, magnitude: largest(want)))
    let seen = try Tensor(shape: shape)
    try model.predict([seenLast(first)], into: [seen.view()])
    #expect(seen.bits == y.bits)
    let scratch = try ScratchDirectory()
    try model.save(to: scratch("norm.safetensors"))
    let loaded = try Model.load(from: scratch("norm.safetensors"))
    #expect(loaded.allBytes == model.allBytes)
    #expect(try loaded.predict(x).bits == y.bits)
    withExtendedLifetime((first, seen)) {}
  }
}
