import MartletTestSupport
import ReferenceKernels
import Testing

@testable import Martlet

/// Batch norm as a plain function on anybody's arrays.
@Suite struct BatchNormFunctionTests {
  /// A tensor and the same in the other order of axes: `[N, C, H]` and `[N, H, C]`.
  private func pair() throws -> (first: Tensor, last: Tensor) {
    let first = try randomTensor([4, 3, 5], seed: 1, -2...3)
    let view = try ArrayView(first.storage.base, .float32, shape: [4, 5, 3], strides: [15, 1, 5])
    return try withExtendedLifetime(first) { (first, try Tensor(copying: view)) }
  }

  private func toLast(_ t: Tensor) throws -> Tensor {
    try withExtendedLifetime(t) {
      try Tensor(copying: ArrayView(t.storage.base, .float32, shape: [4, 5, 3], strides: [15, 1, 5]))
    }
  }

  private let scale: [Float] = [0.5, -1.5, 2]
  private let shift: [Float] = [0.1, 0.2, -0.3]

  private func normalize(
    _ x: Tensor, _ axis: ChannelAxis, statistics: (Tensor, Tensor)? = nil
  ) throws -> (y: Tensor, statistics: (mean: [Double], variance: [Double])?) {
    let (y, s, t) = (try Tensor(shape: x.shape), try Tensor(scale), try Tensor(shift))
    let used = try BatchNormFunction.normalize(
      x.view("x"), channelAxis: axis, epsilon: 1e-3, scale: s.view(), shift: t.view(),
      statistics: statistics.map { (try $0.0.view(), try $0.1.view()) }, into: y.view("y"))
    return withExtendedLifetime((x, s, t, statistics)) { (y, used) }
  }

  @Test func statisticsAreReadWhereTheyLie() throws {
    let x = try Tensor([1, 5, 3, 9], shape: [2, 2])
    let y = try Tensor(shape: [2, 2])
    let read = try BatchNormFunction.normalize(x.view(), into: y.view()) { (Array($0), Array($1), y.values) }
    let (mean, variance, written) = try #require(read)
    #expect(mean == [2, 7] && variance == [1, 4])
    // The output is complete by then.
    #expect(written == y.values && written != [0, 0, 0, 0])
    withExtendedLifetime((x, y)) {}
  }

  @Test func bothAxes() throws {
    let (first, last) = try pair()
    let (mean, variance) = Reference.channelMoments(last.doubles, channels: 3)
    let want = Reference.normalise(
      last.doubles, mean: mean, variance: variance, epsilon: 1e-3, scale: scale.map(Double.init), shift: shift.map(Double.init))
    let a = try normalize(last, .last)
    let b = try normalize(first, .first)
    let tolerance = Tolerance.network(depth: 1, terms: 0, magnitude: largest(want))
    expectClose(a.y.values, want, within: tolerance)
    expectClose(try toLast(b.y).values, want, within: tolerance)
    for used in [a.statistics, b.statistics] {
      let used = try #require(used)
      for c in 0..<3 {
        #expect(abs(used.mean[c] - mean[c]) <= Tolerance.mean(deviation: 2, largest: 3, values: 20))
        #expect(abs(used.variance[c] - variance[c]) <= Tolerance.variance(variance[c], largest: 3, values: 20))
      }
    }
  }

  @Test func givenStatistics() throws {
    let (_, last) = try pair()
    let (mean, variance) = (try Tensor([1, -1, 0.5]), try Tensor([4, 1, 0]))
    let result = try normalize(last, .last, statistics: (mean, variance))
    let want = Reference.normalise(
      last.doubles, mean: mean.doubles, variance: variance.doubles, epsilon: 1e-3, scale: scale.map(Double.init),
      shift: shift.map(Double.init))
    expectClose(result.y.values, want, within: Tolerance.network(depth: 1, terms: 0, magnitude: largest(want)))
    #expect(result.statistics?.mean == [1, -1, 0.5] && result.statistics?.variance == [4, 1, 0])
    // One value a channel is no trouble here.
    #expect(try normalize(Tensor([1, 2, 3], shape: [1, 3]), .last, statistics: (mean, variance)).y.values[0] == 0.1)
  }

