import MartletTestSupport
import Testing

@testable import Martlet

/// Reshape, and channels first to last and back.
@Suite struct ShapeLayerTests {
  @Test func reshape() throws {
    let cases: [(from: [Int], to: [Int], becomes: [Int])] = [
      ([12], [3, 4], [3, 4]), ([2, 6], [-1], [12]), ([2, 6], [3, -1, 2], [3, 2, 2]), ([1], [], []), ([0, 3], [0], [0]),
      ([0, 3], [-1, 2], [0, 2]),
    ]
    for (from, to, becomes) in cases {
      let model = try Model.sequential([Reshape(to)], inputShape: from)
      #expect(model.outputShapes == [becomes], "\(from) to \(to)")
      #expect(try model.planDescription(batchSize: 3, training: true).contains("0 steps"))
    }
    let model = try Model.sequential([Reshape([2, -1]), BatchNorm(), Reshape([-1]), Dense(3)], inputShape: [6])
    try checkGradients(model, [randomTensor([4, 6], seed: 2)], terms: 8, seed: 3)
  }

  @Test func reshapeErrors() throws {
    func refuses(_ from: [Int], _ to: [Int], _ words: String) {
      expectError(.shapeMismatch, "Layer \"0\": reshape", words) {
        _ = try Model.sequential([Reshape(to)], inputShape: from)
      }
    }
    refuses([12], [5, 2], "the 12 values of [12]; the shape [5, 2] holds 10")
    refuses([12], [5, -1], "leave no whole number for the -1 of [5, -1]")
    refuses([0], [0, -1], "leave no whole number")
    refuses([12], [-1, -1], "at most one -1")
    refuses([12], [-2, 6], "0 or more")
    refuses([1], [Int](repeating: 1, count: 16), "at most 15 axes (the batch is one more); got 16")
    expectError(.shapeMismatch, "more elements than memory") {
      _ = try Model.sequential([Reshape([Int.max, Int.max])], inputShape: [1])
    }
  }

  @Test(arguments: [[3, 4, 5], [2, 7], [1, 5], [5, 1], [4], [33, 20, 3]]) func channelOrder(_ shape: [Int]) throws {
    let last = try Model.sequential([ChannelsLast()], inputShape: shape)
    #expect(last.outputShapes == [Array(shape.dropFirst()) + [shape[0]]])
    let first = try Model.sequential([ChannelsFirst()], inputShape: last.outputShapes[0])
    #expect(first.outputShapes == [shape])
    let x = try randomTensor([3] + shape, seed: 1)
    #expect(try first.predict(last.predict(x)).values == x.values)
    // Element [n, c, p] is at [n, p, c].
    let (channels, places) = (shape[0], shape.dropFirst().reduce(1, *))
    let y = try last.predict(x).values
    for i in y.indices {
      let (place, channel) = (i / channels, i % channels)
      #expect(y[i] == x.values[(place / places * channels + channel) * places + place % places])
    }
    if places * channels < 100 {
      let net = try Model.sequential([ChannelsLast(), BatchNorm(), ChannelsFirst(), Flatten(), Dense(2)], inputShape: shape)
      try checkGradients(net, [x], terms: places * channels, seed: 5)
    }
  }

  /// Images of bytes, channels first: converted on the way into the plan, read where they are.
  @Test func bytes() throws {
    let net = try Model.sequential([ChannelsLast(), BatchNorm(), Flatten(), Dense(2)], inputShape: [3, 4, 4], seed: 3)
    var random = TestRandom(seed: 4)
    var bytes = (0..<5 * 48).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    let floats = try Tensor(bytes.map(Float.init), shape: [5, 3, 4, 4])
    let want = try net.predict(floats).values
    let got = try Tensor(shape: [5, 2])
    try bytes.withUnsafeMutableBytes { buffer in
      try net.predict([ArrayView(buffer.baseAddress, .uint8, shape: [5, 3, 4, 4])], into: [got.view()])
    }
    #expect(got.values == want)
  }

  @Test func files() throws {
    let layers: [any Layer] = [ChannelsLast(), Reshape([6, -1]), ChannelsFirst(), Flatten(), Dense(2)]
    let model = try Model.sequential(layers, inputShape: [3, 2, 2], seed: 1)
    let directory = try ScratchDirectory()
    try model.save(to: directory("shapes.safetensors"))
    let loaded = try Model.load(from: directory("shapes.safetensors"))
    let x = try randomTensor([4, 3, 2, 2], seed: 2)
    #expect(try loaded.predict(x).values == model.predict(x).values)
    #expect(loaded.layers.map(\.kind) == ["channels_last", "reshape", "channels_first", "flatten", "dense"])
  }
}
