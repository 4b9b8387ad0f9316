// Winograd's algorithm against the definition in Float64.
import MartletRuntime
import MartletTestSupport
import Testing

@Suite struct WinogradTests {
  private static func shape(
    _ samples: Int, _ size: (Int, Int), _ channels: (Int, Int), pads: (Int, Int, Int, Int) = (1, 1, 1, 1)
  ) -> ConvolutionShape { ConvolutionTests.shape(samples, size, channels, pads: pads) }

  static let shapes: [ConvolutionShape] = [
    shape(2, (8, 8), (16, 16)), shape(3, (7, 7), (33, 64)), shape(1, (5, 6), (64, 10)), shape(2, (9, 4), (3, 33)),
    shape(2, (6, 9), (10, 3), pads: (0, 0, 0, 0)), shape(1, (6, 9), (16, 16), pads: (0, 2, 1, 0)),
    shape(1, (3, 3), (1, 1), pads: (0, 0, 0, 0)), shape(2, (1, 1), (3, 10)), shape(1, (4, 5), (16, 33), pads: (3, 4, 5, 2)),
    shape(40, (4, 4), (64, 16)), shape(1, (10, 10), (40, 48)), shape(1, (4, 4), (600, 20)), shape(3, (31, 18), (16, 32)),
  ]

  @Test(arguments: shapes) func matchesReference(_ shape: ConvolutionShape) {
    for (_, compute) in EveryCompute.ofOneThread {
      ConvolutionCase(shape: shape, algorithm: .winograd).check(compute, seed: 21)
      ConvolutionCase(shape: shape, accumulate: true, tail: true, activation: .relu, algorithm: .winograd).check(
        compute, seed: 22)
    }
  }

  @Test(arguments: shapes) func aSampleAloneHasItsBitsInABatch(_ shape: ConvolutionShape) {
    for (name, computes) in EveryCompute.ofAllThreads {
      var batch = ConvolutionCase(shape: shape, algorithm: .winograd)
      batch.shape.samples = 5
      let o = batch.makeOperands(seed: 23)
      let (y, gradInput) = (batch.forward(computes[0], o), batch.gradInput(computes[0], o))
      for compute in computes {
        #expect(batch.forward(compute, o, capacity: 9).bits == y.bits, "\(name) \(batch.testDescription)")
        #expect(batch.gradInput(compute, o, capacity: 9).bits == gradInput.bits, "\(name) \(batch.testDescription)")
      }
      var alone = batch
      alone.shape.samples = 1
      let (inputs, outputs) = (alone.shape.inputCount, alone.shape.outputCount)
      var part = o
      part.x = Array(o.x[3 * inputs..<4 * inputs])
      part.gradOutput = Array(o.gradOutput[3 * outputs..<4 * outputs])
      #expect(alone.forward(computes[0], part, capacity: 5).bits == Array(y[3 * outputs..<4 * outputs]).bits, "\(name)")
      #expect(alone.gradInput(computes[0], part, capacity: 5).bits == Array(gradInput[3 * inputs..<4 * inputs]).bits, "\(name)")
    }
  }

  @Test(arguments: [shape(32, (16, 16), (32, 32)), shape(2, (7, 7), (160, 160))])
  func threadsDoNotChangeBits(_ shape: ConvolutionShape) {
    for (name, computes) in EveryCompute.ofAllThreads {
      let test = ConvolutionCase(shape: shape, algorithm: .winograd)
      let o = test.makeOperands(seed: 24)
      let results = computes.map { (test.forward($0, o).bits, test.gradInput($0, o).bits) }
      for other in results.dropFirst() { #expect(other == results[0], "\(name) \(test.testDescription)") }
    }
  }

  @Test func aNaNStaysInItsSample() {
    for (name, compute) in EveryCompute.ofOneThread {
      let test = ConvolutionCase(shape: Self.shape(3, (7, 7), (33, 64)), algorithm: .winograd)
      var o = test.makeOperands(seed: 25)
      let y = test.forward(compute, o)
      let (input, output) = (test.shape.inputCount / 3, test.shape.outputCount / 3)
      for i in 0..<input { o.x[i] = .nan }
      #expect(test.forward(compute, o).dropFirst(output).elementsEqual(y.dropFirst(output)), "\(name)")
    }
  }

  /// The choice is Winograd's for wide 3×3 layers, never for others, and nothing of it shows in the calls.
  @Test func automaticIsOneOfTheTwo() {
    for (_, compute) in EveryCompute.ofOneThread {
      for (channels, isWinograd) in [(64, true), (16, true), (15, false)] {
        let shape = Self.shape(2, (8, 8), (channels, channels))
        var test = ConvolutionCase(shape: shape)
        let o = test.makeOperands(seed: 26)
        let direct = test.forward(compute, o)
        test.algorithm = .winograd
        let winograd = test.forward(compute, o)
        test.algorithm = .automatic
        #expect(direct != winograd)
        #expect(test.forward(compute, o) == (isWinograd ? winograd : direct))
      }
    }
  }

  /// What docs/numerics.md says of real errors: below a hundredth of the bound, and below that of the direct sum. Values of one sign leave
  /// nothing to cancel in the sums over channels, and most in the transforms.
  @Test(arguments: [16, 32, 64, 160], [-1...1, 0...1] as [ClosedRange<Float>])
  func errorsAreFarBelowTheBound(_ channels: Int, _ range: ClosedRange<Float>) {
    for (name, compute) in EveryCompute.ofOneThread {
      let test = ConvolutionCase(shape: Self.shape(2, (10, 10), (channels, 32)), algorithm: .winograd)
      var random = TestRandom(seed: 28)
      var o = test.makeOperands(seed: 28)
      o.x = random.array(o.x.count, range)
      o.weights = random.array(o.weights.count, range)
      let (y, sums) = (test.forward(compute, o), test.reference.forward(o.x, o.weights))
      let bounds = test.winogradErrors(o.x, o.weights)
      for i in y.indices {
        let error = (Double(y[i]) - sums.values[i]).magnitude
        let direct = Tolerance.dotProduct(terms: sums.terms[i], magnitude: sums.magnitudes[i])
        #expect(error <= min(bounds[i % 32] / 100, direct), "\(name), \(channels) channels: y[\(i)]")
      }
    }
  }

  @Test func noSamples() {
    for (_, compute) in EveryCompute.ofOneThread {
      let test = ConvolutionCase(shape: Self.shape(0, (8, 8), (64, 64)), algorithm: .winograd)
      let o = test.makeOperands(seed: 27)
      #expect(test.forward(compute, o).isEmpty && test.gradInput(compute, o).isEmpty)
    }
  }
}