  /// In place, and from strided memory: the bits of the contiguous copy. Float64 is measured and normalised as Float64, and rounded once.
  @Test func memory() throws {
    let (first, last) = try pair()
    let want = try normalize(last, .last).y
    var own = last
    try own.withMutableFloats { _ in }
    let (s, t) = (try Tensor(scale), try Tensor(shift))
    func run(_ x: ArrayView, _ y: ArrayView) throws {
      _ = try BatchNormFunction.normalize(x, epsilon: 1e-3, scale: s.view(), shift: t.view(), into: y)
    }
    try run(own.view(), own.view())
    #expect(own == want)
    let strided = try ArrayView(first.storage.base, .float32, shape: [4, 5, 3], strides: [15, 1, 5])
    let y = try Tensor(shape: [4, 5, 3])
    try run(strided, y.view())
    #expect(y == want)
    var doubles = last.doubles
    try doubles.withUnsafeMutableBytes { try run(ArrayView($0.baseAddress, .float64, shape: [4, 5, 3]), y.view()) }
    expectClose(y.values, want.doubles, within: Tolerance.network(depth: 1, terms: 0, magnitude: largest(want.doubles)))
    withExtendedLifetime((first, own, s, t, y)) {}
  }

  @Test(arguments: [false, true]) func gradients(_ constant: Bool) throws {
    let (first, last) = try pair()
    let g = try randomTensor([4, 3, 5], seed: 9)
    let gLast = try toLast(g)
    let used = try #require(normalize(last, .last).statistics)
    let moments = (try Tensor(used.mean.map { Float($0) }), try Tensor(used.variance.map { Float($0) }))
    let s = try Tensor(scale)
    func run(_ x: Tensor, _ g: Tensor, _ axis: ChannelAxis) throws -> (dx: Tensor, scale: [Float], shift: [Float]) {
      let (dx, ds, dt) = (try Tensor(shape: x.shape), try Tensor(shape: [3]), try Tensor(shape: [3]))
      try BatchNormFunction.gradients(
        x.view(), channelAxis: axis, epsilon: 1e-3, scale: s.view(), statistics: (moments.0.view(), moments.1.view()),
        statisticsAreConstant: constant, gradOutput: g.view(),
        into: BatchNormFunction.Gradients(input: dx.view(), scale: ds.view(), shift: dt.view()))
      return withExtendedLifetime((x, g)) { (dx, ds.values, dt.values) }
    }
    func loss(_ x: [Double], _ scale: [Double], _ shift: [Double]) -> Double {
      let batch = Reference.channelMoments(x, channels: 3)
      let y = Reference.normalise(
        x, mean: constant ? moments.0.doubles : batch.mean, variance: constant ? moments.1.doubles : batch.variance,
        epsilon: 1e-3,
        scale: scale, shift: shift)
      return Reference.dot(y, gLast.doubles)
    }
    let (x, scales, shifts) = (last.doubles, scale.map(Double.init), shift.map(Double.init))
    let dx = GradientCheck.differences(at: x) { loss($0, scales, shifts) }
    let ds = GradientCheck.differences(at: scales) { loss(x, $0, shifts) }
    let dt = GradientCheck.differences(at: shifts) { loss(x, scales, $0) }
    let tolerance = Tolerance.network(depth: 2, terms: 20, magnitude: max(largest(dx), largest(ds), largest(dt)))
    for (result, input) in try [(run(last, gLast, .last), { $0 }), (run(first, g, .first), toLast)]
      as [(
        (dx: Tensor, scale: [Float], shift: [Float]), (Tensor) throws -> Tensor
      )]
    {
      #expect(try GradientCheck.mismatch(input(result.dx).doubles, dx, tolerance: tolerance) == nil)
      #expect(GradientCheck.mismatch(result.scale.map(Double.init), ds, tolerance: tolerance) == nil)
      #expect(GradientCheck.mismatch(result.shift.map(Double.init), dt, tolerance: tolerance) == nil)
    }
    withExtendedLifetime((s, moments)) {}
  }

