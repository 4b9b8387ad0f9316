// Pooling, upsampling and padding on every instruction set, in guarded memory.
import MartletRuntime
import MartletTestSupport
import ReferenceKernels
import Testing

@Suite final class PoolingTests {
  private var memories: [GuardedBuffer] = []

  /// The values in guarded memory that lives as long as the test.
  private func held(_ values: [Float]) -> UnsafePointer<Float> {
    let memory = GuardedBuffer(values)
    memories.append(memory)
    return UnsafePointer(memory.pointer)
  }

  private static func shape(
    _ samples: Int, _ size: (Int, Int), _ channels: Int, _ kernel: (Int, Int), stride: (Int, Int),
    dilation: (Int, Int) = (1, 1), pads: (Int, Int, Int, Int) = (0, 0, 0, 0)
  ) -> PoolingShape {
    PoolingShape(
      samples: samples, height: size.0, width: size.1, channels: channels, kernelHeight: kernel.0, kernelWidth: kernel.1,
      strideHeight: stride.0, strideWidth: stride.1, dilationHeight: dilation.0, dilationWidth: dilation.1, padTop: pads.0,
      padBottom: pads.1, padLeft: pads.2, padRight: pads.3)
  }

  static let shapes: [PoolingShape] = [
    shape(2, (8, 8), 16, (2, 2), stride: (2, 2)), shape(2, (9, 7), 10, (2, 2), stride: (2, 2)),
    shape(3, (8, 9), 33, (3, 3), stride: (2, 2), pads: (1, 1, 1, 1)), shape(1, (7, 7), 1, (3, 3), stride: (1, 1)),
    shape(1, (7, 6), 3, (3, 2), stride: (1, 1), pads: (1, 0, 0, 1)),
    shape(2, (9, 9), 17, (2, 3), stride: (3, 4), pads: (0, 2, 1, 1)),
    shape(1, (11, 12), 20, (3, 3), stride: (2, 1), dilation: (2, 3), pads: (2, 1, 3, 3)),
    shape(1, (3, 3), 5, (2, 2), stride: (2, 2), pads: (3, 3, 4, 2)), shape(20, (6, 6), 64, (2, 2), stride: (2, 2)),
    shape(2, (30, 30), 130, (3, 3), stride: (2, 2), pads: (1, 1, 1, 1)), shape(1, (5, 4), 16, (5, 4), stride: (1, 1)),
  ]

  private func reference(_ s: PoolingShape) -> ReferencePooling {
    ReferencePooling(
      samples: s.samples, height: s.height, width: s.width, channels: s.channels, kernel: (s.kernelHeight, s.kernelWidth),
      stride: (s.strideHeight, s.strideWidth), dilation: (s.dilationHeight, s.dilationWidth),
      padBefore: (s.padTop, s.padLeft), out: (s.outHeight, s.outWidth))
  }

  /// Whole numbers, so that many values are equal and every sum is exact.
  private func wholeNumbers(_ count: Int, seed: UInt64) -> [Float] {
    var random = TestRandom(seed: seed)
    return (0..<count).map { _ in Float(Int.random(in: -4...4, using: &random)) }
  }

  @Test(arguments: shapes) func maximum(_ s: PoolingShape) {
    let windows = reference(s).windows
    let x = wholeNumbers(s.inputCount, seed: 1)
    let gradient = wholeNumbers(s.outputCount, seed: 2)
    var y: [Float] = []
    var gradInput = [Float](repeating: 0, count: s.inputCount)
    for (window, g) in zip(windows, gradient) {
      var first = window.first
      for i in window where x[i] > x[first!] { first = i }
      y.append(first.map { x[$0] } ?? -.infinity)
      if let first { gradInput[first] += g }
    }
    let initial = wholeNumbers(s.inputCount, seed: 3)
    for (name, computes) in EveryCompute.ofAllThreads {
      for compute in computes {
        let result = GuardedBuffer([Float](repeating: .nan, count: s.outputCount))
        compute.maxPool(held(x), s, into: result.pointer)
        #expect(result.values == y, "\(name) \(s)")
        for accumulate in [false, true] {
          let grad = GuardedBuffer(accumulate ? initial : [Float](repeating: .nan, count: s.inputCount))
          compute.maxPoolGradInput(
            held(gradient), x: held(x), y: result.pointer, s, into: grad.pointer,
            accumulate: accumulate)
          #expect(grad.values == (accumulate ? zip(initial, gradInput).map { $0 + $1 } : gradInput), "\(name) \(s)")
        }
      }
    }
  }

