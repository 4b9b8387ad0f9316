import MartletRuntime
import MartletTestSupport
import ReferenceKernels
import Testing

@Suite struct ChannelMapTests {
  private func check(_ shape: ChannelShape, _ activation: Activation, seed: UInt64, _ placement: Placement) {
    let reference = ChannelReference(outer: shape.outer, channels: shape.channels, inner: shape.inner)
    var random = TestRandom(seed: seed)
    let x = random.array(reference.count, -3...3)
    let mean = random.array(shape.channels).map(Double.init)
    let variance = random.array(shape.channels, 0.5...2).map(Double.init)
    let scale = random.array(shape.channels, -2...2)
    let shift = random.array(shape.channels)
    let linear = reference.normalised(x, mean: mean, variance: variance, epsilon: 1e-3, scale: scale, shift: shift)
    let wanted = linear.map { Reference.activation(activation.rawValue, $0) }
    for (set, computes) in EveryCompute.ofAllThreads {
      let map = computes[0].map(mean: mean, variance: variance, epsilon: 1e-3, scale: scale, shift: shift, placement)
      let y = computes[0].apply(map, x, shape, activation: activation, placement)
      // |x − mean|·|factor| < 4·2·1.5 = 12: three roundings of such terms, and no activation is steeper than 1.
      #expect(Reference.largestDifference(y, wanted) <= 4 * unitRoundoff * 16, "\(shape) \(activation) on \(set)")
      let inPlace = computes[0].apply(map, x, shape, activation: activation, inPlace: true, placement)
      #expect(inPlace.bits == y.bits, "\(shape) \(activation) in place on \(set)")
      for compute in computes.dropFirst() {
        let other = compute.apply(map, x, shape, activation: activation, inPlace: true, placement)
        #expect(other.bits == y.bits, "\(shape) \(activation) on \(set)")
      }
    }
  }

  @Test func everyTail() {
    for (i, shape) in ChannelShapes.small.enumerated() {
      check(shape, Activation.allCases[i % 4], seed: UInt64(i), Placement.all[i / 4 % 4])
    }
  }

  @Test func severalPieces() {
    for (i, shape) in ChannelShapes.large.enumerated() {
      check(shape, i % 2 == 0 ? .identity : .relu, seed: UInt64(i), Placement.all[i % 4])
    }
  }

  /// An element's bits depend on itself and its channel: not on the vector it falls into, nor on the layout.
  @Test func bitsDoNotDependOnPlace() {
    var random = TestRandom(seed: 4)
    for (set, compute) in EveryCompute.ofOneThread {
      for activation in Activation.allCases {
        let x = random.array(7, -3...3)
        let map = compute.map(mean: [0.3], variance: [2], epsilon: 1e-5, scale: [1.7], shift: [0.2])
        let alone = compute.apply(map, x, ChannelShape(outer: 7, channels: 1), activation: activation)
        for count in [23, 300] {
          let many = (0..<count).map { x[$0 % 7] }
          for shape in [
            ChannelShape(outer: count, channels: 1), ChannelShape(outer: 1, channels: 1, inner: count),
            ChannelShape(outer: 1, channels: count),
          ] {
            let c = shape.channels
            let map = compute.map(
              mean: .init(repeating: 0.3, count: c), variance: .init(repeating: 2, count: c), epsilon: 1e-5,
              scale: .init(repeating: 1.7, count: c), shift: .init(repeating: 0.2, count: c))
            let y = compute.apply(map, many, shape, activation: activation)
            for i in 0..<count { #expect(y[i] == alone[i % 7], "\(shape) \(activation) on \(set)") }
          }
        }
      }
    }
  }

  /// The formula of each coefficient, to the bit.
  @Test func coefficients() {
    let compute = EveryCompute.ofOneThread[0].compute
    let mean = [1.7e9 + 0.3, -2]
    let variance = [1e10, 0]
    let map = compute.map(mean: mean, variance: variance, epsilon: 1e-5, scale: [3, 0.1], shift: [0.7, -0.3])
    for c in 0..<2 {
      let factor = [Double(Float(3)), Double(Float(0.1))][c] * (1 / (variance[c] + 1e-5).squareRoot())
      let center = Float(mean[c])
      #expect(map.center.values[c] == center)
      #expect(map.multiplier.values[c] == Float(factor))
      #expect(map.multiplierLow.values[c] == Float(factor - Double(Float(factor))))
      #expect(map.offset.values[c] == Float(Double([Float(0.7), -0.3][c]) - (mean[c] - Double(center)) * factor))
    }
  }

  @Test func isolation() {
    for shape in [
      ChannelShape(outer: 50, channels: 3), ChannelShape(outer: 50, channels: 33),
      ChannelShape(outer: 5, channels: 4, inner: 37),
    ] {
      let reference = ChannelReference(outer: shape.outer, channels: shape.channels, inner: shape.inner)
      var x = [Float](repeating: 0.5, count: reference.count)
      x[shape.inner] = .nan
      x[2 * shape.inner] = .infinity
      var mean = [Double](repeating: 0, count: shape.channels)
      mean[0] = .nan
      for (set, compute) in EveryCompute.ofOneThread {
        let map = compute.map(mean: mean, variance: .init(repeating: 1, count: shape.channels), epsilon: 0)
        let y = compute.apply(map, x, shape, activation: .identity)
        for i in y.indices {
          let wanted: Float = reference.channel(i) == 0 ? .nan : x[i]
          // An infinite x yields no number (see applyChannelMap).
          #expect(y[i] == wanted || (y[i].isNaN && !wanted.isFinite), "\(i) of \(shape) on \(set)")
        }
      }
    }
  }
}
