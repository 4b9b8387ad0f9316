import MartletTestSupport
import ReferenceKernels
import Testing

@testable import Martlet

/// Batch norm's relatives as layers: gradients against differences of the Float64 reference, errors, files.
@Suite struct NormalizationLayerTests {
  private static let flags = [(true, true), (true, false), (false, true), (false, false)]

  private func check(_ layers: [any Layer], _ shape: [Int], rows: Int = 3, seed: UInt64 = 1) throws {
    let model = try Model.sequential(layers, inputShape: shape, seed: seed)
    try checkGradients(
      model, [randomTensor([rows] + shape, seed: seed &+ 20, -1.5...1.5)], terms: shape.reduce(1, *), seed: seed)
  }

  @Test func layerNorm() throws {
    for (scale, shift) in Self.flags {
      try check([LayerNorm(scale: scale, shift: shift)], [7])
      try check([LayerNorm(over: .all, scale: scale, shift: shift)], [2, 3, 2])
    }
    try check([LayerNorm()], [19], rows: 6)
    try check([LayerNorm(epsilon: 0.1)], [2, 3, 4])
    try check([LayerNorm(over: .all)], [5, 3], rows: 1)
    try check([Dense(6), LayerNorm(), Tanh(), Dense(5), LayerNorm(over: .all), Dense(2)], [4], rows: 5)
  }

  @Test func rmsNorm() throws {
    for scale in [true, false] { try check([RMSNorm(scale: scale)], [7]) }
    try check([RMSNorm(epsilon: 0.1)], [3, 18], rows: 2)
    try check([RMSNorm()], [1], rows: 4)
    try check([Dense(6), RMSNorm(), Sigmoid(), Dense(2)], [4], rows: 5)
  }

  @Test func groupNorm() throws {
    for (scale, shift) in Self.flags { try check([GroupNorm(3, scale: scale, shift: shift)], [2, 2, 6]) }
    for groups in [1, 2, 4] {
      try check([GroupNorm(groups)], [3, 3, 4], rows: 2)
      try check([GroupNorm(groups)], [8], rows: 4)
    }
    try check([GroupNorm(1)], [5, 17], rows: 1)
    try check([Conv2D(6, kernelSize: 2), GroupNorm(2), ReLU(), Flatten(), Dense(2)], [3, 3, 2], rows: 2)
  }

  @Test func instanceNorm() throws {
    for (scale, shift) in Self.flags { try check([InstanceNorm(scale: scale, shift: shift)], [3, 2, 3]) }
    try check([InstanceNorm()], [4, 18], rows: 2)
    #expect(try Model.sequential([InstanceNorm()], inputShape: [2, 3]).variables.isEmpty)
  }

  @Test func filterResponseNorm() throws {
    for (scale, shift) in Self.flags {
      for threshold in [true, false] {
        for learns in [true, false] {
          try check(
            [FilterResponseNorm(scale: scale, shift: shift, threshold: threshold, learnsEpsilon: learns)], [3, 2, 3], seed: 4)
        }
      }
    }
    try check([FilterResponseNorm(epsilon: 0.1, learnsEpsilon: true)], [5], rows: 6)
    try check([FilterResponseNorm()], [4, 18], rows: 2)
    try check([Conv2D(5, kernelSize: 2), FilterResponseNorm(), Flatten(), Dense(2)], [3, 3, 2], rows: 2)
  }

  /// A value read twice, one layer in two places, frozen numbers, gradients that add up.
  @Test func branches() throws {
    for norm in [LayerNorm(), GroupNorm(2), InstanceNorm(scale: true), FilterResponseNorm()] as [any Layer] {
      var graph = Graph()
      let x = try graph.input([2, 2, 4])
      let first = try graph.add(norm, to: x)
      let second = try graph.apply(layerOf: first, to: [graph.add(Tanh(), to: x)])
      let sum = try graph.add(Add(), to: [x, first, second])
      let model = try Model(graph, inputs: [x], outputs: [sum], seed: 3)
      try checkGradients(model, [randomTensor([3, 2, 2, 4], seed: 8)], terms: 16, seed: 6)
      let frozen = try #require(model.variables.first?.name)
      try model.setTrainable(frozen, false)
      try checkGradients(model, [randomTensor([3, 2, 2, 4], seed: 9)], terms: 16, seed: 7)
    }
  }

  /// A sample's result depends neither on its batch nor on the mode.
  @Test func samplesAreAlone() throws {
    let layers: [any Layer] = [
      LayerNorm(over: .all), GroupNorm(3), InstanceNorm(), FilterResponseNorm(), RMSNorm(), LayerNorm(),
    ]
    for layer in layers {
      let model = try Model.sequential([layer], inputShape: [9, 9, 24], seed: 1)
      randomiseAffine(model, seed: 5)
      let x = try randomTensor([70, 9, 9, 24], seed: 6, 0...3)
      let all = try model.predict(x)
      #expect(try model.forward(x, training: true).bits == all.bits, "\(layer)")
      for rows in [0..<1, 69..<70, 10..<43] {
        #expect(try model.predict(x.rows(rows)).bits == all.rows(rows).bits, "\(layer), \(rows)")
      }
      #expect(try model.predict(Tensor(shape: [0, 9, 9, 24])).values.isEmpty)
    }
  }

