import MartletTestSupport
import ReferenceKernels
import Testing

@testable import MartletRuntime

/// Moments that a product or a convolution gathers as it writes, and batch norm with them: as exact as moments of the finished output.
@Suite struct OutputMomentsTests {
  /// What batch norm made of an operation's output with the moments gathered there.
  struct Outcome {
    var output: [Float]
    var chunks: Int
    var mean: [Double]
    var variance: [Double]
    var normalised: [Float]

    var bits: [[UInt64]] {
      [output.map { UInt64($0.bitPattern) }, mean.map(\.bitPattern), variance.map(\.bitPattern)]
        + [normalised.map { UInt64($0.bitPattern) }]
    }
  }

  static func outcome(
    _ compute: Compute, rows: Int, channels: Int, momentsByteCount: Int, shift: [Float]? = nil,
    _ write: (_ y: UnsafeMutablePointer<Float>, _ moments: UnsafeMutableRawPointer) -> Void
  ) -> Outcome {
    let shape = ChannelShape(outer: rows, channels: channels)
    let y = GuardedBuffer([Float](repeating: .nan, count: rows * channels))
    let normalised = GuardedBuffer(rows * channels)
    let moments = GuardedBuffer([Float](repeating: .nan, count: (momentsByteCount + 3) / 4))
    let workspace = GuardedBuffer((compute.channelWorkspaceByteCount(shape) + 3) / 4)
    let contextMemory = GuardedBuffer(BatchNormContext.byteCount(channels: channels) / 4)
    let context = BatchNormContext(UnsafeMutableRawPointer(contextMemory.pointer), channels: channels)
    let shifts = GuardedBuffer(shift ?? [])
    return withExtendedLifetime((y, normalised, moments, workspace, contextMemory, shifts)) {
      write(y.pointer, moments.pointer)
      let output = y.values
      compute.normalizeBatch(
        y.pointer, shape, context, epsilon: 1e-5, ScaleShift(shift: shift == nil ? nil : UnsafePointer(shifts.pointer)),
        activation: .identity, moments: UnsafeMutableRawPointer(moments.pointer), into: normalised.pointer,
        workspace: workspace.pointer)
      func array(_ values: UnsafeMutablePointer<Double>) -> [Double] { (0..<channels).map { values[$0] } }
      return Outcome(
        output: output, chunks: OutputMoments(moments.pointer, channels: channels).chunks, mean: array(context.mean),
        variance: array(context.variance), normalised: normalised.values)
    }
  }

  /// A plan passes no memory where the largest batch's moments are not gathered; here the smaller one's room, or that of the header.
  private static func momentsByteCount(_ largest: Int, _ own: Int) -> Int { largest > 0 ? largest : max(own, 1024) }

  static func product(
    _ compute: Compute, rows: Int, columns: Int, depth: Int, a: [Float], b: [Float], capacity: Int? = nil, packed: Bool = false
  ) -> Outcome {
    let (left, right) = (GuardedBuffer(a), GuardedBuffer(b))
    let most = capacity ?? rows
    let bytes =
      packed
      ? compute.packedMultiplyWorkspaceByteCount(rows: most, columns: columns, depth: depth)
      : compute.multiplyWorkspaceByteCount(rows: most, columns: columns, depth: depth)
    let workspace = GuardedBuffer((bytes + 3) / 4)
    let panels = GuardedBuffer(compute.packedByteCount(columns: columns, depth: depth) / 4)
    let view = MatrixView(right.pointer, rowStride: columns, columnStride: 1)
    compute.pack(view, columns: columns, depth: depth, into: panels.pointer)
    return outcome(
      compute, rows: rows, channels: columns,
      momentsByteCount: momentsByteCount(
        compute.multiplyMomentsByteCount(rows: most, columns: columns, depth: depth),
        compute.multiplyMomentsByteCount(rows: rows, columns: columns, depth: depth))
    ) { y, moments in
      let input = MatrixView(left.pointer, rowStride: depth, columnStride: 1)
      if packed {
        compute.multiply(
          rows: rows, input, PackedMatrix(panels: panels.pointer, columns: columns, depth: depth), into: y, rowStride: columns,
          workspace: workspace.pointer, moments: moments)
      } else {
        compute.multiply(
          rows: rows, columns: columns, depth: depth, input, view, into: y, rowStride: columns, workspace: workspace.pointer,
          moments: moments)
      }
    }
  }

