import MartletTestSupport
import Testing

@testable import Martlet

/// Which norms go where in a network, what stays and why, and what the certificate is worth.
@Suite struct FoldingTests {
  private func outcome(_ certificate: FoldingCertificate, _ name: String) -> (FoldingCertificate.Outcome, String)? {
    certificate.layers.first { $0.name == name }.map { ($0.outcome, $0.detail) }
  }

  /// Residual blocks over images, dropout, a head: all norms but one go, and the bound does not grow with the depth.
  private func residual(blocks: Int) throws -> Model {
    var graph = Graph()
    let x = try graph.input([8, 8, 3])
    func normed(_ node: Graph.Node, _ name: String, kernel: Int, groups: Int = 1) throws -> Graph.Node {
      let layer = Conv2D(
        8, kernelSize: Extent2D(kernel), padding: .same, groups: groups, bias: false, weightInitializer: .heNormal)
      return try graph.add(BatchNorm(), to: graph.add(layer, to: node, name: name), name: name + "_norm")
    }
    var h = try graph.add(ReLU(), to: normed(x, "stem", kernel: 3))
    for block in 0..<blocks {
      let inner = try graph.add(ReLU(), to: normed(h, "a\(block)", kernel: 3, groups: block % 2 == 0 ? 8 : 1))
      let branch = try normed(graph.add(Dropout(0.3), to: inner), "b\(block)", kernel: 1)
      h = try graph.add(ReLU(), to: graph.add(Add(), to: [branch, h]))
    }
    let last = try graph.add(BatchNorm(), to: h, name: "last_norm")
    let y = try graph.add(Dense(4), to: graph.add(Flatten(), to: last), name: "head")
    let model = try Model(graph, inputs: [x], outputs: [y], seed: 3)
    randomiseAffine(model, seed: 4)
    return model
  }

  @Test func residualNetwork() throws {
    let model = try residual(blocks: 6)
    let before = model.allBytes
    let x = try randomTensor([10, 8, 8, 3], seed: 5)
    let want = try model.predict(x)
    let (folded, certificate) = try model.folded(checkedOn: x)
    #expect(certificate.foldedCount == 14 && certificate.rows == 10)
    #expect(!folded.layers.contains { $0.layer is BatchNorm || $0.layer is Dropout })
    #expect(certificate.isWithinBounds, "\(certificate)")
    #expect(outcome(certificate, "last_norm")?.1 == "folded into \"head\" (dense)")
    #expect(outcome(certificate, "dropout_1")?.0 == .removed)
    let output = try #require(certificate.outputs?.first)
    let got = try folded.predict(x)
    let largestDifference = zip(got.doubles, want.doubles).map { abs($0 - $1) }.max() ?? 0
    #expect(output.absolute == largestDifference, "the certificate measures what predict gives")
    #expect(output.absolute > 0 && output.relative == largestDifference / largest(want.values))
    #expect(output.bound < 0.01 * largest(want.values), "\(certificate)")
    #expect(model.allBytes == before)
  }

  /// A certificate that cannot fail is worth nothing: weights off by a thousandth, or a bias by a tenth, are found.
  @Test func certificateFindsMistakes() throws {
    let model = try residual(blocks: 3)
    let x = try randomTensor([10, 8, 8, 3], seed: 5)
    for name in ["stem.weight", "a0.weight", "b2.bias", "head.bias"] {
      let (folded, right) = try model.folded()
      let variable = try folded.variable(named: name)
      variable.set(variable.values.map { name.hasSuffix("bias") ? $0 + 0.1 : $0 * 1.001 })
      let rewrite = try FoldingRewrite(model.network, inputs: model.inputNodes, outputs: model.outputNodes)
      let left = rewrite.order.filter { !rewrite.hasVanished($0) }
      let position = Dictionary(uniqueKeysWithValues: left.enumerated().map { ($1, $0) })
      var certificate = right
      try FoldingCheck(model, folded, rewrite, position).run([x.view()], rows: 10, into: &certificate)
      #expect(!certificate.isWithinBounds, "\(name): \(certificate)")
      #expect(certificate.description.contains("above their bounds") || certificate.description.contains("NOT HELD"))
    }
    withExtendedLifetime(x) {}
  }

  /// Wide layers run by Winograd's algorithm, whose bound is its own.
  @Test(arguments: ConvolutionAlgorithm.allCases) func wideConvolutions(_ algorithm: ConvolutionAlgorithm) throws {
    let model = try Model.sequential(
      [
        Conv2D(32, kernelSize: 3, algorithm: algorithm), BatchNorm(), ReLU(),
        Conv2D(40, kernelSize: 3, padding: .same, bias: false, algorithm: algorithm), BatchNorm(), ReLU(),
      ],
      inputShape: [8, 8, 33], seed: 1)
    randomiseAffine(model, seed: 2)
    let (folded, certificate) = try model.folded(checkedOn: randomTensor([5, 8, 8, 33], seed: 3))
    #expect(certificate.foldedCount == 2 && certificate.isWithinBounds, "\(certificate)")
    #expect(folded.layers.compactMap { $0.options as? Conv2D }.allSatisfy { $0.algorithm == algorithm })
    let direct = Double(33 * 9 + 16)
    let bounds = try ConvolutionAlgorithm.allCases.map { algorithm in
      let layer = Conv2D(32, kernelSize: 3, algorithm: algorithm)
      let model = try Model.sequential([layer, BatchNorm()], inputShape: [8, 8, 33], seed: 1)
      return try #require(model.folded(checkedOn: randomTensor([5, 8, 8, 33], seed: 3)).1.outputs?.first).bound
    }
    // 16·γ(C + 12 + 16) for γ(9·C + 16), once for each of the two layers of the bound.
    #expect(bounds[0] == bounds[2])
    #expect(abs(bounds[2] / bounds[1] - 16 * (33 + 12 + 16) / direct) < 0.01)
  }

