import MartletTestSupport
import Testing

@testable import Martlet

/// Poolings, zeros around, upsampling: outputs and gradients against Float64, shapes, errors, files.
@Suite struct PoolingLayerTests {
  private func check(
    _ layers: [any Layer], _ shape: [Int], rows: Int = 2, terms: Int, seed: UInt64 = 21,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let model = try Model.sequential(layers, inputShape: shape, seed: seed)
    let x = try randomTensor([rows] + shape, seed: seed &+ 1, -1.5...1.5)
    try checkGradients(model, [x], terms: terms, seed: seed, sourceLocation: sourceLocation)
  }

  static let paddings: [Padding] = [.valid, .same, .all(1), .explicit(top: 0, bottom: 2, left: 1, right: 0)]

  @Test(arguments: paddings) func windows(_ padding: Padding) throws {
    for strides in [nil, 1, Extent2D(3, 2)] as [Extent2D?] {
      try check([MaxPool2D(3, strides: strides, padding: padding)], [5, 6, 2], terms: 9)
      for whole in [false, true] {
        try check([AvgPool2D(3, strides: strides, padding: padding, countIncludesPad: whole)], [5, 6, 2], terms: 9)
      }
    }
    try check([MaxPool2D(Extent2D(3, 2), padding: padding == .valid ? .valid : .same)], [4, 3, 17], terms: 6)
  }

  @Test func sequences() throws {
    try check([MaxPool1D(2)], [7, 3], terms: 2)
    try check([MaxPool1D(3, strides: 2, padding: .explicit(left: 2, right: 1))], [6, 2], terms: 3)
    try check([AvgPool1D(3, strides: 1, padding: .same)], [5, 3], terms: 3)
    try check([AvgPool1D(2, padding: .explicit(left: 1, right: 0), countIncludesPad: true)], [5, 2], terms: 2)
    try check([GlobalAvgPool1D()], [6, 3], terms: 6)
    try check([Conv1D(3, kernelSize: 3)], [6, 2], terms: 12)
    try check(
      [Conv1D(4, kernelSize: 2, strides: 2, padding: .explicit(left: 1, right: 2), dilation: 3, groups: 2, bias: false)],
      [8, 4],
      terms: 12)
    try check(
      [Conv1D(3, kernelSize: 3, padding: .same), BatchNorm(), ReLU(), MaxPool1D(2), GlobalAvgPool1D(), Dense(2)], [6, 2],
      terms: 12)
    let model = try Model.sequential([Conv1D(3, kernelSize: 4), BatchNorm(), ReLU()], inputShape: [9, 2])
    #expect(try model.variable(named: "0.weight").shape == [3, 2, 4] && model.outputShapes == [[6, 3]])
    #expect(try model.planDescription(batchSize: 1, training: false).contains("0 conv1d + 1 batch_norm + 2 relu"))
  }

