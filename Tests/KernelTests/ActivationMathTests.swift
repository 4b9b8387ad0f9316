import MartletRuntime
import MartletTestSupport
import ReferenceKernels
import Testing

/// The vector functions against Float64 over two million Float32 values of every exponent and sign.
@Suite struct ActivationMathTests {
  /// Every 2048th bit pattern from an odd start: all exponents, NaNs and infinities, 4096 values a binade.
  static let sweep: [Float] = (0..<(1 << 21)).map { Float(bitPattern: UInt32($0) << 11 | 0x2A7) }
  /// Where the functions bend: a hundred thousand values each in ±1, ±10, ±100.
  static let dense: [Float] = {
    var random = TestRandom(seed: 0xAC71)
    return random.array(100_000) + random.array(100_000, -10...10) + random.array(100_000, -110...110)
  }()

  private func check(
    _ bound: Double, _ name: String, _ reference: (Double) -> Double,
    _ run: (Compute, UnsafePointer<Float>, Int, UnsafeMutablePointer<Float>) -> Void
  ) {
    let x = Self.sweep + Self.dense
    let want = x.map { reference(Double($0)) }
    for (set, compute) in EveryCompute.ofOneThread {
      var y = x
      y.withUnsafeMutableBufferPointer { y in
        guard let base = y.baseAddress else { return }
        run(compute, UnsafePointer(base), y.count, base)
      }
      var worst = 0.0
      var at = 0
      for i in x.indices {
        let error = Reference.ulps(y[i], want[i])
        if error > worst { (worst, at) = (error, i) }
      }
      #expect(worst <= bound, "\(name) on \(set): \(worst) ulp at \(x[at]), got \(y[at]), want \(want[at])")
    }
  }

  @Test func exponential() {
    check(Tolerance.exponentialUlps, "exponential", Reference.exponential) { $0.unary(.exponential, $1, count: $2, into: $3) }
  }

  @Test func logarithm() {
    check(Tolerance.logarithmUlps, "logarithm", Reference.logarithm) { $0.unary(.logarithm, $1, count: $2, into: $3) }
  }

  @Test func sigmoid() {
    check(Tolerance.sigmoidUlps, "sigmoid", Reference.sigmoid) { $0.activate(.sigmoid, $1, count: $2, into: $3) }
  }

  @Test func tanh() {
    check(Tolerance.tanhUlps, "tanh", Reference.tanh) { $0.activate(.tanh, $1, count: $2, into: $3) }
  }

  @Test func relu() {
    check(0, "relu", Reference.relu) { $0.activate(.relu, $1, count: $2, into: $3) }
  }

  @Test func landmarks() {
    for (set, compute) in EveryCompute.ofOneThread {
      func value(_ activation: Activation, _ x: Float) -> Float {
        let y = GuardedBuffer([x])
        compute.activate(activation, y.input, count: 1, into: y.pointer)
        return y.values[0]
      }
      #expect(value(.sigmoid, 0) == 0.5 && value(.sigmoid, -200) == 0 && value(.sigmoid, 200) == 1, "\(set)")
      #expect(value(.sigmoid, -.infinity) == 0 && value(.sigmoid, .infinity) == 1, "\(set)")
      #expect(value(.tanh, .infinity) == 1 && value(.tanh, -.infinity) == -1 && value(.tanh, 10) == 1, "\(set)")
      #expect(value(.tanh, 0x1p-140) == 0x1p-140 && value(.tanh, -0.0).bitPattern == Float(-0.0).bitPattern, "\(set)")
      #expect(value(.relu, -.infinity) == 0 && value(.relu, .infinity) == .infinity, "\(set)")
      for activation in Activation.allCases { #expect(value(activation, .nan).isNaN, "\(activation) on \(set)") }
    }
  }

  @Test func tanhIsOdd() {
    let x = Self.dense
    for (set, compute) in EveryCompute.ofOneThread {
      let y = GuardedBuffer(x)
      let z = GuardedBuffer(x.map { -$0 })
      compute.activate(.tanh, y.input, count: x.count, into: y.pointer)
      compute.activate(.tanh, z.input, count: x.count, into: z.pointer)
      #expect(y.values == z.values.map { -$0 }, "\(set)")
    }
  }
}