  @Test func errors() throws {
    func refuses(_ layer: any Layer, _ shape: [Int], _ kind: MartletError.Kind = .shapeMismatch, _ words: String...) {
      let error = martletError { _ = try Model.sequential([layer], inputShape: shape) }
      #expect(error?.kind == kind, "\(layer) of \(shape): \(error?.message ?? "no error")")
      for word in words + ["\"0\""] { #expect(error?.message.contains(word) == true, "\(error?.message ?? "")") }
    }
    refuses(GroupNorm(4), [3, 6], .shapeMismatch, "4 groups do not divide 6 channels", "divisor of 6")
    refuses(GroupNorm(0), [6], .invalidArgument, "groups must be 1 or more; 0")
    refuses(GroupNorm(-2), [6], .invalidArgument, "-2")
    refuses(GroupNorm(6), [6], .shapeMismatch, "2 or more values in each group", "fewer groups")
    refuses(InstanceNorm(), [1, 1, 6], .shapeMismatch, "2 or more values in each channel", "2 or more pixels")
    refuses(InstanceNorm(), [6], .shapeMismatch, "[6]")
    refuses(LayerNorm(), [4, 1], .shapeMismatch, "each position", "over all axes")
    refuses(LayerNorm(over: .all), [1, 1], .shapeMismatch, "each sample")
    for epsilon in [0, -1, .infinity, .nan, 1e-60] {
      refuses(LayerNorm(epsilon: epsilon), [4], .invalidArgument, "epsilon")
      refuses(RMSNorm(epsilon: epsilon), [4], .invalidArgument, "epsilon")
      refuses(GroupNorm(2, epsilon: epsilon), [4], .invalidArgument, "epsilon")
      refuses(InstanceNorm(epsilon: epsilon), [2, 4], .invalidArgument, "epsilon")
      refuses(FilterResponseNorm(epsilon: epsilon), [4], .invalidArgument, "epsilon")
    }
    for layer in [LayerNorm(), RMSNorm(), GroupNorm(1), InstanceNorm(), FilterResponseNorm()] as [any Layer] {
      refuses(layer, [], .shapeMismatch, "axis")
      refuses(layer, [3, 0], .shapeMismatch, "channels")
    }
    // No positions, no values: nothing to normalise, nothing wrong.
    for layer in [LayerNorm(), GroupNorm(2), FilterResponseNorm()] as [any Layer] {
      let model = try Model.sequential([layer], inputShape: [0, 4])
      #expect(try model.forward(Tensor(shape: [3, 0, 4]), training: true).values.isEmpty)
      #expect(try model.backward(Tensor(shape: [3, 0, 4])).values.isEmpty)
      #expect(model.variables.allSatisfy { $0.gradientValues.allSatisfy { $0 == 0 } })
    }
  }

  /// All options come back from a file, and so do the numbers.
  @Test func files() throws {
    let layers: [any Layer] = [
      LayerNorm(epsilon: 1e-3, over: .all, scale: false), LayerNorm(shift: false), RMSNorm(epsilon: 1e-4),
      RMSNorm(scale: false),
      GroupNorm(2, epsilon: 1e-2), GroupNorm(4, scale: false, shift: false), InstanceNorm(epsilon: 1e-3, shift: true),
      InstanceNorm(),
      FilterResponseNorm(epsilon: 1e-3, shift: false, learnsEpsilon: true), FilterResponseNorm(scale: false, threshold: false),
    ]
    let model = try Model.sequential(layers, inputShape: [3, 2, 4], seed: 1)
    randomiseAffine(model, seed: 9)
    let directory = try ScratchDirectory()
    try model.save(to: directory("net.safetensors"))
    let loaded = try Model.load(from: directory("net.safetensors"))
    #expect(try loaded.architectureText == model.architectureText)
    #expect(loaded.allBytes == model.allBytes)
    let x = try randomTensor([2, 3, 2, 4], seed: 3)
    #expect(try loaded.predict(x).bits == model.predict(x).bits)
    #expect(loaded.layers[0].layer as? LayerNorm == layers[0] as? LayerNorm)
    #expect(loaded.layers[8].layer as? FilterResponseNorm == layers[8] as? FilterResponseNorm)
  }

  @Test func badFiles() throws {
    let good = try Model.sequential([LayerNorm(), GroupNorm(2)], inputShape: [4]).architectureText
    for (old, new, word) in [
      ("\"last\"", "\"first\"", "over"), ("\"groups\":2", "\"groups\":3", "divide"),
      ("\"groups\":2", "\"groups\":\"a\"", "integer"),
      ("\"shift\":true", "\"shift\":1", "boolean"),
    ] {
      #expect(good.contains(old), "\(good)")
      let text = good.replacingFirst(old, new)
      let error = martletError { _ = try ArchitectureDescription(JSON.parse(text, source: "test")) }
      #expect(error?.message.contains(word) == true, "\(error?.message ?? "no error")")
    }
  }

  /// Weight decay leaves them alone, as it does batch norm's.
  @Test func parametersAreNoWeights() throws {
    let model = try Model.sequential([LayerNorm(), FilterResponseNorm(learnsEpsilon: true)], inputShape: [4])
    #expect(
      model.variables.map(\.name) == [
        "0.weight", "0.bias", "1.weight", "1.bias", "1.threshold", "1.learned_epsilon",
      ])
    #expect(model.variables.allSatisfy { !$0.isWeight })
    #expect(try model.values("1.learned_epsilon") == [Float](repeating: 1e-4, count: 4))
    #expect(try Model.sequential([LayerNorm(over: .all)], inputShape: [2, 3]).variables[0].shape == [2, 3])
  }
}

extension String {
  fileprivate func replacingFirst(_ old: String, _ new: String) -> String {
    let (text, sought) = (Array(utf8), Array(old.utf8))
    for start in 0...max(text.count - sought.count, 0) where Array(text[start..<start + sought.count]) == sought {
      return String(decoding: text[..<start] + Array(new.utf8) + text[(start + sought.count)...], as: UTF8.self)
    }
    return self
  }
}