  static func convolution(
    _ compute: Compute, _ shape: ConvolutionShape, algorithm: ConvolutionAlgorithm = .automatic, x: [Float], weights: [Float],
    bias: [Float]? = nil, shift: [Float]? = nil, capacity: Int? = nil
  ) -> Outcome {
    var largest = shape
    largest.samples = capacity ?? shape.samples
    let packed = GuardedBuffer(compute.convolutionPackedByteCount(shape, algorithm: algorithm) / 4)
    let (filters, input, biases) = (GuardedBuffer(weights), GuardedBuffer(x), GuardedBuffer(bias ?? []))
    compute.packConvolution(filters.pointer, shape, algorithm: algorithm, into: packed.pointer)
    let workspace = GuardedBuffer((compute.convolutionWorkspaceByteCount(largest, algorithm: algorithm) + 3) / 4)
    return outcome(
      compute, rows: shape.outputCount / shape.outChannels, channels: shape.outChannels,
      momentsByteCount: momentsByteCount(
        compute.convolutionMomentsByteCount(largest, algorithm: algorithm),
        compute.convolutionMomentsByteCount(shape, algorithm: algorithm)), shift: shift
    ) { y, moments in
      compute.convolve(
        input.pointer, packed: packed.pointer, shape, algorithm: algorithm,
        tail: MatrixTail(bias: bias == nil ? nil : UnsafePointer(biases.pointer)), into: y, workspace: workspace.pointer,
        moments: moments)
    }
  }

  /// Against Float64 moments of what was written.
  private func check(_ outcome: Outcome, channels: Int, _ what: String) {
    let reference = ChannelReference(outer: outcome.output.count / channels, channels: channels, inner: 1)
    let (mean, variance) = reference.moments(outcome.output)
    let largest = outcome.output.reduce(0) { max($0, Double($1.magnitude)) }
    let values = outcome.output.count / channels
    for c in 0..<channels {
      let meanBound = Tolerance.mean(deviation: variance[c].squareRoot(), largest: largest, values: values)
      let varianceBound = Tolerance.variance(variance[c], largest: largest, values: values)
      guard (outcome.mean[c] - mean[c]).magnitude <= meanBound, (outcome.variance[c] - variance[c]).magnitude <= varianceBound
      else {
        Issue.record(
          "\(what), channel \(c): mean \(outcome.mean[c]), variance \(outcome.variance[c]), not \(mean[c]), \(variance[c])")
        return
      }
    }
    // Tolerance.normalised is for outputs below 6.
    guard outcome.normalised.allSatisfy({ $0.magnitude < 6 }) else { return }
    let wanted = reference.normalised(
      outcome.output, mean: mean, variance: variance, epsilon: 1e-5, scale: nil, shift: nil)
    #expect(Reference.largestDifference(outcome.normalised, wanted) <= Tolerance.normalised, "\(what)")
  }

