import MartletTestSupport
import Testing

@testable import Martlet

/// Conv2D in models: outputs and gradients against Float64, shapes, errors, files.
@Suite struct ConvolutionLayerTests {
  private func check(
    _ layers: [any Layer], _ shape: [Int], rows: Int = 2, terms: Int, seed: UInt64 = 11,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let model = try Model.sequential(layers, inputShape: shape, seed: seed)
    let x = try randomTensor([rows] + shape, seed: seed &+ 1, -1.5...1.5)
    try checkGradients(model, [x], terms: terms, seed: seed, sourceLocation: sourceLocation)
  }

  @Test func kernels() throws {
    try check([Conv2D(3, kernelSize: 1)], [2, 3, 4], terms: 4)
    try check([Conv2D(3, kernelSize: 3)], [4, 5, 2], terms: 18)
    try check([Conv2D(2, kernelSize: Extent2D(3, 1))], [4, 3, 3], terms: 9)
    try check([Conv2D(5, kernelSize: Extent2D(1, 4), bias: false)], [2, 6, 2], terms: 8)
    try check([Conv2D(1, kernelSize: 1)], [1, 1, 1], rows: 1, terms: 1)
    try check([Conv2D(17, kernelSize: 2)], [3, 3, 5], terms: 20)
  }

  @Test(arguments: [Padding.same, .all(1), .explicit(top: 0, bottom: 2, left: 3, right: 1)]) func paddings(_ padding: Padding)
    throws
  {
    try check([Conv2D(2, kernelSize: 3, padding: padding)], [3, 4, 2], terms: 18)
    try check([Conv2D(2, kernelSize: 2, strides: 2, padding: padding)], [3, 4, 2], terms: 8)
  }

  @Test func stridesAndDilation() throws {
    try check([Conv2D(2, kernelSize: 3, strides: 2)], [6, 5, 2], terms: 18)
    try check([Conv2D(2, kernelSize: 3, strides: Extent2D(1, 3), padding: .same)], [3, 7, 2], terms: 18)
    try check([Conv2D(2, kernelSize: 3, dilation: 2)], [5, 6, 2], terms: 18)
    try check([Conv2D(2, kernelSize: 2, strides: 2, padding: .all(2), dilation: Extent2D(3, 2))], [5, 4, 2], terms: 8)
    // Strides larger than the kernel leave values unread; beyond the image every stride means one window.
    try check([Conv2D(2, kernelSize: 1, strides: 3)], [5, 4, 2], terms: 2)
    try check([Conv2D(2, kernelSize: 2, strides: Extent2D(Int(Int32.max), 100))], [4, 4, 1], terms: 4)
  }

  @Test func groups() throws {
    try check([Conv2D(6, kernelSize: 2, groups: 2)], [3, 3, 4], terms: 8)
    try check([Conv2D(4, kernelSize: 3, padding: .same, groups: 4)], [4, 3, 4], terms: 9)
    try check([Conv2D(6, kernelSize: 3, strides: 2, padding: .all(1), groups: 3)], [4, 4, 3], terms: 9)
    try check([Conv2D(6, kernelSize: 1, groups: 3)], [2, 2, 6], terms: 2)
  }

  @Test func fused() throws {
    try check([Conv2D(3, kernelSize: 3), Tanh()], [4, 4, 2], terms: 18)
    try check([Conv2D(3, kernelSize: 2), BatchNorm(), ReLU(), Flatten(), Dense(2)], [3, 3, 2], terms: 12)
    try check(
      [
        Conv2D(2, kernelSize: 3, padding: .same), BatchNorm(), Sigmoid(), Conv2D(3, kernelSize: 2, strides: 2, groups: 1),
        ReLU(),
      ],
      [4, 4, 1], terms: 18)
    let model = try Model.sequential(
      [Conv2D(5, kernelSize: 3), BatchNorm(), ReLU(), Conv2D(4, kernelSize: 1), Sigmoid()], inputShape: [6, 6, 3], seed: 3)
    #expect(try model.planDescription(batchSize: 2, training: false).contains("0 conv2d + 1 batch_norm + 2 relu"))
    #expect(try model.planDescription(batchSize: 2, training: true).contains("3 conv2d + 4 sigmoid"))
    // Inference: folded, packed once; against the Float64 reference, and again after the weights changed.
    for seed in 1...2 as ClosedRange<UInt64> {
      randomiseAffine(model, seed: seed)
      try model.variable(named: "0.weight").set(randomTensor([5 * 27], seed: seed).values)
      let x = try randomTensor([3, 6, 6, 3], seed: 9)
      let reference = ReferenceModel(model: model, isTraining: false)
      let want = reference.outputs([x.doubles], reference.parameters)[0]
      let got = try model.predict(x)
      expectClose(got.values, want, within: Tolerance.network(depth: 5, terms: 27, magnitude: 4))
      // A row alone has the bits it has in the batch.
      #expect(try model.predict(x.rows(1..<2)).bits == got.rows(1..<2).bits)
    }
  }