  @Test func others() throws {
    try check([GlobalAvgPool2D()], [3, 4, 5], terms: 12)
    try check([GlobalAvgPool2D()], [1, 1, 3], terms: 1)
    try check([ZeroPad2D(1)], [2, 3, 2], terms: 1)
    try check([ZeroPad2D(top: 2, bottom: 0, left: 0, right: 3), BatchNorm()], [2, 2, 3], terms: 20)
    try check([Upsample2D(2)], [2, 3, 2], terms: 4)
    try check([Upsample2D(Extent2D(1, 3)), Conv2D(2, kernelSize: 2)], [3, 2, 2], terms: 12)
    #expect(
      try Model.sequential([ZeroPad2D(0), Upsample2D(1)], inputShape: [2, 2, 1]).planDescription(batchSize: 1, training: true)
        .contains("0 steps"))
  }

  /// Branches: every backward of this file adds to a gradient that is there.
  @Test func accumulates() throws {
    var graph = Graph()
    let x = try graph.input([4, 4, 3])
    let h = try graph.add(Conv2D(3, kernelSize: 3, padding: .same), to: x)
    let layers: [any Layer] = [
      MaxPool2D(3, strides: 1, padding: .same), AvgPool2D(3, strides: 1, padding: .same),
      Conv2D(3, kernelSize: 3, padding: .same, groups: 3), ZeroPad2D(0), Conv2D(3, kernelSize: 1),
    ]
    let branches = try layers.map { try graph.add($0, to: h) }
    let cropped = try graph.add(MaxPool2D(3), to: graph.add(ZeroPad2D(4), to: h))
    let larger = try graph.add(AvgPool2D(2), to: graph.add(Upsample2D(2), to: h))
    let mean = try graph.add(GlobalAvgPool2D(), to: h)
    let sum = try graph.add(Add(), to: branches + [cropped, larger])
    let wide = try graph.add(Concatenate(), to: [h, sum])
    let model = try Model(graph, inputs: [x], outputs: [sum, mean, wide])
    try checkGradients(model, [randomTensor([2, 4, 4, 3], seed: 1)], terms: 60, seed: 4)
  }

  /// The first of equal values takes the gradient; a NaN stays in its windows.
  @Test func maximaOfEqualsAndNaN() throws {
    let model = try Model.sequential([MaxPool2D(2)], inputShape: [2, 4, 1])
    _ = try model.forward(Tensor([3, 3, 1, .nan, 3, 3, 2, 2], shape: [1, 2, 4, 1]), training: true)
    let y = try model.output(0).copied
    #expect(y[0] == 3 && y[1].isNaN)
    let gradient = try model.backward(Tensor([5, 7], shape: [1, 1, 2, 1]))
    #expect(gradient.values == [5, 0, 0, 7, 0, 0, 0, 0])
  }

  @Test func errors() throws {
    func refuses(
      _ layer: any Layer, _ shape: [Int], _ words: String, _ kind: MartletError.Kind = .shapeMismatch,
      sourceLocation: SourceLocation = #_sourceLocation
    ) {
      expectError(kind, "Layer \"0\"", words, sourceLocation: sourceLocation) {
        _ = try Model.sequential([layer], inputShape: shape)
      }
    }
    refuses(MaxPool2D(2), [4, 4], "max_pool2d takes images [height, width, channels]")
    refuses(AvgPool2D(5), [4, 8, 1], "height: the window spans 5, the input with its padding only 4")
    refuses(
      MaxPool2D(2, padding: .all(2)), [4, 4, 1], "less than the window's 2 is needed on either side of the height",
      .invalidArgument)
    refuses(
      AvgPool2D(3, padding: .explicit(left: 0, right: 3)), [4, 4, 1], "on either side of the width", .invalidArgument)
    refuses(MaxPool2D(0), [4, 4, 1], "height of the window must be in 1...", .invalidArgument)
    refuses(MaxPool2D(2, strides: Extent2D(1, -1)), [4, 4, 1], "strides: that of the width", .invalidArgument)
    refuses(MaxPool1D(2), [4, 4, 1], "max_pool1d takes sequences [length, channels]")
    refuses(MaxPool1D(9), [4, 1], "length: the window spans 9, the input with its padding only 4")
    refuses(AvgPool1D(2, padding: .all(1)), [4, 1], "a sequence has no top and bottom", .invalidArgument)
    refuses(
      Conv1D(1, kernelSize: 1, padding: .explicit(top: 0, bottom: 1, left: 0, right: 0)), [4, 1], "no top", .invalidArgument)
    refuses(Conv1D(1, kernelSize: 0), [4, 1], "length of the window must be in 1...", .invalidArgument)
    refuses(Conv1D(1, kernelSize: 3), [28, 28, 1], "conv1d takes sequences [length, channels]")
    refuses(GlobalAvgPool2D(), [4, 4], "global_avg_pool2d takes images")
    refuses(GlobalAvgPool2D(), [0, 4, 1], "images of 1 or more are needed; [0, 4, 1] came")
    refuses(GlobalAvgPool1D(), [0, 4], "of 1 or more each")
    refuses(ZeroPad2D(-1), [4, 4, 1], "padding: that before the height must be in 0...", .invalidArgument)
    refuses(ZeroPad2D(Int.max), [4, 4, 1], "padding: that before the height", .invalidArgument)
    refuses(ZeroPad2D(Int(Int32.max)), [4, 4, 1 << 10], "more elements than memory can hold")
    refuses(Upsample2D(0), [4, 4, 1], "factor must be 1 or more; 0 came", .invalidArgument)
    refuses(Upsample2D(Extent2D(Int.max)), [4, 4, 1], "times the 4 of [4, 4, 1] is too large")
    refuses(Upsample2D(Extent2D(1 << 30)), [4, 4, 1], "more elements than memory can hold")
  }

  @Test func files() throws {
    let layers: [any Layer] = [
      ZeroPad2D(top: 1, bottom: 2, left: 3, right: 4), Upsample2D(Extent2D(2, 1)),
      MaxPool2D(Extent2D(2, 3), strides: 1, padding: .same),
      AvgPool2D(2, strides: Extent2D(1, 2), padding: .explicit(top: 1, bottom: 0, left: 1, right: 1), countIncludesPad: true),
      Reshape([-1, 4]), Conv1D(6, kernelSize: 3, strides: 2, padding: .explicit(left: 1, right: 2), dilation: 2, groups: 2),
      MaxPool1D(3, strides: 2, padding: .same), AvgPool1D(2, padding: .explicit(left: 1, right: 0)), Reshape([1, -1, 6]),
      GlobalAvgPool2D(), Reshape([3, 2]), GlobalAvgPool1D(),
    ]
    let model = try Model.sequential(layers, inputShape: [5, 4, 4], seed: 1)
    let directory = try ScratchDirectory()
    try model.save(to: directory("poolings.safetensors"))
    let loaded = try Model.load(from: directory("poolings.safetensors"))
    #expect(try loaded.architectureText == model.architectureText)
    let x = try randomTensor([2, 5, 4, 4], seed: 2)
    #expect(try loaded.predict(x).values == model.predict(x).values)
  }
}