  @Test(arguments: [
    (rows: 2, columns: 3, depth: 5), (60, 100, 784), (61, 10, 33), (256, 1024, 64), (600, 33, 20), (1100, 520, 40),
    (2000, 7, 9),
    (5000, 96, 16), (20_000, 16, 30),
  ]) func products(rows: Int, columns: Int, depth: Int) {
    var random = TestRandom(seed: 71)
    let (a, b) = (random.array(rows * depth), random.array(depth * columns))
    for (name, computes) in EveryCompute.ofAllThreads {
      for packed in [false, true] {
        let first = Self.product(computes[0], rows: rows, columns: columns, depth: depth, a: a, b: b, packed: packed)
        // Columns cut into parts narrower than a vector are left to batch norm.
        #expect(first.chunks > 0 || columns > 16, "\(name) \(rows)×\(columns)")
        check(first, channels: columns, "\(name) \(rows)×\(columns), packed \(packed)")
        for compute in computes.dropFirst() {
          let other = Self.product(
            compute, rows: rows, columns: columns, depth: depth, a: a, b: b, capacity: rows * 2 + 3, packed: packed)
          #expect(other.bits == first.bits, "\(name) \(rows)×\(columns), packed \(packed)")
        }
      }
    }
  }

  static let shapes: [(ConvolutionShape, ConvolutionAlgorithm)] = {
    func shape(
      _ samples: Int, _ size: (Int, Int), _ channels: (Int, Int), groups: Int = 1, kernel: (Int, Int) = (3, 3),
      stride: (Int, Int) = (1, 1), pads: (Int, Int, Int, Int) = (1, 1, 1, 1)
    ) -> ConvolutionShape {
      ConvolutionTests.shape(samples, size, channels, groups: groups, kernel: kernel, stride: stride, pads: pads)
    }
    let usual = [
      shape(20, (32, 32), (3, 16)), shape(40, (16, 16), (16, 32), stride: (2, 2)), shape(3, (7, 7), (33, 64)),
      shape(2, (50, 41), (4, 10)), shape(9, (13, 12), (20, 40), groups: 2),
      shape(30, (10, 10), (64, 48), kernel: (1, 1), pads: (0, 0, 0, 0)),
      shape(12, (20, 20), (33, 33), groups: 33), shape(100, (1, 40), (8, 24), kernel: (1, 5), pads: (0, 0, 2, 2)),
      shape(1, (5, 5), (1, 1)), shape(2, (6, 6), (40, 300)),
    ]
    let winograd = [
      shape(20, (16, 16), (32, 32)), shape(3, (31, 18), (33, 80)), shape(5, (7, 7), (64, 65)), shape(2, (56, 56), (64, 64)),
      shape(1, (3, 500), (16, 16)), shape(40, (4, 4), (128, 512)),
    ]
    return usual.map { ($0, .direct) } + winograd.map { ($0, .winograd) }
  }()