  @Test(arguments: shapes) func maximumOfNaN(_ s: PoolingShape) {
    var x = wholeNumbers(s.inputCount, seed: 4)
    var random = TestRandom(seed: 5)
    for i in x.indices where Int.random(in: 0..<9, using: &random) == 0 { x[i] = .nan }
    let windows = reference(s).windows
    for (name, compute) in EveryCompute.ofOneThread {
      let y = GuardedBuffer(s.outputCount)
      compute.maxPool(held(x), s, into: y.pointer)
      let gradInput = GuardedBuffer(s.inputCount)
      compute.maxPoolGradInput(
        held([Float](repeating: 1, count: s.outputCount)), x: held(x), y: y.pointer, s,
        into: gradInput.pointer)
      var expected = [Float](repeating: 0, count: s.inputCount)
      for (i, window) in windows.enumerated() {
        let nan = window.first { x[$0].isNaN }
        #expect(y.pointer[i].isNaN == (nan != nil), "\(name) \(s)")
        if let first = nan ?? window.first(where: { x[$0] == y.pointer[i] }) { expected[first] += 1 }
      }
      #expect(gradInput.values == expected, "\(name) \(s)")
    }
  }

  @Test(arguments: shapes, [false, true]) func average(_ s: PoolingShape, countIncludesPad: Bool) {
    let windows = reference(s).windows
    let x = wholeNumbers(s.inputCount, seed: 6)
    let gradient = wholeNumbers(s.outputCount, seed: 7)
    let initial = wholeNumbers(s.inputCount, seed: 8)
    let size = s.kernelHeight * s.kernelWidth
    var y: [Float] = []
    var gradInput = [Double](repeating: 0, count: s.inputCount)
    for (window, g) in zip(windows, gradient) {
      let n = countIncludesPad ? size : max(1, window.count)
      y.append(window.reduce(0) { $0 + x[$1] } / Float(n))
      for i in window { gradInput[i] += Double(g) / Double(n) }
    }
    for (name, computes) in EveryCompute.ofAllThreads {
      for compute in computes {
        let result = GuardedBuffer([Float](repeating: .nan, count: s.outputCount))
        compute.averagePool(held(x), s, countIncludesPad: countIncludesPad, into: result.pointer)
        #expect(result.values == y, "\(name) \(s)")
        for accumulate in [false, true] {
          let grad = GuardedBuffer(accumulate ? initial : [Float](repeating: .nan, count: s.inputCount))
          compute.averagePoolGradInput(
            held(gradient), s, countIncludesPad: countIncludesPad, into: grad.pointer, accumulate: accumulate)
          for i in 0..<s.inputCount {
            let expected = gradInput[i] + (accumulate ? Double(initial[i]) : 0)
            // A rounding of each quotient and of each sum, of at most `size` gradients of 4 over 1 or more.
            #expect(
              (Double(grad.pointer[i]) - expected).magnitude
                <= Tolerance.dotProduct(terms: size + 1, magnitude: 4 * Double(size + 1)))
          }
        }
      }
    }
  }

  @Test func globalAverage() {
    for (samples, positions, channels) in [(3, 49, 33), (1, 1, 1), (40, 64, 64), (0, 4, 3)] {
      let x = wholeNumbers(samples * positions * channels, seed: 9)
      let gradient = wholeNumbers(samples * channels, seed: 10)
      for (_, compute) in EveryCompute.ofOneThread {
        let y = GuardedBuffer(samples * channels)
        let workspace = GuardedBuffer(
          (compute.globalAveragePoolWorkspaceByteCount(samples: samples, positions: positions, channels: channels) + 7) / 8 * 2)
        compute.globalAveragePool(
          held(x), samples: samples, positions: positions, channels: channels, into: y.pointer,
          workspace: workspace.pointer)
        let gradInput = GuardedBuffer(x.count)
        compute.globalAveragePoolGradInput(
          held(gradient), samples: samples, positions: positions, channels: channels, into: gradInput.pointer)
        for i in 0..<samples * channels {
          let first = i / channels * positions * channels + i % channels
          let sum = stride(from: first, to: first + positions * channels, by: channels).reduce(Float(0)) { $0 + x[$1] }
          #expect((y.pointer[i] - sum / Float(positions)).magnitude <= 4 * Float(unitRoundoff))
          for p in 0..<positions { #expect(gradInput.pointer[first + p * channels] == gradient[i] / Float(positions)) }
        }
      }
    }
  }

  @Test func upsampling() {
    for (samples, height, width, channels, scale) in [
      (2, 3, 4, 10, (2, 2)), (1, 1, 5, 16, (3, 1)), (17, 2, 2, 33, (1, 1)), (0, 2, 2, 3, (2, 2)),
    ] {
      let (outHeight, outWidth) = (height * scale.0, width * scale.1)
      let x = wholeNumbers(samples * height * width * channels, seed: 11)
      let gradient = wholeNumbers(samples * outHeight * outWidth * channels, seed: 12)
      var y: [Float] = []
      var gradInput = x
      for i in gradient.indices {
        let (c, ow, oh) = (i % channels, i / channels % outWidth, i / channels / outWidth % outHeight)
        let from = ((i / channels / outWidth / outHeight * height + oh / scale.0) * width + ow / scale.1) * channels + c
        y.append(x[from])
        gradInput[from] += gradient[i]
      }
      for (name, compute) in EveryCompute.ofOneThread {
        let result = GuardedBuffer([Float](repeating: .nan, count: gradient.count))
        compute.upsampleNearest(
          held(x), samples: samples, height: height, width: width, channels: channels, scaleHeight: scale.0,
          scaleWidth: scale.1, into: result.pointer)
        #expect(result.values == y, "\(name)")
        let sum = GuardedBuffer(x)
        compute.upsampleNearestGradInput(
          held(gradient), samples: samples, height: height, width: width, channels: channels,
          scaleHeight: scale.0, scaleWidth: scale.1, into: sum.pointer, accumulate: true)
        #expect(sum.values == gradInput, "\(name)")
      }
    }
  }

  @Test func padding() {
    for pads in [(0, 0, 0, 0), (1, 2, 3, 0), (0, 1, 0, 2)] {
      for (samples, channels) in [(2, 10), (1, 33), (0, 3)] {
        let s = PaddingShape(
          samples: samples, height: 4, width: 3, channels: channels, padTop: pads.0, padBottom: pads.1, padLeft: pads.2,
          padRight: pads.3)
        let x = wholeNumbers(samples * 12 * channels, seed: 13)
        let gradient = wholeNumbers(samples * s.outHeight * s.outWidth * channels, seed: 14)
        var y = [Float](repeating: 0, count: gradient.count)
        var gradInput = x
        for i in x.indices {
          let (c, w, h, n) = (i % channels, i / channels % 3, i / channels / 3 % 4, i / channels / 12)
          let at = ((n * s.outHeight + h + pads.0) * s.outWidth + w + pads.2) * channels + c
          y[at] = x[i]
          gradInput[i] += gradient[at]
        }
        for (name, compute) in EveryCompute.ofOneThread {
          let result = GuardedBuffer([Float](repeating: .nan, count: y.count))
          compute.zeroPad(held(x), s, into: result.pointer)
          #expect(result.values == y, "\(name)")
          let sum = GuardedBuffer(x)
          compute.zeroPadGradInput(held(gradient), s, into: sum.pointer, accumulate: true)
          #expect(sum.values == gradInput, "\(name)")
          compute.zeroPadGradInput(held(gradient), s, into: sum.pointer)
          #expect(sum.values == zip(gradInput, x).map { $0 - $1 }, "\(name)")
        }
      }
    }
  }
}
