// Convolution and its gradients on every instruction set, against the naive ones in Float64.
import MartletRuntime
import MartletTestSupport
import Testing

@Suite struct ConvolutionTests {
  static func shape(
    _ samples: Int, _ size: (Int, Int), _ channels: (Int, Int), groups: Int = 1, kernel: (Int, Int) = (3, 3),
    stride: (Int, Int) = (1, 1), dilation: (Int, Int) = (1, 1), pads: (Int, Int, Int, Int) = (1, 1, 1, 1)
  ) -> ConvolutionShape {
    ConvolutionShape(
      samples: samples, height: size.0, width: size.1, inChannels: channels.0, outChannels: channels.1, groups: groups,
      kernelHeight: kernel.0, kernelWidth: kernel.1, strideHeight: stride.0, strideWidth: stride.1,
      dilationHeight: dilation.0, dilationWidth: dilation.1, padTop: pads.0, padBottom: pads.1, padLeft: pads.2,
      padRight: pads.3)
  }

  /// What networks use, and corners: pads wider than the kernel, strides past the kernel, rows that no output reads.
  static let shapes: [ConvolutionShape] = [
    shape(2, (8, 8), (16, 16)), shape(3, (7, 7), (33, 64)), shape(1, (5, 5), (1, 10)), shape(2, (9, 6), (3, 33)),
    shape(2, (8, 8), (64, 16), kernel: (1, 1), pads: (0, 0, 0, 0)),
    shape(2, (9, 7), (10, 33), kernel: (1, 1), stride: (2, 2), pads: (0, 0, 0, 0)),
    shape(2, (9, 7), (16, 32), stride: (2, 2)), shape(1, (12, 11), (3, 16), kernel: (7, 7), stride: (2, 2), pads: (3, 3, 3, 3)),
    shape(2, (6, 9), (10, 3), pads: (0, 0, 0, 0)), shape(1, (6, 9), (16, 16), pads: (0, 2, 1, 0)),
    shape(1, (9, 9), (10, 10), kernel: (2, 3), stride: (1, 2), pads: (1, 0, 2, 1)),
    shape(2, (11, 13), (3, 10), dilation: (2, 2), pads: (2, 2, 2, 2)), shape(1, (11, 13), (16, 33), dilation: (1, 3)),
    shape(1, (13, 14), (10, 16), kernel: (3, 2), stride: (2, 3), dilation: (2, 2), pads: (3, 1, 0, 2)),
    shape(1, (12, 12), (3, 3), stride: (2, 4), dilation: (4, 2), pads: (4, 4, 2, 2)),
    shape(1, (4, 4), (3, 16), kernel: (2, 2), pads: (4, 5, 3, 4)), shape(2, (10, 10), (3, 10), kernel: (2, 2), stride: (3, 3)),
    shape(1, (3, 3), (1, 1), pads: (0, 0, 0, 0)), shape(2, (1, 1), (3, 10)), shape(1, (1, 17), (10, 16), kernel: (1, 5)),
    shape(2, (8, 8), (16, 32), groups: 4), shape(2, (7, 7), (12, 6), groups: 3, stride: (2, 2)),
    shape(1, (6, 6), (4, 8), groups: 4), shape(1, (7, 5), (64, 66), groups: 2, kernel: (1, 1), pads: (0, 0, 0, 0)),
    shape(2, (8, 9), (33, 33), groups: 33), shape(2, (9, 8), (16, 16), groups: 16, stride: (2, 2)),
    shape(1, (11, 11), (10, 10), groups: 10, dilation: (2, 3), pads: (2, 1, 0, 3)),
    shape(2, (12, 9), (64, 64), groups: 64, kernel: (5, 4), stride: (1, 3), pads: (2, 2, 2, 2)),
    shape(1, (6, 6), (140, 40), kernel: (3, 3)), shape(1, (5, 5), (200, 20), kernel: (1, 2)),
    shape(1, (60, 60), (64, 3)), shape(40, (4, 4), (64, 16)), shape(9, (40, 30), (3, 16)),
  ]

  @Test(arguments: shapes) func matchesReference(_ shape: ConvolutionShape) {
    for (_, compute) in EveryCompute.ofOneThread { ConvolutionCase(shape: shape).check(compute, seed: 1) }
  }

  @Test(arguments: shapes) func addsToWhatIsThere(_ shape: ConvolutionShape) {
    for (_, compute) in EveryCompute.ofOneThread {
      ConvolutionCase(shape: shape, accumulate: true, tail: true, activation: .relu).check(compute, seed: 2)
    }
  }

  @Test(arguments: Activation.allCases) func tails(_ activation: Activation) {
    for (_, compute) in EveryCompute.ofOneThread {
      for channels in [(3, 10), (16, 33), (16, 16), (64, 64)] {
        ConvolutionCase(shape: Self.shape(2, (6, 7), channels), tail: true, activation: activation).check(compute, seed: 3)
      }
      ConvolutionCase(shape: Self.shape(2, (6, 7), (20, 20), groups: 20), tail: true, activation: activation)
        .check(compute, seed: 3)
    }
  }