  @Test(arguments: shapes) func convolutions(_ shape: ConvolutionShape, _ algorithm: ConvolutionAlgorithm) {
    var random = TestRandom(seed: 72)
    let x = random.array(shape.inputCount)
    let weights = random.array(shape.weightCount)
    let bias = random.array(shape.outChannels, -3...3)
    for (name, computes) in EveryCompute.ofAllThreads {
      let what = "\(name) \(ConvolutionCase(shape: shape, algorithm: algorithm).testDescription)"
      let first = Self.convolution(computes[0], shape, algorithm: algorithm, x: x, weights: weights, bias: bias)
      check(first, channels: shape.outChannels, what)
      // A row of more tiles than a block holds is left to batch norm.
      if shape.width < 500, shape.outChannels <= 32 { #expect(first.chunks > 0, "\(what)") }
      for compute in computes.dropFirst() {
        let other = Self.convolution(
          compute, shape, algorithm: algorithm, x: x, weights: weights, bias: bias, capacity: 3 * shape.samples + 1)
        #expect(other.bits == first.bits, "\(what)")
      }
    }
  }

  /// A depthwise convolution with one tap of weight 1 writes its input.
  private func copied(_ compute: Compute, _ x: [Float], channels: Int, shift: [Float]? = nil) -> Outcome {
    let values = x.count / channels
    let shape = ConvolutionTests.shape(
      values / 256, (16, 16), (channels, channels), groups: channels, kernel: (1, 1), pads: (0, 0, 0, 0))
    return Self.convolution(
      compute, shape, x: x, weights: [Float](repeating: 1, count: channels), shift: shift)
  }

  /// The library's promise, as in NumericalTruthTests.
  @Test(arguments: NumericalTruthTests.distributions) func truth(_ distribution: NumericalTruthTests.Distribution) {
    for values in [1024, 16_384, 262_144] {
      let reference = ChannelReference(outer: values, channels: 8, inner: 1)
      let x = Reference.normal(reference.count, seed: 1, mean: distribution.mean, deviation: distribution.deviation)
      let (mean, variance) = reference.moments(x)
      let wanted = reference.normalised(x, mean: mean, variance: variance, epsilon: 1e-5, scale: nil, shift: nil)
      for (set, compute) in EveryCompute.ofOneThread {
        let outcome = copied(compute, x, channels: 8)
        #expect(outcome.chunks > 0 && outcome.output.bits == x.bits)
        let error = Reference.largestDifference(outcome.normalised, wanted)
        #expect(error <= Tolerance.normalised, "\(distribution.name), \(values) on \(set): \(error)")
      }
    }
  }

  /// Sorted data: each block has a mean of its own, far from the others'.
  @Test func aTrend() {
    let x = (0..<65_536 * 8).map { Float($0 / 8) * 0.01 - 17 }
    for (set, compute) in EveryCompute.ofOneThread { check(copied(compute, x, channels: 8), channels: 8, "trend on \(set)") }
  }

  /// Far outliers make the pivot useless: those channels are done again in Float64.
  @Test func outliers() {
    var x = Reference.normal(4096 * 8, seed: 3, mean: 0, deviation: 1)
    for i in 0..<8 { x[i] = 1e6 * Float(i) }
    for (set, compute) in EveryCompute.ofOneThread { check(copied(compute, x, channels: 8), channels: 8, "outliers on \(set)") }
  }

  @Test(arguments: [Float(100.1), 0, -1.7e9, 1e30]) func constantChannelYieldsShift(_ constant: Float) {
    let shift = (0..<8).map { Float($0) / 7 - 0.4 }
    for (set, compute) in EveryCompute.ofOneThread {
      let outcome = copied(compute, [Float](repeating: constant, count: 4096 * 8), channels: 8, shift: shift)
      #expect(outcome.chunks > 0 && outcome.variance == [Double](repeating: 0, count: 8))
      #expect(outcome.normalised.indices.allSatisfy { outcome.normalised[$0] == shift[$0 % 8] }, "\(constant) on \(set)")
    }
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity]) func spoiltChannelsAreAlone(_ value: Float) {
    var x = Reference.normal(8192 * 8, seed: 4, mean: 1, deviation: 2)
    let clean = x
    x[5000 * 8 + 3] = value
    for (set, compute) in EveryCompute.ofOneThread {
      let (spoilt, right) = (copied(compute, x, channels: 8), copied(compute, clean, channels: 8))
      #expect(spoilt.variance[3].isNaN && !spoilt.mean[3].isFinite, "\(value) on \(set)")
      for c in 0..<8 where c != 3 {
        #expect(spoilt.mean[c] == right.mean[c] && spoilt.variance[c] == right.variance[c], "\(value) on \(set)")
      }
    }
  }

  /// ±1e30 and denormals.
  @Test(arguments: [Float(1e30), 1e-39]) func extremes(_ size: Float) {
    let x = (0..<4096 * 8).map { $0 / 8 % 2 == 0 ? size : -size }
    for (set, compute) in EveryCompute.ofOneThread {
      let outcome = copied(compute, x, channels: 8)
      let wanted = Double(size) * Double(size)
      #expect(outcome.mean.allSatisfy { $0 == 0 }, "\(set)")
      #expect(outcome.variance.allSatisfy { ($0 / wanted - 1).magnitude <= 1e-12 }, "\(size) on \(set)")
    }
  }
}