  /// One convolution on images of two sizes.
  @Test func shared() throws {
    var graph = Graph()
    let (a, b) = (try graph.input([4, 4, 2]), try graph.input([5, 3, 2]))
    let left = try graph.add(Conv2D(3, kernelSize: 2), to: a, name: "conv")
    let right = try graph.apply(layerOf: left, to: [b])
    let model = try Model(graph, inputs: [a, b], outputs: [left, right])
    #expect(model.outputShapes == [[3, 3, 3], [4, 2, 3]])
    let x = [try randomTensor([2, 4, 4, 2], seed: 1), try randomTensor([2, 5, 3, 2], seed: 2)]
    try checkGradients(model, x, terms: 18, seed: 3)
    try model.forward(x.map { try $0.view() }, training: false)
    let want = ReferenceModel(model: model, isTraining: false)
    for (place, values) in want.outputs(x.map(\.doubles), want.parameters).enumerated() {
      expectClose(try model.output(place).copied, values, within: Tolerance.network(depth: 1, terms: 8, magnitude: 4))
    }
  }

  @Test func shapes() throws {
    let cases: [(Conv2D, [Int], [Int])] = [
      (Conv2D(4, kernelSize: 3), [28, 28, 1], [26, 26, 4]),
      (Conv2D(4, kernelSize: 3, strides: 2, padding: .same), [28, 27, 1], [14, 14, 4]),
      (Conv2D(4, kernelSize: 7, strides: 2, padding: .all(3)), [224, 224, 3], [112, 112, 4]),
      (Conv2D(4, kernelSize: 3, dilation: 2), [9, 5, 1], [5, 1, 4]),
      (Conv2D(4, kernelSize: 1, padding: .explicit(top: 1, bottom: 0, left: 0, right: 2)), [1, 1, 1], [2, 3, 4]),
      (Conv2D(4, kernelSize: 5, strides: 3, padding: .same), [1, 2, 1], [1, 1, 4]),
    ]
    for (layer, input, output) in cases {
      #expect(try Model.sequential([layer], inputShape: input).outputShapes == [output], "\(layer)")
    }
    let model = try Model.sequential([Conv2D(6, kernelSize: Extent2D(3, 2), groups: 2)], inputShape: [5, 5, 4])
    #expect(try model.variable(named: "0.weight").shape == [6, 2, 3, 2])
    #expect(model.parameterCount == 72 + 6)
  }

