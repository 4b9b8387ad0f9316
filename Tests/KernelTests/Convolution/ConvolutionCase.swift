// One convolution in guarded memory: forward pass and gradients, compared with the naive ones.
import MartletRuntime
import MartletTestSupport
import ReferenceKernels
import Testing

struct ConvolutionCase: CustomTestStringConvertible {
  var shape: ConvolutionShape
  var accumulate = false
  var tail = false
  var activation = Activation.identity
  var algorithm = ConvolutionAlgorithm.direct

  var testDescription: String {
    let s = shape
    return
      "\(s.samples)×\(s.height)×\(s.width)×\(s.inChannels)→\(s.outChannels), \(s.groups) groups, kernel \(s.kernelHeight)×\(s.kernelWidth), "
      + "stride \(s.strideHeight)×\(s.strideWidth), dilation \(s.dilationHeight)×\(s.dilationWidth), "
      + "pads \(s.padTop) \(s.padBottom) \(s.padLeft) \(s.padRight)\(accumulate ? ", accumulated" : "")\(tail ? ", tail" : "") \(activation)"
  }

  var reference: ReferenceConvolution {
    let s = shape
    return ReferenceConvolution(
      samples: s.samples, height: s.height, width: s.width, inChannels: s.inChannels, outChannels: s.outChannels,
      groups: s.groups, kernel: (s.kernelHeight, s.kernelWidth), stride: (s.strideHeight, s.strideWidth),
      dilation: (s.dilationHeight, s.dilationWidth), padBefore: (s.padTop, s.padLeft), out: (s.outHeight, s.outWidth))
  }

  struct Operands {
    var x: [Float]
    var weights: [Float]
    var gradOutput: [Float]
    var bias: [Float]
    var multiplier: [Float]
    var offset: [Float]
    /// What results are added to.
    var initial: [Float]
  }

  func makeOperands(seed: UInt64) -> Operands {
    var random = TestRandom(seed: seed)
    let s = shape
    return Operands(
      x: random.array(s.inputCount), weights: random.array(s.weightCount), gradOutput: random.array(s.outputCount),
      bias: random.array(s.outChannels), multiplier: random.array(s.outChannels), offset: random.array(s.outChannels),
      initial: random.array(max(s.inputCount, s.weightCount)))
  }

  /// - Parameter capacity: samples the workspace is for.
  func forward(_ compute: Compute, _ o: Operands, capacity: Int? = nil) -> [Float] {
    let packed = GuardedBuffer(compute.convolutionPackedByteCount(shape, algorithm: algorithm) / 4)
    let weights = GuardedBuffer(o.weights)
    compute.packConvolution(weights.pointer, shape, algorithm: algorithm, into: packed.pointer)
    let (x, y) = (GuardedBuffer(o.x), GuardedBuffer([Float](repeating: .nan, count: shape.outputCount)))
    let (bias, multiplier, offset) = (GuardedBuffer(o.bias), GuardedBuffer(o.multiplier), GuardedBuffer(o.offset))
    let workspace = GuardedBuffer(byteCount(capacity) { compute.convolutionWorkspaceByteCount($0, algorithm: algorithm) })
    compute.convolve(
      x.pointer, packed: packed.pointer, shape, algorithm: algorithm,
      tail: tail
        ? MatrixTail(bias: bias.pointer, multiplier: multiplier.pointer, offset: offset.pointer, activation: activation)
        : MatrixTail(activation: activation), into: y.pointer, workspace: workspace.pointer)
    return y.values
  }

  func gradInput(_ compute: Compute, _ o: Operands, capacity: Int? = nil) -> [Float] {
    let (gradOutput, weights) = (GuardedBuffer(o.gradOutput), GuardedBuffer(o.weights))
    let result = GuardedBuffer(
      accumulate ? Array(o.initial.prefix(shape.inputCount)) : [Float](repeating: .nan, count: shape.inputCount))
    let workspace = GuardedBuffer(
      byteCount(capacity) { compute.convolutionGradInputWorkspaceByteCount($0, algorithm: algorithm) })
    compute.convolutionGradInput(
      gradOutput.pointer, weights: weights.pointer, shape, algorithm: algorithm, into: result.pointer, accumulate: accumulate,
      workspace: workspace.pointer)
    return result.values
  }

