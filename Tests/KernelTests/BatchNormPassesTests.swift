import MartletRuntime
import MartletTestSupport
import ReferenceKernels
import Testing

/// Forward and backward a block of channels at a time: the same as pass after pass, for any number of threads.
@Suite struct BatchNormPassesTests {
  /// Blocks that several threads share, blocks that are fewer than five threads, channels too long for one block.
  static let shapes =
    ChannelShapes.large + [
      ChannelShape(outer: 130, channels: 640), ChannelShape(outer: 700, channels: 129),
      ChannelShape(outer: 9000, channels: 130),
      ChannelShape(outer: 40, channels: 37, inner: 196), ChannelShape(outer: 9, channels: 70, inner: 99),
      ChannelShape(outer: 3, channels: 9, inner: 200_000),
      ChannelShape(outer: 2, channels: 40, inner: 9), ChannelShape(outer: 3, channels: 2),
      ChannelShape(outer: 61, channels: 100),
    ]

  private struct Data {
    var x: [Float]
    var gradOutput: [Float]
    var scale: [Float]
    var shift: [Float]
    var before: [Float]

    init(_ shape: ChannelShape, seed: UInt64) {
      let count = shape.channels * shape.valuesPerChannel
      var random = TestRandom(seed: seed)
      x = random.array(count, 1...3)
      gradOutput = random.array(count)
      scale = random.array(shape.channels, 0.5...2)
      shift = random.array(shape.channels)
      before = random.array(count)
    }
  }

  /// Statistics, map, sums and both passes by the separate operations.
  private func passAfterPass(_ compute: Compute, _ data: Data, _ shape: ChannelShape, _ activation: Activation)
    -> BatchNormResults
  {
    var result = BatchNormResults()
    (result.mean, result.variance) = compute.moments(data.x, shape)
    let map = compute.map(
      mean: result.mean, variance: result.variance, epsilon: 1e-5, scale: data.scale, shift: data.shift)
    result.y = compute.apply(map, data.x, shape, activation: activation)
    let center = map.center.values
    let sums = compute.gradientSums(
      data.gradOutput, output: result.y, input: data.x, shape, center: center, activation: activation)
    let n = Double(shape.valuesPerChannel)
    var meanTerm: [Float] = []
    var slope: [Float] = []
    for c in 0..<shape.channels {
      let inverse: Double = 1 / (result.variance[c] + 1e-5).squareRoot()
      let rest = result.mean[c] - Double(center[c])
      let gradScale = (sums.sumCentered[c] - rest * sums.sum[c]) * inverse
      slope.append(Float(inverse * gradScale * (1 / n)))
      meanTerm.append(Float(sums.sum[c] * (1 / n) - rest * (inverse * gradScale * (1 / n))))
      result.gradScale.append(Float(gradScale))
      result.gradShift.append(Float(sums.sum[c]))
    }
    result.gradInput = compute.gradientInput(
      data.gradOutput, output: result.y, input: data.x, shape, center: center, multiplier: map.multiplier.values,
      meanTerm: meanTerm, slope: slope, activation: activation)
    return result
  }

  @Test(arguments: [Activation.identity, .relu]) func sameBitsAsPassAfterPass(_ activation: Activation) {
    for (i, shape) in Self.shapes.enumerated() {
      let data = Data(shape, seed: UInt64(i))
      for ((set, computes), (_, tinyCache)) in zip(EveryCompute.ofAllThreads, EveryCompute.ofTinyCache) {
        let wanted = passAfterPass(computes[0], data, shape, activation).bits
        for compute in computes + tinyCache {
          let found = compute.trainingPasses(
            data.x, gradOutput: data.gradOutput, scale: data.scale, shift: data.shift, shape, activation: activation,
            Placement.all[i % 4])
          #expect(
            found.bits == wanted, "\(shape) on \(set), \(compute.pool.threadCount) threads, cache \(compute.sharedCacheBytes)")
        }
      }
    }
  }

  /// Output over input, gradient over gradient, and gradients that are added to.
  @Test func inPlaceAndAccumulating() {
    for (i, shape) in (Self.shapes + ChannelShapes.small.filter { $0.outer % 5 == 0 }).enumerated() {
      let data = Data(shape, seed: UInt64(i))
      for (set, computes) in EveryCompute.ofTinyCache {
        let compute = computes[0]
        func passes(before: [Float]? = nil, inPlace: Bool = false) -> BatchNormResults {
          compute.trainingPasses(
            data.x, gradOutput: data.gradOutput, scale: data.scale, shift: nil, shape, activation: .tanh, before: before,
            inPlace: inPlace, Placement.all[(i + 1) % 4])
        }
        let plain = passes()
        #expect(passes(inPlace: true).bits == plain.bits, "\(shape) on \(set)")
        let added = passes(before: data.before).gradInput
        for j in added.indices where abs(added[j] - (plain.gradInput[j] + data.before[j])) > 1e-5 {
          Issue.record("element \(j) of \(shape) on \(set): \(added[j]), not \(plain.gradInput[j] + data.before[j])")
          break
        }
      }
    }
  }

  /// A channel that is done again in Float64, or is not a number, leaves its neighbours' bits alone.
  @Test func badChannelsStayAlone() {
    for shape in [ChannelShape(outer: 300, channels: 640), ChannelShape(outer: 30, channels: 40, inner: 196)] {
      let data = Data(shape, seed: 1)
      var spoiled = data.x
      for i in spoiled.indices {
        switch i / shape.inner % shape.channels {
        case 7: spoiled[i] *= 1e30
        case 30: spoiled[i] = i % 2 == 0 ? .nan : .infinity
        default: break
        }
      }
      for ((set, computes), (_, tinyCache)) in zip(EveryCompute.ofAllThreads, EveryCompute.ofTinyCache) {
        for compute in computes + tinyCache {
          func passes(_ x: [Float]) -> BatchNormResults {
            compute.trainingPasses(x, gradOutput: data.gradOutput, scale: data.scale, shift: data.shift, shape)
          }
          let (clean, found) = (passes(data.x), passes(spoiled))
          for c in 0..<shape.channels where c != 7 && c != 30 {
            #expect(
              found.gradScale[c] == clean.gradScale[c] && found.mean[c] == clean.mean[c], "channel \(c), \(shape), \(set)")
          }
          for i in spoiled.indices {
            switch i / shape.inner % shape.channels {
            case 7 where abs(found.y[i] - clean.y[i]) > 1e-4 || !found.gradInput[i].isFinite,
              30 where found.y[i].isFinite:
              Issue.record("\(i) of \(shape) on \(set): \(found.y[i]) and \(clean.y[i])")
              return
            case 7, 30: break
            default:
              if found.y[i] != clean.y[i] || found.gradInput[i] != clean.gradInput[i] {
                Issue.record("\(i) of \(shape) on \(set): a neighbour was spoiled")
                return
              }
            }
          }
        }
      }
    }
  }
}