  @Test func errors() throws {
    func refuses(
      _ layer: Conv2D, _ shape: [Int], _ words: String, _ kind: MartletError.Kind = .shapeMismatch,
      sourceLocation: SourceLocation = #_sourceLocation
    ) {
      expectError(kind, "Layer \"0\"", words, sourceLocation: sourceLocation) {
        _ = try Model.sequential([layer], inputShape: shape)
      }
    }
    refuses(
      Conv2D(2, kernelSize: 3), [784], "conv2d takes images [height, width, channels]; a row of its input has the shape [784]")
    refuses(Conv2D(2, kernelSize: 3), [2, 5, 1], "height: the window spans 3, the input with its padding only 2 (0 + 2 + 0)")
    refuses(
      Conv2D(2, kernelSize: 3, padding: .explicit(left: 1, right: 0), dilation: 3), [9, 5, 1],
      "width: the window spans 7 (3 with dilation 3), the input with its padding only 6 (1 + 5 + 0)")
    refuses(Conv2D(2, kernelSize: 1), [0, 5, 1], "height: images of 1 or more are needed")
    refuses(Conv2D(2, kernelSize: 1, padding: .same), [5, 0, 1], "width: images of 1 or more are needed")
    refuses(Conv2D(2, kernelSize: 1), [5, 5, 0], "1 or more channels")
    refuses(
      Conv2D(4, kernelSize: 1, groups: 2), [5, 5, 3], "groups must divide the input's channels; 2 came for the 3 of [5, 5, 3]")
    refuses(Conv2D(3, kernelSize: 1, groups: 2), [5, 5, 4], "groups must divide filters; 2 came for 3 filters")
    refuses(Conv2D(0, kernelSize: 1), [5, 5, 1], "filters must be 1 or more; 0 came", .invalidArgument)
    refuses(Conv2D(1, kernelSize: 1, groups: 0), [5, 5, 1], "groups must be 1 or more; 0 came", .invalidArgument)
    for wrong in [0, -1, Int.min, Int.max, 1 << 31] {
      refuses(Conv2D(1, kernelSize: Extent2D(1, wrong)), [5, 5, 1], "width of the window must be in 1...", .invalidArgument)
      refuses(
        Conv2D(1, kernelSize: 1, strides: Extent2D(wrong, 1)), [5, 5, 1], "strides: that of the height must", .invalidArgument)
      refuses(
        Conv2D(1, kernelSize: 1, dilation: Extent2D(wrong, 1)), [5, 5, 1], "dilation: that of the height must", .invalidArgument
      )
    }
    for wrong in [-1, Int.min, Int.max] {
      refuses(
        Conv2D(1, kernelSize: 1, padding: .explicit(top: 0, bottom: wrong, left: 0, right: 0)), [5, 5, 1],
        "padding: that after the height must be in 0...", .invalidArgument)
    }
    // What is around the image, wherever it comes from.
    let far = Int(Int32.max)
    refuses(
      Conv2D(1, kernelSize: 3, padding: .same, dilation: Extent2D(far)), [5, 5, 1], "padding: an image with what is around it")
    refuses(Conv2D(1, kernelSize: 1, strides: Extent2D(far), padding: .all(far)), [5, 5, 1], "padding: an image with what is")
    // Sizes that overflow: the weight, the result.
    let most = Int(Int32.max)
    refuses(Conv2D(Int.max, kernelSize: 1), [5, 5, 1], "weight: the shape [\(Int.max), 1, 1, 1] has more elements")
    refuses(Conv2D(1 << 40, kernelSize: 1, padding: .all(1 << 20)), [5, 5, 1], "more elements than memory")
    refuses(Conv2D(2, kernelSize: Extent2D(most, most), padding: .all(most)), [5, 5, 1], "more elements than memory")
    refuses(
      Conv2D(2, kernelSize: 1, weightInitializer: .normal(deviation: -1)), [5, 5, 1], "weight_initializer", .invalidArgument)
  }