  func gradWeight(_ compute: Compute, _ o: Operands, capacity: Int? = nil) -> [Float] {
    let (x, gradOutput) = (GuardedBuffer(o.x), GuardedBuffer(o.gradOutput))
    let result = GuardedBuffer(
      accumulate ? Array(o.initial.prefix(shape.weightCount)) : [Float](repeating: .nan, count: shape.weightCount))
    let workspace = GuardedBuffer(byteCount(capacity, compute.convolutionGradWeightWorkspaceByteCount))
    compute.convolutionGradWeight(
      x.pointer, gradOutput: gradOutput.pointer, shape, into: result.pointer, accumulate: accumulate,
      workspace: workspace.pointer)
    return result.values
  }

  private func byteCount(_ capacity: Int?, _ count: (ConvolutionShape) -> Int) -> Int {
    var s = shape
    s.samples = capacity ?? s.samples
    return (count(s) + 3) / 4
  }

  /// Compares everything with Float64.
  func check(_ compute: Compute, seed: UInt64) {
    let o = makeOperands(seed: seed)
    let reference = reference
    checkForward(compute, o, reference.forward(o.x, o.weights))
    let errors = algorithm == .winograd ? winogradErrors(o.gradOutput, o.weights, isBackward: true) : nil
    checkSums("gradInput", compute, gradInput(compute, o), reference.gradInput(o.gradOutput, o.weights), o, errors: errors)
    checkSums("gradWeight", compute, gradWeight(compute, o), reference.gradWeight(o.x, o.gradOutput), o)
  }

  private func checkForward(_ compute: Compute, _ o: Operands, _ sums: ReferenceConvolution.Sums) {
    let y = forward(compute, o)
    let winogradErrors = algorithm == .winograd ? winogradErrors(o.x, o.weights) : nil
    for i in y.indices {
      let c = i % shape.outChannels
      let error = winogradErrors?[c] ?? Tolerance.dotProduct(terms: sums.terms[i], magnitude: sums.magnitudes[i])
      let (b, m, f) = tail ? (Double(o.bias[c]), Double(o.multiplier[c]), Double(o.offset[c])) : (0, 1, 0)
      let hasTail = tail || activation != .identity
      let expected = hasTail ? activation.reference((sums.values[i] + b) * m + f) : sums.values[i]
      let tolerance =
        hasTail ? Tolerance.productTail(error: error, value: sums.values[i], bias: b, multiplier: m, offset: f) : error
      if !((Double(y[i]) - expected).magnitude <= tolerance) {
        Issue.record("\(testDescription), \(compute.kernels.name): y[\(i)] is \(y[i]), not \(expected)")
        return
      }
    }
  }

  private func checkSums(
    _ what: String, _ compute: Compute, _ result: [Float], _ sums: ReferenceConvolution.Sums, _ o: Operands,
    errors: [Double]? = nil
  ) {
    for i in result.indices {
      let start = accumulate ? Double(o.initial[i]) : 0
      let tolerance =
        errors.map { $0[i % $0.count] + 2 * unitRoundoff * start.magnitude }
        ?? Tolerance.dotProduct(terms: sums.terms[i] + 1, magnitude: sums.magnitudes[i] + start.magnitude)
      if !((Double(result[i]) - sums.values[i] - start).magnitude <= tolerance) {
        Issue.record(
          "\(testDescription), \(compute.kernels.name): \(what)[\(i)] is \(result[i]), not \(sums.values[i] + start)")
        return
      }
    }
  }

  /// Of each channel of the result, for any position: `isBackward` means the gradient of the input.
  func winogradErrors(_ x: [Float], _ weights: [Float], isBackward: Bool = false) -> [Double] {
    let (read, written) = isBackward ? (shape.outChannels, shape.inChannels) : (shape.inChannels, shape.outChannels)
    var largest = [Double](repeating: 0, count: read)
    for (i, value) in x.enumerated() { largest[i % read] = max(largest[i % read], Double(value.magnitude)) }
    var magnitudes = [Double](repeating: 0, count: written)
    for (i, weight) in weights.enumerated() {
      let (o, c) = (i / 9 / shape.inChannels, i / 9 % shape.inChannels)
      magnitudes[isBackward ? c : o] += Double(weight.magnitude) * largest[isBackward ? o : c]
    }
    return magnitudes.map { Tolerance.winograd(channels: read, magnitude: $0) }
  }
}
