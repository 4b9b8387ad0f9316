import Testing

@testable import Martlet

/// A flattened image is channels last here and channels first in PyTorch; the shapes are the same.
struct FlattenOrderTests {
  private func images() throws -> Model {
    try Model.sequential([Conv2D(3, kernelSize: 3), Flatten(), BatchNorm(), Dense(2)], inputShape: [5, 4, 2], seed: 1)
  }

  /// 0, 1, 2, …
  private func counted(_ count: Int) -> [Float] { (0..<count).map { Float($0) } }

  /// Numbers counted in the order rows, channels, positions, as they lie with the channels last.
  private func channelsLast(rows: Int, channels: Int, positions: Int) -> [Float] {
    var values: [Float] = []
    for row in 0..<rows {
      for position in 0..<positions {
        for channel in 0..<channels { values.append(Float((row * channels + channel) * positions + position)) }
      }
    }
    return values
  }

  /// The tensor's values after a change of order.
  private func reordered(
    _ model: Model, _ name: String, _ values: [Float], _ shape: [Int], from: FlattenOrder?, to: FlattenOrder
  ) throws -> (values: [Float], shape: [Int]) {
    let tensor = try Tensor(values, shape: shape)
    let after = try withExtendedLifetime(tensor) {
      try model.reorder(tensor.view("values"), ofTensor: name, from: from, to: to)
    }
    return (tensor.values, after)
  }

  @Test func columnsFollowTheImage() throws {
    let model = try images()
    // [C, H, W] = [3, 3, 2], counted in PyTorch's order; ours is [H, W, C].
    let theirs = counted(36)
    let ours = channelsLast(rows: 2, channels: 3, positions: 6)
    #expect(try reordered(model, "3.weight", theirs, [2, 18], from: .channelsFirst, to: .channelsLast).values == ours)
    #expect(try reordered(model, "3.weight", ours, [2, 18], from: .channelsLast, to: .channelsFirst).values == theirs)
    let channels = Array(theirs.prefix(18))
    let placed = try reordered(model, "2.running_mean", channels, [18], from: .channelsFirst, to: .channelsLast)
    #expect(placed.values == Array(ours.prefix(18)) && placed.shape == [18])
  }

  @Test func otherTensorsStayAsTheyAre() throws {
    let model = try images()
    let bias: [Float] = [1, 2]
    for from in [FlattenOrder.channelsFirst, nil] {
      #expect(try reordered(model, "3.bias", bias, [2], from: from, to: .channelsLast).values == bias)
      #expect(try reordered(model, "0.bias", [1, 2, 3], [3], from: from, to: .channelsLast).values == [1, 2, 3])
    }
    for (shape, layers) in [
      ([4, 4, 1], [Flatten(), Dense(1)] as [any Layer]), ([1, 1, 16], [Flatten(), Dense(1)]),
      ([4, 2, 2], [ChannelsFirst(), Flatten(), Dense(1)]), ([16], [BatchNorm(), Dense(1)]),
    ] {
      let plain = try Model.sequential(layers, inputShape: shape)
      let name = try #require(plain.variables.last { $0.localName == "weight" }).name
      let values = counted(16)
      #expect(try reordered(plain, name, values, [1, 16], from: nil, to: .channelsLast).values == values)
    }
  }

  @Test func aNormOverWholeImages() throws {
    let model = try Model.sequential([LayerNorm(over: .all)], inputShape: [3, 2, 2])
    let theirs = counted(12)
    let ours = channelsLast(rows: 1, channels: 2, positions: 6)
    let found = try reordered(model, "0.weight", theirs, [2, 3, 2], from: .channelsFirst, to: .channelsLast)
    #expect(found.values == ours && found.shape == [3, 2, 2])
    expectError(.shapeMismatch, "expected the shape [2, 3, 2]", "got [3, 2, 2]") {
      _ = try reordered(model, "0.weight", theirs, [3, 2, 2], from: .channelsFirst, to: .channelsLast)
    }
  }

  @Test func filesOfOthers() throws {
    let directory = try ScratchDirectory()
    let model = try images()
    let theirs = counted(36)
    try theirs.withUnsafeBytes { bytes in
      let tensor = SafetensorsTensor(name: "3.weight", dtype: .f32, shape: [2, 18], bytes: bytes)
      try Safetensors.write([tensor], metadata: [], to: directory("theirs"))
    }
    let before = model.allBytes
    expectError(.invalidArgument, "layer \"3\" (dense)", "channels_first") {
      try model.loadWeights(from: directory("theirs"), strict: false)
    }
    #expect(model.allBytes == before)
    try model.loadWeights(from: directory("theirs"), strict: false, flattenOrder: .channelsFirst)
    #expect(try model.values("3.weight") == channelsLast(rows: 2, channels: 3, positions: 6))
    try model.loadWeights(from: directory("theirs"), strict: false, flattenOrder: .channelsLast)
    #expect(try model.values("3.weight") == theirs)
    // Files of this library are in its own order.
    try model.save(to: directory("own"))
    try model.loadWeights(from: directory("own"))
    #expect(try model.values("3.weight") == theirs)
  }

  @Test func whatIsNotKnownIsRefusedByLayer() throws {
    let model = try images()
    let values = [Float](repeating: 0, count: 36)
    expectError(.invalidArgument, "layer \"3\" (dense)", "flattened image [3, 2, 3]", "channels_first") {
      _ = try reordered(model, "3.weight", values, [2, 18], from: nil, to: .channelsLast)
    }
    expectError(.invalidArgument, "no tensor \"9.weight\"") {
      _ = try reordered(model, "9.weight", values, [2, 18], from: nil, to: .channelsLast)
    }
    let grouped = try Model.sequential([Flatten(), GroupNorm(2), Dense(3)], inputShape: [3, 2, 2])
    expectError(.invalidArgument, "layer \"1\" (group_norm) normalizes groups") {
      _ = try reordered(grouped, "1.weight", [Float](repeating: 0, count: 12), [12], from: .channelsFirst, to: .channelsLast)
    }
    var graph = Graph()
    let vector = try graph.input([12])
    let image = try graph.add(Reshape([3, 2, 2]), to: vector)
    let flat = try graph.add(Flatten(), to: image)
    let output = try graph.add(Dense(3), to: flat, name: "d")
    let turned = try Model(graph, inputs: [vector], outputs: [output])
    expectError(.invalidArgument, "layer \"d\" (dense) reads values whose order in PyTorch is not known") {
      _ = try reordered(turned, "d.weight", values, [3, 12], from: .channelsFirst, to: .channelsLast)
    }
  }
}
