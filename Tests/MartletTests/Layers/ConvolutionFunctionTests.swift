import MartletRuntime
import MartletTestSupport
import ReferenceKernels
import Testing

@testable import Martlet

/// The convolution as a plain function on anybody's arrays.
@Suite struct ConvolutionFunctionTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var x: [Int]
    var weight: [Int]
    var function = ConvolutionFunction()
    var hasBias = true
    var testDescription: String { "\(x) * \(weight), \(function)" }

    /// Every way the operations take: products, taps, phases of strides, groups, depthwise, Winograd's.
    static let all: [Case] = [
      Case(x: [2, 3, 4, 5], weight: [7, 5, 1, 1]),
      Case(x: [2, 5, 4, 2], weight: [3, 2, 3, 3]),
      Case(x: [3, 4, 5, 3], weight: [17, 3, 3, 3], function: ConvolutionFunction(padding: .same), hasBias: false),
      Case(
        x: [2, 6, 5, 2], weight: [3, 2, 3, 2],
        function: ConvolutionFunction(strides: Extent2D(2, 3), padding: .explicit(top: 0, bottom: 1, left: 2, right: 1))),
      Case(x: [2, 7, 8, 2], weight: [3, 2, 3, 3], function: ConvolutionFunction(padding: .all(2), dilation: Extent2D(2, 3))),
      Case(x: [2, 7, 7, 4], weight: [6, 4, 1, 1], function: ConvolutionFunction(strides: 2), hasBias: false),
      Case(x: [2, 4, 4, 4], weight: [6, 2, 3, 3], function: ConvolutionFunction(padding: .all(1), groups: 2)),
      Case(x: [2, 5, 5, 5], weight: [5, 1, 3, 3], function: ConvolutionFunction(strides: 2, padding: .same, groups: 5)),
      Case(x: [2, 6, 7, 32], weight: [33, 32, 3, 3], function: ConvolutionFunction(padding: .same)),
      Case(x: [2, 6, 7, 32], weight: [32, 32, 3, 3], function: ConvolutionFunction(padding: .same, algorithm: .direct)),
      Case(x: [1, 5, 4, 3], weight: [2, 3, 3, 3], function: ConvolutionFunction(algorithm: .winograd)),
    ]

    func tensors() throws -> (x: Tensor, weight: Tensor, bias: Tensor?, grad: Tensor) {
      (
        try randomTensor(x, seed: 1, -1.5...1.5), try randomTensor(weight, seed: 2),
        hasBias ? try randomTensor([weight[0]], seed: 3) : nil,
        try randomTensor(function.outputShape(x: x, weight: weight), seed: 4)
      )
    }
  }

  private func convolve(
    _ function: ConvolutionFunction, _ x: Tensor, _ weight: Tensor, _ bias: Tensor?, on compute: Compute? = nil
  ) throws -> Tensor {
    // Not zero before: everything is written.
    let shape = try function.outputShape(x: x.shape, weight: weight.shape)
    let y = try Tensor([Float](repeating: .nan, count: shape.reduce(1, *)), shape: shape)
    try function.convolve(
      x.view("x"), weight: weight.view("weight"), bias: bias?.view("bias"), into: y.view("y"), on: compute ?? .shared)
    return withExtendedLifetime((x, weight, bias)) { y }
  }

  private func gradients(
    _ function: ConvolutionFunction, _ x: Tensor, _ weight: Tensor, _ grad: Tensor, on compute: Compute? = nil
  ) throws -> (input: Tensor, weight: Tensor, bias: Tensor) {
    func unwritten(_ shape: [Int]) throws -> Tensor {
      try Tensor([Float](repeating: .nan, count: shape.reduce(1, *)), shape: shape)
    }
    let results = try (unwritten(x.shape), unwritten(weight.shape), unwritten([weight.shape[0]]))
    try function.gradients(
      x.view("x"), weight: weight.view("weight"), gradOutput: grad.view("grad_output"),
      into: ConvolutionFunction.Gradients(input: results.0.view(), weight: results.1.view(), bias: results.2.view()),
      on: compute ?? .shared)
    return withExtendedLifetime((x, weight, grad)) { results }
  }

  /// The bits of the layer, forward and backward.
  @Test(arguments: Case.all) func asTheLayer(_ item: Case) throws {
    let (x, weight, bias, grad) = try item.tensors()
    let f = item.function
    let layer = Conv2D(
      item.weight[0], kernelSize: Extent2D(item.weight[2], item.weight[3]), strides: f.strides, padding: f.padding,
      dilation: f.dilation, groups: f.groups, bias: item.hasBias, algorithm: f.algorithm)
    let model = try Model.sequential([layer], inputShape: Array(item.x.dropFirst()))
    try model.variable(named: "0.weight").set(weight.values)
    if let bias { try model.variable(named: "0.bias").set(bias.values) }
    let want = try model.forward(x, training: true)
    let y = try convolve(f, x, weight, bias)
    #expect(y.shape == want.shape && y.bits == want.bits)
    let found = try gradients(f, x, weight, grad)
    #expect(try found.input.bits == model.backward(grad).bits)
    #expect(try found.weight.bits == model.variable(named: "0.weight").gradientValues.bits)
    if item.hasBias { #expect(try found.bias.bits == model.variable(named: "0.bias").gradientValues.bits) }
  }

  /// The definition in Float64, and its gradients by differences.
  @Test(arguments: Case.all) func asTheDefinition(_ item: Case) throws {
    let (x, weight, bias, grad) = try item.tensors()
    let (f, size) = (item.function, Extent2D(item.weight[2], item.weight[3]))
    let window = try Window2D(
      WindowNames(kind: "conv2d"), on: Array(item.x.dropFirst()), size: size, strides: f.strides, dilation: f.dilation,
      padding: f.padding)
    func want(_ x: [Double], _ weight: [Double], _ bias: [Double]) -> [Double] {
      NaiveImages.convolution(x, window, filters: item.weight[0], groups: f.groups, weight: weight, bias: bias)
    }
    let biases = bias?.doubles ?? [Double](repeating: 0, count: item.weight[0])
    let terms = item.weight[1] * item.weight[2] * item.weight[3]
    let tolerance = Tolerance.network(depth: 1, terms: terms * 4, magnitude: Double(terms) * 1.5 + 1)
    let y = try convolve(f, x, weight, bias)
    expectClose(y.values, want(x.doubles, weight.doubles, biases), within: tolerance)
    // Large ones have the layer's bits, which it checks; differences of thousands of values take long.
    guard x.count * y.count < 100_000 else { return }
    let found = try gradients(f, x, weight, grad)
    func loss(_ x: [Double], _ weight: [Double], _ bias: [Double]) -> Double {
      Reference.dot(want(x, weight, bias), grad.doubles)
    }
    let (dx, dw, db) = (
      GradientCheck.differences(at: x.doubles) { loss($0, weight.doubles, biases) },
      GradientCheck.differences(at: weight.doubles) { loss(x.doubles, $0, biases) },
      GradientCheck.differences(at: biases) { loss(x.doubles, weight.doubles, $0) }
    )
    let magnitude = max(largest(dx), largest(dw), largest(db)) + 1
    let allowed = Tolerance.network(depth: 2, terms: max(terms * 4, y.count), magnitude: magnitude)
    #expect(GradientCheck.mismatch(found.input.doubles, dx, tolerance: allowed) == nil)
    #expect(GradientCheck.mismatch(found.weight.doubles, dw, tolerance: allowed) == nil)
    #expect(GradientCheck.mismatch(found.bias.doubles, db, tolerance: allowed) == nil)
  }

  /// From strided or converted memory: the bits of contiguous Float32; and each gradient alone.
  @Test func memory() throws {
    let item = Case.all[1]
    let (x, weight, bias, grad) = try item.tensors()
    let f = item.function
    let want = try convolve(f, x, weight, bias)
    let all = try gradients(f, x, weight, grad)
    // Images upside down, and doubles.
    let step = 4 * 2
    let upright = try Tensor(
      copying: ArrayView(x.storage.base + 4 * 4 * step, .float32, shape: item.x, strides: [40, -step, 2, 1]))
    let turned = try ArrayView(upright.storage.base + 4 * 4 * step, .float32, shape: item.x, strides: [40, -step, 2, 1])
    var doubles = weight.doubles
    let y = try Tensor(shape: want.shape)
    try doubles.withUnsafeMutableBytes { bytes in
      let filters = try ArrayView(bytes.baseAddress, .float64, shape: item.weight)
      try f.convolve(turned, weight: filters, bias: bias?.view(), into: y.view())
      #expect(y == want)
      let (dx, dw, db) = try (Tensor(shape: item.x), Tensor(shape: item.weight), Tensor(shape: [item.weight[0]]))
      for gradients in [
        ConvolutionFunction.Gradients(input: try dx.view()), ConvolutionFunction.Gradients(weight: try dw.view()),
        ConvolutionFunction.Gradients(bias: try db.view()), ConvolutionFunction.Gradients(),
      ] {
        try f.gradients(turned, weight: filters, gradOutput: grad.view(), into: gradients)
      }
      #expect(dx == all.input && dw == all.weight && db == all.bias)
    }
    withExtendedLifetime((x, upright, bias, grad)) {}
  }

  /// An image alone has the bits it has in its batch.
  @Test func oneImage() throws {
    for item in Case.all {
      let (x, weight, bias, _) = try item.tensors()
      let y = try convolve(item.function, x, weight, bias)
      #expect(try convolve(item.function, x.rows(0..<1), weight, bias).bits == y.rows(0..<1).bits)
    }
  }

  /// With 1, 2 and 5 threads, forward and all gradients. Images of several pieces, by every way the operations take.
  @Test(arguments: [
    Case(x: [9, 14, 13, 24], weight: [40, 24, 1, 1]),
    Case(x: [5, 17, 16, 16], weight: [20, 16, 3, 3], function: ConvolutionFunction(padding: .same, algorithm: .direct)),
    Case(x: [5, 17, 16, 16], weight: [20, 16, 3, 3], function: ConvolutionFunction(strides: 2, padding: .all(1))),
    Case(x: [5, 17, 16, 16], weight: [16, 1, 3, 3], function: ConvolutionFunction(padding: .same, groups: 16)),
    Case(x: [5, 17, 16, 36], weight: [34, 36, 3, 3], function: ConvolutionFunction(padding: .same, algorithm: .winograd)),
    Case(x: [1, 30, 31, 36], weight: [34, 36, 3, 3], function: ConvolutionFunction(algorithm: .winograd)),
  ])
  func threadsDoNotChangeBits(_ item: Case) throws {
    let (x, weight, bias, grad) = try item.tensors()
    for (name, computes) in EveryCompute.ofAllThreads {
      let runs = try computes.map { compute in
        let found = try gradients(item.function, x, weight, grad, on: compute)
        let y = try convolve(item.function, x, weight, bias, on: compute)
        return [y, found.input, found.weight, found.bias].map(\.bits)
      }
      #expect(runs[0].allSatisfy { !$0.isEmpty && $0.allSatisfy { Float(bitPattern: $0).isFinite } })
      for run in runs { #expect(run == runs[0], "\(name)") }
    }
  }

  @Test func nothing() throws {
    let (x, weight) = (try Tensor(shape: [0, 4, 4, 2]), try randomTensor([3, 2, 3, 3], seed: 1))
    let f = ConvolutionFunction()
    #expect(try convolve(f, x, weight, nil).shape == [0, 2, 2, 3])
    let found = try gradients(f, x, weight, Tensor(shape: [0, 2, 2, 3]))
    #expect(found.weight.values.allSatisfy { $0 == 0 } && found.bias.values == [0, 0, 0])
  }

  @Test func shapes() throws {
    let f = ConvolutionFunction(strides: 2, padding: .same)
    #expect(try f.outputShape(x: [5, 28, 27, 1], weight: [4, 1, 3, 3]) == [5, 14, 14, 4])
    #expect(try ConvolutionFunction().outputShape(x: [0, 5, 4, 2], weight: [3, 2, 3, 2]) == [0, 3, 3, 3])
    func refuses(
      _ f: ConvolutionFunction = ConvolutionFunction(), x: [Int] = [1, 5, 5, 4], weight: [Int] = [4, 4, 3, 3],
      _ kind: MartletError.Kind, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation
    ) {
      for word in words {
        expectError(kind, word, sourceLocation: sourceLocation) { _ = try f.outputShape(x: x, weight: weight) }
      }
    }
    refuses(x: [5, 5, 4], .shapeMismatch, "x: images [rows, height, width, channels]", "[5, 5, 4] came")
    refuses(x: [1, 5, 5, 0], .shapeMismatch, "x: images")
    refuses(x: [-1, 5, 5, 4], .shapeMismatch, "x: every dimension")
    refuses(x: [1 << 40, 1 << 40, 5, 4], .shapeMismatch, "x: the shape", "more elements than memory")
    refuses(x: [1, 0, 5, 4], .shapeMismatch, "height: images of 1 or more")
    refuses(x: [1, 2, 5, 4], .shapeMismatch, "height: the window spans 3")
    refuses(weight: [4, 4, 3], .shapeMismatch, "weight: the shape [filters,", "[4, 4, 3] came")
    for axis in 0..<4 {
      var weight = [4, 4, 3, 3]
      weight[axis] = 0
      refuses(weight: weight, .shapeMismatch, "weight: the shape [filters,")
    }
    refuses(weight: [4, -4, 3, 3], .shapeMismatch, "weight: every dimension")
    refuses(weight: [4, 3, 3, 3], .shapeMismatch, "weight: 4 channels are needed", "(4 / 1)", "[4, 3, 3, 3] has 3")
    refuses(ConvolutionFunction(groups: 2), .shapeMismatch, "weight: 2 channels are needed")
    refuses(ConvolutionFunction(groups: 3), .shapeMismatch, "groups must divide the input's channels")
    refuses(ConvolutionFunction(groups: 4), weight: [6, 1, 3, 3], .shapeMismatch, "groups must divide filters")
    for wrong in [0, -1, Int.min] {
      refuses(ConvolutionFunction(groups: wrong), .invalidArgument, "groups must be 1 or more")
      refuses(ConvolutionFunction(strides: Extent2D(1, wrong)), .invalidArgument, "strides: that of the width")
      refuses(ConvolutionFunction(dilation: Extent2D(wrong, 1)), .invalidArgument, "dilation: that of the height")
    }
    refuses(ConvolutionFunction(padding: .all(-1)), .invalidArgument, "padding: that before the height")
    refuses(
      ConvolutionFunction(padding: .all(1 << 17)), x: [1 << 30, 5, 5, 4], .shapeMismatch, "y: the shape")
    refuses(
      ConvolutionFunction(strides: 2, algorithm: .winograd), .invalidArgument, "winograd needs", "strides 2×2", "came")
  }

  @Test func errors() throws {
    let item = Case.all[1]
    let (x, weight, _, grad) = try item.tensors()
    let (y, three, four) = (try Tensor(shape: grad.shape), try Tensor(shape: [3]), try Tensor(shape: [4]))
    let f = item.function
    func refuses(
      bias: ArrayView? = nil, into target: ArrayView? = nil, _ kind: MartletError.Kind, _ words: String,
      sourceLocation: SourceLocation = #_sourceLocation
    ) {
      expectError(kind, words, sourceLocation: sourceLocation) {
        try f.convolve(x.view(), weight: weight.view(), bias: bias, into: target ?? y.view())
      }
    }
    refuses(bias: try four.view(), .shapeMismatch, "bias: the shape [3] is needed; [4] came")
    refuses(into: try x.view(), .shapeMismatch, "y: the shape [2, 3, 2, 3] is needed; [2, 5, 4, 2] came")
    refuses(
      into: try ArrayView(y.storage.base, .float32, shape: y.shape, strides: [18, 6, 3, 0]), .invalidArgument,
      "y: contiguous float32")
    refuses(into: try ArrayView(y.storage.base, .int32, shape: y.shape), .invalidArgument, "int32 came")
    refuses(
      into: try ArrayView(x.storage.base + 4, .float32, shape: y.shape), .invalidArgument, "y shares memory with x")
    refuses(
      into: try ArrayView(weight.storage.base, .float32, shape: y.shape), .invalidArgument, "y shares memory with weight")
    refuses(
      bias: try ArrayView(y.storage.base, .float32, shape: [3]), .invalidArgument, "y shares memory with bias")
    #expect(y.values.allSatisfy { $0 == 0 })

    func refuses(
      grad given: ArrayView? = nil, _ gradients: ConvolutionFunction.Gradients, _ kind: MartletError.Kind, _ words: String,
      sourceLocation: SourceLocation = #_sourceLocation
    ) {
      expectError(kind, words, sourceLocation: sourceLocation) {
        try f.gradients(x.view(), weight: weight.view(), gradOutput: given ?? grad.view(), into: gradients)
      }
    }
    refuses(grad: try x.view(), .init(), .shapeMismatch, "grad_output: the shape [2, 3, 2, 3] is needed")
    refuses(.init(input: try y.view()), .shapeMismatch, "grad_input: the shape [2, 5, 4, 2] is needed")
    refuses(.init(weight: try y.view()), .shapeMismatch, "grad_weight: the shape [3, 2, 3, 3] is needed")
    refuses(.init(bias: try four.view()), .shapeMismatch, "grad_bias: the shape [3] is needed")
    refuses(.init(input: try x.view()), .invalidArgument, "grad_input shares memory with x")
    refuses(.init(weight: try weight.view()), .invalidArgument, "grad_weight shares memory with weight")
    refuses(
      .init(bias: try ArrayView(grad.storage.base, .float32, shape: [3])), .invalidArgument,
      "grad_bias shares memory with grad_output")
    let dw = try Tensor(shape: weight.shape)
    refuses(
      .init(weight: try dw.view(), bias: try ArrayView(dw.storage.base + 8, .float32, shape: [3])), .invalidArgument,
      "grad_bias shares memory with grad_weight")
    refuses(.init(bias: try ArrayView(three.storage.base, .float64, shape: [3])), .invalidArgument, "float64 came")
    withExtendedLifetime((x, weight, grad, y, three, four, dw)) {}
  }
}
