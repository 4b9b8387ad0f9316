import MartletRuntime
import MartletTestSupport
import ReferenceKernels
import Testing

@Suite struct ChannelGradientsTests {
  private func output(_ activation: Activation, _ random: inout TestRandom, _ count: Int) -> [Float] {
    switch activation {
    case .sigmoid: random.array(count, 0...1)
    case .relu: random.array(count).map { max($0, 0) }
    default: random.array(count)
    }
  }

  private func checkSums(_ shape: ChannelShape, _ activation: Activation, seed: UInt64, _ placement: Placement) {
    let reference = ChannelReference(outer: shape.outer, channels: shape.channels, inner: shape.inner)
    var random = TestRandom(seed: seed)
    let x = random.array(reference.count, -3...3)
    let gradOutput = random.array(reference.count)
    let y = output(activation, &random, reference.count)
    let center = random.array(shape.channels)
    let g = reference.activated(gradOutput, output: y, activation: activation.rawValue)
    let sum = reference.sums { g[$0] }
    let centered = reference.sums { g[$0] * (Double(x[$0]) - Double(center[reference.channel($0)])) }
    let size = reference.sums { abs(Double(gradOutput[$0])) }
    for (set, computes) in EveryCompute.ofAllThreads {
      let results = computes.map {
        $0.gradientSums(
          gradOutput, output: activation == .identity ? nil : y, input: x, shape, center: center, activation: activation,
          placement)
      }
      #expect(results[0] == results[1] && results[0] == results[2], "\(shape) \(activation) on \(set)")
      for c in 0..<shape.channels {
        #expect(
          abs(results[0].sum[c] - sum[c]) <= Tolerance.channelSum(magnitude: size[c]), "\(shape) \(activation) on \(set)")
        #expect(
          abs(results[0].sumCentered[c] - centered[c]) <= Tolerance.channelSum(magnitude: 4 * size[c]),
          "\(shape) \(activation) on \(set)")
      }
    }
  }

  private func checkInput(_ shape: ChannelShape, _ activation: Activation, seed: UInt64, _ placement: Placement) {
    let reference = ChannelReference(outer: shape.outer, channels: shape.channels, inner: shape.inner)
    var random = TestRandom(seed: seed)
    let x = random.array(reference.count, -3...3)
    let gradOutput = random.array(reference.count)
    let before = random.array(reference.count)
    let y = output(activation, &random, reference.count)
    let center = random.array(shape.channels)
    let multiplier = random.array(shape.channels, -2...2)
    let meanTerm = random.array(shape.channels)
    let slope = random.array(shape.channels)
    let g = reference.activated(gradOutput, output: y, activation: activation.rawValue)
    for (set, computes) in EveryCompute.ofAllThreads {
      for isConstant in [false, true] {
        for accumulate in [false, true] {
          let wanted = (0..<reference.count).map { i -> Double in
            let c = reference.channel(i)
            let d = Double(x[i]) - Double(center[c])
            let inside = isConstant ? g[i] : g[i] - Double(meanTerm[c]) - d * Double(slope[c])
            return (accumulate ? Double(before[i]) : 0) + Double(multiplier[c]) * inside
          }
          func run(_ compute: Compute, inPlace: Bool = false) -> [Float] {
            compute.gradientInput(
              gradOutput, output: activation == .identity ? nil : y, input: x, shape, center: center, multiplier: multiplier,
              meanTerm: isConstant ? nil : meanTerm, slope: isConstant ? nil : slope, activation: activation,
              before: accumulate ? before : nil, inPlace: inPlace, placement)
          }
          let result = run(computes[0])
          // |multiplier| ≤ 2, the terms inside add up to at most 6, and at most 1 comes before.
          #expect(
            Reference.largestDifference(result, wanted) <= Tolerance.gradientInput * 13, "\(shape) \(activation) on \(set)")
          #expect(run(computes[2]).bits == result.bits, "\(shape) \(activation) on \(set)")
          if !accumulate {
            #expect(run(computes[1], inPlace: true).bits == result.bits, "\(shape) \(activation) in place on \(set)")
          }
        }
      }
    }
  }

  @Test func sumsOfEveryTail() {
    for (i, shape) in ChannelShapes.small.enumerated() {
      checkSums(shape, Activation.allCases[i % 4], seed: UInt64(i), Placement.all[i / 4 % 4])
    }
  }

  @Test func sumsOfSeveralPieces() {
    for (i, shape) in ChannelShapes.large.enumerated() {
      checkSums(shape, Activation.allCases[i % 4], seed: UInt64(i), Placement.all[i % 4])
    }
  }

  @Test func inputOfEveryTail() {
    for (i, shape) in ChannelShapes.small.enumerated() {
      checkInput(shape, Activation.allCases[i % 4], seed: UInt64(i), Placement.all[i / 4 % 4])
    }
  }

  @Test func inputOfSeveralPieces() {
    let shape = ChannelShape(outer: 11_003, channels: 10)
    checkInput(shape, .tanh, seed: 1, Placement(misalignedBy: 4))
    checkInput(ChannelShape(outer: 7, channels: 40, inner: 401), .relu, seed: 2, Placement(atStart: true))
  }

  /// Products that overflow Float32 are summed in Float64; what is not a number stays in its channel.
  @Test func extremes() {
    for shape in [
      ChannelShape(outer: 400, channels: 5), ChannelShape(outer: 40, channels: 5, inner: 3),
      ChannelShape(outer: 4, channels: 5, inner: 101),
      ChannelShape(outer: 2, channels: 5),
    ] {
      let reference = ChannelReference(outer: shape.outer, channels: shape.channels, inner: shape.inner)
      var random = TestRandom(seed: 8)
      var x = random.array(reference.count)
      var gradOutput = random.array(reference.count)
      for i in x.indices where reference.channel(i) == 1 {
        x[i] *= 1e30
        gradOutput[i] *= 1e15
      }
      x[2 * shape.inner] = .infinity
      gradOutput[3 * shape.inner] = .nan
      let centered = reference.sums { Double(gradOutput[$0]) * Double(x[$0]) }
      let size = reference.sums { abs(Double(gradOutput[$0]) * Double(x[$0])) }
      let center = [Float](repeating: 0, count: 5)
      for (set, compute) in EveryCompute.ofOneThread {
        let result = compute.gradientSums(gradOutput, output: nil, input: x, shape, center: center, activation: .identity)
        for c in [0, 1, 4] {
          #expect(
            abs(result.sumCentered[c] - centered[c]) <= Tolerance.channelSum(magnitude: size[c]),
            "channel \(c) of \(shape) on \(set)")
        }
        #expect(result.sum[2].isFinite && !result.sumCentered[2].isFinite, "\(shape) on \(set)")
        #expect(result.sum[3].isNaN && result.sumCentered[3].isNaN, "\(shape) on \(set)")
      }
    }
  }
}