  /// An activation on the way is the activation of the plain output, and its gradient that of the gradient through it.
  @Test(arguments: [Activation.sigmoid, .tanh, .relu]) func activations(_ activation: Activation) throws {
    let x = try randomTensor([40, 16], seed: 2)
    let g = try randomTensor([40, 16], seed: 3)
    func forward(_ activation: Activation) throws -> (y: Tensor, mean: Tensor, variance: Tensor) {
      let y = try Tensor(shape: x.shape)
      let used = try #require(
        BatchNormFunction.normalize(x.view(), activation: activation, into: y.view()) as (mean: [Double], variance: [Double])?)
      return (y, try Tensor(used.mean.map { Float($0) }), try Tensor(used.variance.map { Float($0) }))
    }
    func backward(_ g: Tensor, _ activation: Activation, output: Tensor?) throws -> Tensor {
      let (_, mean, variance) = try forward(.identity)
      let dx = try Tensor(shape: x.shape)
      try BatchNormFunction.gradients(
        x.view(), activation: activation, statistics: (mean.view(), variance.view()), statisticsAreConstant: false,
        gradOutput: g.view(), output: output.map { try $0.view() }, into: BatchNormFunction.Gradients(input: dx.view()))
      return withExtendedLifetime((g, output, mean, variance)) { dx }
    }
    let plain = try forward(.identity).y
    let y = try forward(activation).y
    let pairs = zip(plain.doubles, y.doubles)
    for (z, y) in pairs {
      let want =
        activation == .relu
        ? max(z, 0) : activation == .tanh ? 2 / (1 + Reference.exponential(-2 * z)) - 1 : 1 / (1 + Reference.exponential(-z))
      #expect(abs(y - want) <= 1e-6)
    }
    let slopes = y.values.map { activation == .relu ? ($0 > 0 ? 1 : 0) : activation == .tanh ? 1 - $0 * $0 : $0 * (1 - $0) }
    let through = try Tensor(zip(g.values, slopes).map { $0 * $1 }, shape: g.shape)
    let (found, want) = (try backward(g, activation, output: y), try backward(through, .identity, output: nil))
    expectClose(found.values, want.doubles, within: 1e-5)
    if activation == .relu {
      // The side of zero is the forward pass's, to the bit.
      #expect(try backward(g, activation, output: nil).values == found.values)
    } else {
      expectError(.invalidArgument, "y: none came") { _ = try backward(g, activation, output: nil) }
    }
    withExtendedLifetime((x, g)) {}
  }

  @Test func errors() throws {
    let x = try randomTensor([2, 3], seed: 1)
    let y = try Tensor(shape: [2, 3])
    let four = try Tensor(shape: [4])
    let three = try Tensor([1, 1, -1])
    func normalize(
      _ x: Tensor, epsilon: Double = 1e-5, scale: Tensor? = nil, statistics: (Tensor, Tensor)? = nil,
      into target: ArrayView? = nil
    ) throws {
      _ = try BatchNormFunction.normalize(
        x.view("x"), epsilon: epsilon, scale: scale.map { try $0.view() },
        statistics: statistics.map { (try $0.0.view(), try $0.1.view()) }, into: target ?? y.view("y"))
    }
    expectError(.invalidArgument, "[1, 3] (1 value per channel)", "or give mean and variance") {
      let one = try Tensor(shape: [1, 3])
      try normalize(one, into: ArrayView(y.storage.base, .float32, shape: [1, 3]))
    }
    expectError(.invalidArgument, "epsilon", "got 0.0") { try normalize(x, epsilon: 0) }
    expectError(.shapeMismatch, "scale", "[3]", "[4] came") { try normalize(x, scale: four) }
    expectError(.shapeMismatch, "variance", "[4] came") { try normalize(x, statistics: (three, four)) }
    expectError(.invalidArgument, "variance: must be 0 or more; channel 2 has -1") {
      try normalize(x, statistics: (three, three))
    }
    expectError(.shapeMismatch, "y", "[2, 3]", "[4] came") { try normalize(x, into: four.view()) }
    expectError(.invalidArgument, "y shares memory with x") {
      try normalize(x, into: ArrayView(x.storage.base + 4, .float32, shape: [2, 3]))
    }
    expectError(.invalidArgument, "contiguous float32") {
      try normalize(x, into: ArrayView(y.storage.base, .float32, shape: [2, 3], strides: [1, 2]))
    }
    expectError(.shapeMismatch, "channels first", "[6]") {
      _ = try BatchNormFunction.normalize(Tensor(shape: [6]).view("x"), channelAxis: .first, into: y.view())
    }
    #expect(y.values == [0, 0, 0, 0, 0, 0])
    // Nothing in, nothing out.
    let empty = try Tensor(shape: [0, 3])
    let nothing = try BatchNormFunction.normalize(empty.view(), into: empty.view())
    #expect(nothing == nil)
    var calls = 0
    _ = try BatchNormFunction.normalize(empty.view(), into: empty.view()) { _, _ in calls += 1 }
    #expect(calls == 0)
    withExtendedLifetime((x, y, four, three, empty)) {}
  }
}