  /// Bits tell which algorithm ran: the automatic one is one of the two, in training, at inference and in the gradients.
  @Test func algorithms() throws {
    func run(_ channels: Int, _ algorithm: ConvolutionAlgorithm) throws -> [[UInt32]] {
      let layers: [any Layer] = [
        Conv2D(channels, kernelSize: 3, padding: .same, algorithm: algorithm),
        Conv2D(channels, kernelSize: 3, padding: .same, algorithm: algorithm),
      ]
      let model = try Model.sequential(layers, inputShape: [6, 6, channels], seed: 1)
      let x = try randomTensor([3, 6, 6, channels], seed: 2)
      let cotangent = try randomTensor([3, 6, 6, channels], seed: 3)
      defer { withExtendedLifetime((x, cotangent)) {} }
      let y = try model.predict(x)
      #expect(try model.predict(x.rows(1..<2)).bits == y.rows(1..<2).bits)
      try model.forward([x.view()], training: true)
      let trained = try model.output(0).copied.bits
      try model.backward([cotangent.view()])
      return [y.bits, trained, try model.variable(named: "0.weight").gradientValues.bits]
    }
    let (narrow, wide) = (try run(8, .automatic), try run(32, .automatic))
    #expect(try run(8, .direct) == narrow && run(32, .winograd) == wide)
    for (other, automatic) in [(try run(8, .winograd), narrow), (try run(32, .direct), wide)] {
      for (a, b) in zip(other, automatic) { #expect(a != b) }
    }
  }

  @Test func winograd() throws {
    try check([Conv2D(3, kernelSize: 3, algorithm: .winograd)], [4, 5, 2], terms: 40)
    try check(
      [Conv2D(2, kernelSize: 3, padding: .same, bias: false, algorithm: .winograd), BatchNorm(), ReLU()], [3, 4, 2], terms: 40)
    let refused: [(Conv2D, String)] = [
      (Conv2D(2, kernelSize: Extent2D(3, 1), algorithm: .winograd), "a kernel of 3×1"),
      (Conv2D(2, kernelSize: 3, strides: 2, algorithm: .winograd), "strides 2×2"),
      (Conv2D(2, kernelSize: 3, dilation: Extent2D(1, 2), algorithm: .winograd), "dilation 1×2"),
      (Conv2D(2, kernelSize: 3, groups: 2, algorithm: .winograd), "groups 2"),
    ]
    for (layer, words) in refused {
      expectError(.invalidArgument, "algorithm: winograd needs a kernel of 3×3", words, "Use automatic or direct") {
        _ = try Model.sequential([layer], inputShape: [9, 9, 2])
      }
      for algorithm in [ConvolutionAlgorithm.automatic, .direct] {
        var layer = layer
        layer.algorithm = algorithm
        _ = try Model.sequential([layer], inputShape: [9, 9, 2])
      }
    }
  }

  @Test func files() throws {
    let layers: [any Layer] = [
      Conv2D(4, kernelSize: Extent2D(3, 2), strides: Extent2D(2, 1), padding: .explicit(top: 1, bottom: 0, left: 2, right: 3)),
      Conv2D(4, kernelSize: 3, padding: .same, dilation: Extent2D(1, 2), groups: 2, bias: false, weightInitializer: .heNormal),
      Conv2D(2, kernelSize: 1, biasInitializer: .constant(0.5)),
      Conv2D(2, kernelSize: 3, padding: .same, algorithm: .winograd),
      Conv2D(2, kernelSize: 3, padding: .same, algorithm: .direct),
    ]
    let model = try Model.sequential(layers, inputShape: [6, 6, 2], seed: 1)
    let directory = try ScratchDirectory()
    try model.save(to: directory("convolutions.safetensors"))
    let loaded = try Model.load(from: directory("convolutions.safetensors"))
    for (found, layer) in zip(loaded.layers, layers) { #expect(found.options as? Conv2D == layer as? Conv2D) }
    let x = try randomTensor([2, 6, 6, 2], seed: 2)
    #expect(try loaded.predict(x).values == model.predict(x).values)
    // Files of layers without a choice know nothing of it.
    let text = try model.architectureText
    #expect(text.ranges(of: "\"algorithm\"").count == 2)
    expectError(.corruptFile, "\"algorithm\": expected one of \"automatic\", \"direct\", \"winograd\"; got \"fft\"") {
      var json = try Model.sequential([layers[3]], inputShape: [6, 6, 2]).architectureText
      json.replace("winograd", with: "fft")
      _ = try ArchitectureDescription(JSON.parse(json, source: "test"))
    }
  }

  @Test(arguments: [#""full""#, "[[1, 2]]", "[[1, 2], [3]]", "[[1, 2], [3, 0.5]]", "3", "null"]) func badPadding(_ json: String)
    throws
  {
    let options =
      #"{"filters": 1, "kernel_size": [1, 1], "strides": [1, 1], "padding": \#(json), "dilation": [1, 1], "groups": 1, "bias": true, "weight_initializer": "zeros", "bias_initializer": "zeros"}"#
    expectError(.corruptFile, "padding") { _ = try Conv2D(configuration: JSON.parse(options, source: "test")) }
  }
}
