import MartletTestSupport
import Testing

@testable import Martlet

/// The weights that folding makes: to the bit those of the formula in Float64, rounded once.
@Suite struct BatchNormFoldingTests {
  /// One norm's numbers in Float64, straight from its tensors.
  private struct Norm {
    let mean: [Double]
    let multiplier: [Double]
    let shift: [Double]

    init(_ model: Model, _ name: String) throws {
      let layer = try model.layer(named: name)
      let epsilon = try #require(layer.layer as? BatchNorm).epsilon
      mean = try model.values(name + ".running_mean").map(Double.init)
      let scale = layer.variable("weight")?.values.map(Double.init)
      multiplier = try model.values(name + ".running_var").enumerated().map { c, variance in
        (scale?[c] ?? 1) / (Double(variance) + epsilon).squareRoot()
      }
      shift = layer.variable("bias")?.values.map(Double.init) ?? mean.map { _ in 0 }
    }
  }

  @Test(arguments: [true, false], [(true, true), (false, true), (true, false), (false, false)])
  func behindDense(_ hasBias: Bool, _ affine: (scale: Bool, shift: Bool)) throws {
    let model = try Model.sequential(
      [Dense(5, bias: hasBias), BatchNorm(epsilon: 1e-3, scale: affine.scale, shift: affine.shift), Sigmoid(), Dense(2)],
      inputShape: [7], seed: 4)
    randomiseAffine(model, seed: 5)
    let (folded, certificate) = try model.folded()
    #expect(folded.layers.map(\.name) == ["0", "2", "3"])
    #expect(certificate.layers.map(\.outcome) == [.changed, .folded, .unchanged, .unchanged])
    #expect(certificate.layers[1].detail == "folded into \"0\" (dense)")
    #expect(certificate.outputs == nil && certificate.isWithinBounds)
    let (norm, weight) = (try Norm(model, "1"), try model.values("0.weight"))
    let bias = hasBias ? try model.values("0.bias").map(Double.init) : [Double](repeating: 0, count: 5)
    #expect(try folded.values("0.weight") == weight.enumerated().map { Float(Double($1) * norm.multiplier[$0 / 7]) })
    #expect(
      try folded.values("0.bias")
        == bias.enumerated().map { o, b in
          Float((b - norm.mean[o]) * norm.multiplier[o] + norm.shift[o])
        })
    #expect(try folded.values("3.weight") == model.values("3.weight"))
  }

  /// Plain, grouped and depthwise convolutions over images and sequences; padding does not matter to a norm behind.
  @Test(arguments: [1, 2, 6]) func behindConvolutions(_ groups: Int) throws {
    let layers: [(any Layer, shape: [Int], depth: Int)] = [
      (Conv2D(6, kernelSize: Extent2D(3, 2), padding: .same, groups: groups, bias: false), [5, 4, 6], 36 / groups),
      (Conv1D(6, kernelSize: 3, padding: .same, groups: groups), [9, 6], 18 / groups),
    ]
    for (layer, shape, depth) in layers {
      let model = try Model.sequential([layer, BatchNorm(), ReLU()], inputShape: shape, seed: 1)
      randomiseAffine(model, seed: 2)
      let x = try randomTensor([3] + shape, seed: 3)
      let (folded, certificate) = try model.folded(checkedOn: x)
      let (norm, weight) = (try Norm(model, "1"), try model.values("0.weight"))
      #expect(try folded.values("0.weight") == weight.enumerated().map { Float(Double($1) * norm.multiplier[$0 / depth]) })
      #expect(folded.layers.map(\.kind) == [type(of: layer).kind, "relu"])
      #expect(certificate.isWithinBounds, "\(certificate)")
      #expect(try #require(certificate.outputs)[0].bound < 1e-3, "\(certificate)")
    }
  }

  /// A norm before a layer without padding: the weights of each input channel, and what the shifts add up to.
  @Test(arguments: [1, 2, 4]) func beforeConvolutions(_ groups: Int) throws {
    let layers: [(any Layer, shape: [Int], taps: Int)] = [
      (Conv2D(4, kernelSize: Extent2D(2, 3), groups: groups, bias: groups == 2), [5, 4, 4], 6),
      (Conv2D(4, kernelSize: 1, padding: .same, groups: groups), [5, 4, 4], 1),
      (Conv1D(4, kernelSize: 3, groups: groups), [9, 4], 3),
    ]
    for (layer, shape, taps) in layers {
      let model = try Model.sequential([BatchNorm(), layer, Tanh()], inputShape: shape, seed: 1)
      randomiseAffine(model, seed: 2)
      let (folded, certificate) = try model.folded(checkedOn: randomTensor([3] + shape, seed: 3))
      #expect(folded.layers.map(\.name) == ["1", "2"])
      let (norm, weight) = (try Norm(model, "0"), try model.values("1.weight").map(Double.init))
      let old = try model.layer(named: "1").variable("bias")?.values.map(Double.init)
      let perGroup = 4 / groups
      var (weights, bias): ([Float], [Float]) = ([], [])
      for o in 0..<4 {
        var sum = old?[o] ?? 0
        for i in 0..<perGroup {
          let c = o / (4 / groups) * perGroup + i
          for tap in 0..<taps {
            let w = weight[(o * perGroup + i) * taps + tap]
            weights.append(Float(w * norm.multiplier[c]))
            sum += w * (norm.shift[c] - norm.mean[c] * norm.multiplier[c])
          }
        }
        bias.append(Float(sum))
      }
      #expect(try folded.values("1.weight") == weights)
      #expect(try folded.values("1.bias") == bias)
      #expect(certificate.isWithinBounds, "\(certificate)")
    }
  }

  /// Flatten between: channels come again and again along the features.
  @Test func throughNewShapes() throws {
    let behind = try Model.sequential([BatchNorm(), Flatten(), Dense(3)], inputShape: [2, 4, 3], seed: 1)
    let before = try Model.sequential([Dense(24), Reshape([2, 4, 3]), BatchNorm(), ReLU()], inputShape: [5], seed: 2)
    for (model, left) in [(behind, ["1", "2"]), (before, ["0", "1", "3"])] {
      randomiseAffine(model, seed: 3)
      let x = try randomTensor([9] + model.inputShapes[0], seed: 4)
      let (folded, certificate) = try model.folded(checkedOn: x)
      #expect(folded.layers.map(\.name) == left)
      #expect(certificate.isWithinBounds && certificate.foldedCount == 1, "\(certificate)")
      #expect(try #require(certificate.outputs)[0].bound < 1e-3, "\(certificate)")
    }
    let mixed = try Model.sequential(
      [Dense(24), Reshape([3, 4, 2]), Flatten(), Reshape([24, 1]), BatchNorm()], inputShape: [5])
    #expect(try mixed.folded().certificate.foldedCount == 1, "one channel is every channel's")
    // 6 features in rows of 4: a feature is now this channel, now that.
    let torn = try Model.sequential(
      [Dense(12), Reshape([2, 6]), Conv1D(6, kernelSize: 1), Reshape([3, 4]), BatchNorm()], inputShape: [5])
    let certificate = try torn.folded().certificate
    #expect(certificate.layers[4].outcome == .kept)
    #expect(certificate.layers[4].detail.contains("channels are mixed by a new shape"), "\(certificate)")
  }

  /// Several norms in one layer, before and behind, in Float64 all along: one rounding.
  @Test func severalNormsInOneLayer() throws {
    let model = try Model.sequential(
      [BatchNorm(), Dense(4, bias: false), BatchNorm(), BatchNorm(), Dense(2)], inputShape: [3], seed: 1)
    randomiseAffine(model, seed: 2)
    let x = try randomTensor([20, 3], seed: 3)
    let (folded, certificate) = try model.folded(checkedOn: x)
    #expect(folded.layers.map(\.name) == ["1", "4"])
    #expect(certificate.layers[1].detail == "took in \"0\", \"2\", \"3\"")
    #expect(certificate.isWithinBounds, "\(certificate)")
    let (first, second, third) = (try Norm(model, "0"), try Norm(model, "2"), try Norm(model, "3"))
    let weight = try model.values("1.weight").map(Double.init)
    #expect(
      try folded.values("1.weight")
        == weight.enumerated().map { i, w in
          Float(w * first.multiplier[i % 3] * second.multiplier[i / 3] * third.multiplier[i / 3])
        })
    // Against the naive forward pass in Float64, too.
    let want = ReferenceModel(model: model, isTraining: false).outputs(
      [x.doubles], ReferenceModel(model: model, isTraining: false).parameters)[0]
    expectClose(try folded.predict(x).values, want, within: Tolerance.network(depth: 5, terms: 4, magnitude: 1 + largest(want)))
  }

  /// What Float32 cannot hold is left as it was; NaN in a statistic too.
  @Test func outOfRange() throws {
    for (variance, value) in [(Float(1e-30), Float(1e38)), (.nan, 1), (-1, 1), (1, .infinity)] {
      let model = try Model.sequential([Dense(1), BatchNorm(epsilon: 1e-30), ReLU()], inputShape: [2], seed: 1)
      try model.variable(named: "1.running_var").set([variance])
      try model.variable(named: "0.weight").set([value, 1])
      let (folded, certificate) = try model.folded()
      #expect(certificate.layers[1].outcome == .kept)
      #expect(certificate.layers[1].detail.contains("not finite in Float32"), "\(certificate)")
      #expect(folded.layers.count == 3)
      #expect(try folded.values("0.weight") == [value, 1])
    }
  }
}