  /// Every combination of small sizes.
  @Test(arguments: [1, 3, 10, 16, 33]) func grid(_ channels: Int) {
    for (_, compute) in EveryCompute.ofOneThread {
      for kernel in 1...3 {
        for stride in 1...3 {
          for dilation in 1...2 {
            for pad in 0...2 {
              let shape = Self.shape(
                2, (7, 8), (channels, kernel == 2 ? 10 : 17), kernel: (kernel, 3), stride: (stride, 1 + stride % 2),
                dilation: (dilation, 1), pads: (pad, 0, 1, pad))
              ConvolutionCase(shape: shape).check(compute, seed: 4)
            }
          }
        }
      }
    }
  }

  /// Alone, in a batch, in a workspace for more samples, with any threads: the same bits.
  @Test(arguments: shapes) func aSampleAloneHasItsBitsInABatch(_ shape: ConvolutionShape) {
    for (name, computes) in EveryCompute.ofAllThreads {
      var batch = ConvolutionCase(shape: shape)
      batch.shape.samples = 5
      let o = batch.makeOperands(seed: 5)
      let y = batch.forward(computes[0], o)
      let gradInput = batch.gradInput(computes[0], o)
      let gradWeight = batch.gradWeight(computes[0], o)
      for compute in computes {
        #expect(batch.forward(compute, o, capacity: 9).bits == y.bits, "\(name) \(batch.testDescription)")
        #expect(batch.gradInput(compute, o, capacity: 9).bits == gradInput.bits, "\(name) \(batch.testDescription)")
        #expect(batch.gradWeight(compute, o, capacity: 9).bits == gradWeight.bits, "\(name) \(batch.testDescription)")
      }
      var alone = batch
      alone.shape.samples = 1
      for sample in [0, 3] {
        var part = o
        part.x = Array(o.x[(sample * alone.shape.inputCount)..<((sample + 1) * alone.shape.inputCount)])
        part.gradOutput = Array(o.gradOutput[(sample * alone.shape.outputCount)..<((sample + 1) * alone.shape.outputCount)])
        let outputs = sample * alone.shape.outputCount..<(sample + 1) * alone.shape.outputCount
        let inputs = sample * alone.shape.inputCount..<(sample + 1) * alone.shape.inputCount
        #expect(
          alone.forward(computes[0], part, capacity: 5).bits == Array(y[outputs]).bits, "\(name) \(batch.testDescription)")
        #expect(
          alone.gradInput(computes[0], part, capacity: 5).bits == Array(gradInput[inputs]).bits,
          "\(name) \(batch.testDescription)")
      }
    }
  }

  /// Big enough for several pieces: threads take them in any order.
  @Test(arguments: [
    shape(32, (16, 16), (32, 32)), shape(2, (7, 7), (160, 160)), shape(6, (28, 28), (1, 33)),
    shape(8, (14, 14), (64, 64), groups: 64), shape(8, (14, 14), (64, 48), groups: 4, stride: (2, 2)),
  ])
  func threadsDoNotChangeBits(_ shape: ConvolutionShape) {
    for (name, computes) in EveryCompute.ofAllThreads {
      let test = ConvolutionCase(shape: shape)
      let o = test.makeOperands(seed: 6)
      let results = computes.map { (test.forward($0, o).bits, test.gradInput($0, o).bits, test.gradWeight($0, o).bits) }
      for other in results.dropFirst() { #expect(other == results[0], "\(name) \(test.testDescription)") }
    }
  }

  @Test func aNaNStaysInItsSample() {
    for (name, compute) in EveryCompute.ofOneThread {
      for shape in Self.shapes where shape.samples > 1 {
        let test = ConvolutionCase(shape: shape)
        var o = test.makeOperands(seed: 7)
        let (y, gradInput) = (test.forward(compute, o), test.gradInput(compute, o))
        let (input, output) = (shape.inputCount / shape.samples, shape.outputCount / shape.samples)
        for i in 0..<input { o.x[i] = .nan }
        for i in 0..<output { o.gradOutput[i] = .infinity }
        #expect(
          test.forward(compute, o).dropFirst(output).elementsEqual(y.dropFirst(output)), "\(name) \(test.testDescription)")
        #expect(
          test.gradInput(compute, o).dropFirst(input).elementsEqual(gradInput.dropFirst(input)),
          "\(name) \(test.testDescription)")
      }
    }
  }

  @Test func noSamples() {
    for (_, compute) in EveryCompute.ofOneThread {
      for var shape in Self.shapes {
        shape.samples = 0
        for accumulate in [false, true] {
          let test = ConvolutionCase(shape: shape, accumulate: accumulate)
          let o = test.makeOperands(seed: 8)
          #expect(test.forward(compute, o).isEmpty && test.gradInput(compute, o).isEmpty)
          #expect(
            test.gradWeight(compute, o)
              == (accumulate ? Array(o.initial.prefix(shape.weightCount)) : [Float](repeating: 0, count: shape.weightCount)))
        }
      }
    }
  }
}