  @Test func whatStaysAndWhy() throws {
    var graph = Graph()
    let x = try graph.input([6, 6, 2], name: "x")
    let first = try graph.add(BatchNorm(), to: x, name: "first")
    let padded = try graph.add(Conv2D(2, kernelSize: 3, padding: .same), to: first, name: "padded")
    let seen = try graph.add(BatchNorm(), to: padded, name: "seen")
    let relu = try graph.add(ReLU(), to: seen, name: "relu")
    let inner = try graph.add(BatchNorm(), to: relu, name: "inner")
    let tanh = try graph.add(Tanh(), to: inner, name: "tanh")
    let branched = try graph.add(BatchNorm(), to: tanh, name: "branched")
    let a = try graph.add(Conv2D(2, kernelSize: 1), to: branched, name: "a")
    let b = try graph.add(Conv2D(2, kernelSize: 1), to: branched, name: "b")
    let sum = try graph.add(Add(), to: [a, b], name: "sum")
    let last = try graph.add(BatchNorm(), to: sum, name: "last")
    let model = try Model(graph, inputs: [x], outputs: [last, padded], seed: 1)
    randomiseAffine(model, seed: 2)
    let (folded, certificate) = try model.folded(checkedOn: randomTensor([4, 6, 6, 2], seed: 3))
    let expected = [
      "first": ["before it is the input \"x\"", "\"padded\" (conv2d) pads with zeros, which would be shifted"],
      "seen": ["\"padded\" (conv2d) before it is an output", "\"relu\" (relu), an activation"],
      "inner": ["\"relu\" (relu), which has no weights", "\"tanh\" (tanh), an activation"],
      "branched": ["read by 2 layers"],
      "last": ["\"sum\" (add), which has no weights", "its value is an output"],
    ]
    for (name, words) in expected {
      let (result, detail) = try #require(outcome(certificate, name))
      #expect(result == .kept && detail.hasPrefix("kept: "))
      for word in words { #expect(detail.contains(word), "\(name): \(detail)") }
    }
    // Nothing was folded, so nothing is different.
    #expect(folded.layers.count == model.layers.count)
    #expect(try #require(certificate.outputs).allSatisfy { $0.absolute == 0 && $0.isWithinBound })
  }

  /// A value that two layers read is not changed under them; a norm that reads it may still go forward.
  @Test func preactivation() throws {
    var graph = Graph()
    let x = try graph.input([5])
    let h = try graph.add(Dense(5), to: x, name: "h")
    let norm = try graph.add(BatchNorm(), to: h, name: "norm")
    let y = try graph.add(Add(), to: [graph.add(Dense(5), to: norm, name: "d"), h])
    let model = try Model(graph, inputs: [x], outputs: [y], seed: 1)
    randomiseAffine(model, seed: 2)
    let (folded, certificate) = try model.folded(checkedOn: randomTensor([30, 5], seed: 3))
    #expect(outcome(certificate, "norm")?.1 == "folded into \"d\" (dense)")
    #expect(folded.layers.map(\.name) == ["h", "d", "add_1"])
    #expect(certificate.isWithinBounds, "\(certificate)")
  }

  /// One layer in two places: folded if one norm follows in both, not if it stands alone in one.
  @Test func layersInSeveralPlaces() throws {
    var graph = Graph()
    let (x, z) = (try graph.input([3]), try graph.input([3]))
    let left = try graph.add(Dense(4), to: x, name: "dense")
    let right = try graph.apply(layerOf: left, to: [z])
    let normed = try graph.add(BatchNorm(), to: left, name: "norm")
    let normedToo = try graph.apply(layerOf: normed, to: [right])
    let y = try graph.add(Concatenate(), to: [normed, normedToo])
    let model = try Model(graph, inputs: [x, z], outputs: [y], seed: 1)
    randomiseAffine(model, seed: 2)
    let data = [try randomTensor([7, 3], seed: 3), try randomTensor([7, 3], seed: 4)]
    let (folded, certificate) = try model.folded(checkedOn: data.map { try $0.view() })
    #expect(folded.layers.map(\.name) == ["dense", "concatenate_1"])
    #expect(folded.network.nodes.map(\.name).contains("dense/2"))
    #expect(certificate.isWithinBounds, "\(certificate)")
    withExtendedLifetime(data) {}

    let half = try graph.add(Concatenate(), to: [normed, right])
    let kept = try Model(graph, inputs: [x, z], outputs: [half]).folded().certificate
    #expect(outcome(kept, "norm")?.1.contains("\"dense\" (dense) stands in other places too") ?? false, "\(kept)")
  }

  /// An ordinary model: saved, loaded, cloned, trained; nothing is shared with the first.
  @Test func ordinaryModel() throws {
    let model = try Model.sequential(
      [Dense(6, bias: false), BatchNorm(), Dropout(0.4), Sigmoid(), Dense(3), Dropout(0.1)], inputShape: [4], seed: 1)
    randomiseAffine(model, seed: 2)
    try model.setTrainable("0.weight", false)
    try model.setInferenceWeights(.float16)
    let x = try randomTensor([9, 4], seed: 3)
    let (folded, certificate) = try model.folded(checkedOn: x)
    #expect(folded.inferenceWeights == .float16 && certificate.isWithinBounds)
    #expect(try !folded.variable(named: "0.weight").isTrainable && !folded.variable(named: "0.bias").isTrainable)
    let scratch = try ScratchDirectory()
    let path = scratch("folded.safetensors")
    try folded.setInferenceWeights(.float32)
    try folded.save(to: path)
    #expect(try Model.load(from: path).predict(x).bits == folded.predict(x).bits)
    #expect(try folded.clone().predict(x).bits == folded.predict(x).bits)
    let before = model.allBytes
    let trainer = try Trainer(folded, loss: .crossEntropy)
    try trainer.step(x, labels: [0, 1, 2, 0, 1, 2, 0, 1, 2])
    #expect(model.allBytes == before)
    // Folding again finds nothing to do.
    #expect(try folded.folded().certificate.foldedCount == 0)
    // A network of nothing but what vanishes gives its input.
    let empty = try Model.sequential([Dropout(0.5)], inputShape: [4]).folded(checkedOn: x).model
    #expect(try empty.predict(x).bits == x.bits && empty.layers.isEmpty)
  }

  /// Every kind of layer has a bound, and it holds where channels change places.
  @Test func everyLayerHasABound() throws {
    var graph = Graph()
    let x = try graph.input([4, 6, 8])
    func chain(_ layers: [any Layer], _ start: Graph.Node) throws -> Graph.Node {
      try layers.reduce(start) { try graph.add($1, to: $0) }
    }
    let images = try chain(
      [InputNormalization(), Conv2D(4, kernelSize: 3), BatchNorm(), ChannelsFirst(), Tanh(), ChannelsLast(), Sigmoid()], x)
    let pooled = try graph.add(
      Concatenate(),
      to: [
        chain([MaxPool2D(2)], images), chain([AvgPool2D(2)], images),
        chain([ZeroPad2D(1), Upsample2D(1), AvgPool2D(Extent2D(4, 3))], images),
      ])
    let sequence = try chain([Reshape([-1, 4]), Conv1D(3, kernelSize: 2), BatchNorm(), MaxPool1D(2), AvgPool1D(1)], pooled)
    let ends = try graph.add(Concatenate(), to: [chain([GlobalAvgPool1D()], sequence), chain([GlobalAvgPool2D()], images)])
    let y = try chain([Dense(5), BatchNorm(), Softmax()], ends)
    let model = try Model(graph, inputs: [x], outputs: [y], seed: 1)
    randomiseAffine(model, seed: 2)
    let data = try randomTensor([40, 4, 6, 8], seed: 3, -2...2)
    try model.fitInputNormalization([data.view()])
    let certificate = try model.folded(checkedOn: data).certificate
    #expect(certificate.foldedCount == 3 && certificate.isWithinBounds, "\(certificate)")
    for layer in certificate.layers {
      if let difference = layer.difference { #expect(difference.bound < 1e-3, "\(layer)") }
    }
    let kinds = Set(certificate.layers.filter { $0.difference != nil }.map(\.kind))
    #expect(
      kinds.isSuperset(of: ["max_pool2d", "avg_pool2d", "zero_pad2d", "softmax", "tanh", "concatenate", "channels_last"]))
    withExtendedLifetime(data) {}
  }

  @Test func errors() throws {
    let model = try Model.sequential([Dense(2), BatchNorm()], inputShape: [3])
    expectError(.shapeMismatch, "data: the shape", "[rows, 3]", "[4, 5] came") {
      _ = try model.folded(checkedOn: Tensor(shape: [4, 5]))
    }
    expectError(.shapeMismatch, "data", "the model has 1; 0 came") { _ = try model.folded(checkedOn: []) }
    expectError(.invalidArgument, "data", "1 or more rows") { _ = try model.folded(checkedOn: Tensor(shape: [0, 3])) }
    for value in [Float.nan, .infinity] {
      expectError(.invalidArgument, "data", "finite") {
        _ = try model.folded(checkedOn: Tensor([0, 1, 2, 0, value, 1], shape: [2, 3]))
      }
    }
  }
}
