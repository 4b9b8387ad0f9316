import MartletTestSupport
import ReferenceKernels
import Testing

@testable import Martlet

/// The plain functions against PyTorch and against the layers.
@Suite struct NormalizationFunctionTests {
  private struct Case {
    let golden: GoldenFile
    let name: String
    let layer: any Normalization

    init(_ golden: GoldenFile, _ name: String) throws {
      self.golden = golden
      self.name = name
      let (scale, shift) = (golden.has("\(name)/scale"), golden.has("\(name)/shift"))
      let epsilon = try golden.number("\(name)/epsilon")
      let groups = Int(try golden.number("\(name)/groups"))
      let all: LayerNorm.Axes = try golden.flag("\(name)/over_all") ? .all : .last
      let layers: [any Normalization] = [
        LayerNorm(epsilon: epsilon, over: all, scale: scale, shift: shift), RMSNorm(epsilon: epsilon, scale: scale),
        GroupNorm(groups, epsilon: epsilon, scale: scale, shift: shift),
        InstanceNorm(epsilon: epsilon, scale: scale, shift: shift),
      ]
      layer = layers[Int(try golden.number("\(name)/kind"))]
    }

    func tensor(_ record: String) throws -> Tensor {
      let record = "\(name)/\(record)"
      return try Tensor(golden.floats(record), shape: golden(record).shape)
    }

    func optional(_ record: String) throws -> Tensor? { golden.has("\(name)/\(record)") ? try tensor(record) : nil }

    /// Absolute: of rounding, given the largest number that enters, and the sum's length.
    func expect(_ got: [Float], _ record: String, magnitude: Double, terms: Int = 0) throws {
      try expectClose(
        got, golden("\(name)/\(record)").values, within: Tolerance.network(depth: 1, terms: terms, magnitude: magnitude + 1),
        "\(name)/\(record)")
    }
  }

  private static func cases() throws -> [Case] {
    let golden = try GoldenFile("normalization")
    return try golden.names.filter { $0.hasSuffix("/x") }.map { try Case(golden, String($0.dropLast(2))) }
  }

  @Test func goldens() throws {
    let cases = try Self.cases()
    #expect(cases.count == 19)
    for item in cases {
      let (x, g) = (try item.tensor("x"), try item.tensor("grad_output"))
      let (scale, shift) = (try item.optional("scale"), try item.optional("shift"))
      let (y, dx) = (try Tensor(shape: x.shape), try Tensor(shape: x.shape))
      let (ds, dt) = (try scale.map { try Tensor(shape: $0.shape) }, try shift.map { try Tensor(shape: $0.shape) })
      let parameters = NormalizationFunction.Parameters(scale: try scale?.view(), shift: try shift?.view())
      try NormalizationFunction.normalize(x.view(), with: item.layer, parameters, into: y.view())
      try NormalizationFunction.gradients(
        x.view(), with: item.layer, parameters, gradOutput: g.view(),
        into: NormalizationFunction.Gradients(
          input: dx.view(), parameters: NormalizationFunction.Parameters(scale: ds?.view(), shift: dt?.view())))
      let model = try Model.sequential([item.layer], inputShape: Array(x.shape.dropFirst()))
      try scale.map { try model.variable(named: "0.weight").set($0.values) }
      try shift.map { try model.variable(named: "0.bias").set($0.values) }
      #expect(try model.predict(x).bits == y.bits, "\(item.name)")
      #expect(try model.forward(x, training: true).bits == y.bits, "\(item.name)")
      #expect(try model.backward(g).bits == dx.bits, "\(item.name)")

      let size = largest(try item.tensor("y").values)
      try item.expect(y.values, "y", magnitude: size)
      let gradients = largest(try item.tensor("grad_input").values)
      try item.expect(dx.values, "grad_input", magnitude: gradients + 4 * largest(g.values), terms: 8)
      let sum = Double(x.shape[0]) * largest(g.values) * size
      if let ds {
        try item.expect(ds.values, "grad_scale", magnitude: sum)
        #expect(try model.variable(named: "0.weight").gradientValues == ds.values)
      }
      if let dt {
        try item.expect(dt.values, "grad_shift", magnitude: sum)
        #expect(try model.variable(named: "0.bias").gradientValues == dt.values)
      }
      withExtendedLifetime((x, g, scale, shift, y, dx, ds, dt)) {}
    }
  }

  @Test func filterResponseIsTheLayer() throws {
    let layer = FilterResponseNorm(learnsEpsilon: true)
    let model = try Model.sequential([layer], inputShape: [4, 3, 5], seed: 1)
    randomiseAffine(model, seed: 2)
    let (x, g) = (try randomTensor([3, 4, 3, 5], seed: 3), try randomTensor([3, 4, 3, 5], seed: 4))
    let names = ["weight", "bias", "threshold", "learned_epsilon"]
    let values = try names.map { try Tensor(model.values("0." + $0)) }
    let gradients = try names.map { _ in try Tensor(shape: [5]) }
    func parameters(_ list: [Tensor]) throws -> NormalizationFunction.Parameters {
      try NormalizationFunction.Parameters(
        scale: list[0].view(), shift: list[1].view(), threshold: list[2].view(), learnedEpsilon: list[3].view())
    }
    let (y, dx) = (try Tensor(shape: x.shape), try Tensor(shape: x.shape))
    try NormalizationFunction.normalize(x.view(), with: layer, parameters(values), into: y.view())
    try NormalizationFunction.gradients(
      x.view(), with: layer, parameters(values), gradOutput: g.view(),
      into: NormalizationFunction.Gradients(input: dx.view(), parameters: parameters(gradients)))
    #expect(try model.forward(x, training: true).bits == y.bits)
    #expect(try model.backward(g).bits == dx.bits)
    for (name, gradient) in zip(names, gradients) {
      #expect(try model.variable(named: "0." + name).gradientValues == gradient.values, "\(name)")
      #expect(gradient.values.contains { $0 != 0 }, "\(name)")
    }
    withExtendedLifetime((x, g, values, gradients, y, dx)) {}
  }

  /// In place, and from strided or converted memory: the bits of the contiguous copy.
  @Test func memory() throws {
    let x = try randomTensor([4, 3, 6], seed: 1)
    let want = try Tensor(shape: x.shape)
    for layer in [LayerNorm(), RMSNorm(), GroupNorm(2), InstanceNorm(), FilterResponseNorm()] as [any Normalization] {
      try NormalizationFunction.normalize(x.view(), with: layer, into: want.view())
      var own = x
      try own.withMutableFloats { _ in }
      try NormalizationFunction.normalize(own.view(), with: layer, into: own.view())
      #expect(own == want, "\(layer)")
      var doubles = x.doubles
      let y = try Tensor(shape: x.shape)
      try doubles.withUnsafeMutableBytes {
        try NormalizationFunction.normalize(
          ArrayView($0.baseAddress, .float64, shape: [4, 3, 6]), with: layer, into: y.view())
      }
      #expect(y == want, "\(layer)")
      let strided = try ArrayView(x.storage.base, .float32, shape: [4, 3, 6], strides: [0, 6, 1])
      try NormalizationFunction.normalize(strided, with: layer, into: y.view())
      #expect(try y.rows(3..<4).values == want.rows(0..<1).values, "\(layer)")
      // The gradient over its cotangent.
      var g = try randomTensor([4, 3, 6], seed: 2)
      try g.withMutableFloats { _ in }
      let apart = try Tensor(shape: x.shape)
      try NormalizationFunction.gradients(
        x.view(), with: layer, gradOutput: g.view(), into: NormalizationFunction.Gradients(input: apart.view()))
      try NormalizationFunction.gradients(
        x.view(), with: layer, gradOutput: g.view(), into: NormalizationFunction.Gradients(input: g.view()))
      #expect(g == apart, "\(layer)")
      withExtendedLifetime((own, y, apart)) {}
    }
    withExtendedLifetime((x, want)) {}
  }

  @Test func errors() throws {
    let x = try randomTensor([2, 3], seed: 1)
    let y = try Tensor(shape: [2, 3])
    let (three, four) = (try Tensor([1, 1, 1]), try Tensor(shape: [4]))
    func normalize(
      _ layer: any Normalization, _ x: ArrayView, _ parameters: NormalizationFunction.Parameters = .init(),
      into target: ArrayView
    ) throws {
      try NormalizationFunction.normalize(x, with: layer, parameters, into: target)
    }
    let (source, target) = (try x.view("x"), try y.view("y"))
    expectError(.shapeMismatch, "scale", "[3]", "[4] came") {
      try normalize(LayerNorm(), source, .init(scale: four.view()), into: target)
    }
    expectError(.invalidArgument, "shift: rms_norm has none") {
      try normalize(RMSNorm(), source, .init(shift: three.view()), into: target)
    }
    expectError(.invalidArgument, "threshold: group_norm has none") {
      try normalize(GroupNorm(1), source, .init(threshold: three.view()), into: target)
    }
    expectError(.invalidArgument, "learned_epsilon: layer_norm has none") {
      try normalize(LayerNorm(), source, .init(learnedEpsilon: three.view()), into: target)
    }
    expectError(.shapeMismatch, "2 groups do not divide 3") { try normalize(GroupNorm(2), source, into: target) }
    expectError(.shapeMismatch, "2 or more values") { try normalize(InstanceNorm(), source, into: target) }
    expectError(.invalidArgument, "epsilon") { try normalize(LayerNorm(epsilon: 0), source, into: target) }
    expectError(.shapeMismatch, "y", "[4] came") { try normalize(LayerNorm(), source, into: four.view()) }
    expectError(.shapeMismatch, "[1, C]") { try normalize(LayerNorm(), four.view(), into: four.view()) }
    expectError(.invalidArgument, "y shares memory with x") {
      try normalize(LayerNorm(), source, into: ArrayView(x.storage.base + 4, .float32, shape: [2, 3]))
    }
    expectError(.invalidArgument, "contiguous float32") {
      try normalize(LayerNorm(), source, into: ArrayView(y.storage.base, .float32, shape: [2, 3], strides: [1, 2]))
    }
    expectError(.invalidArgument, "grad_shift: rms_norm has none") {
      try NormalizationFunction.gradients(
        source, with: RMSNorm(), gradOutput: source,
        into: NormalizationFunction.Gradients(parameters: NormalizationFunction.Parameters(shift: three.view())))
    }
    expectError(.shapeMismatch, "grad_output") {
      try NormalizationFunction.gradients(source, with: RMSNorm(), gradOutput: four.view(), into: .init())
    }
    #expect(y.values == [0, 0, 0, 0, 0, 0])
    // Nothing in, nothing out; sums over nothing are 0.
    let empty = try Tensor(shape: [0, 3])
    try normalize(LayerNorm(), empty.view(), into: empty.view())
    try NormalizationFunction.gradients(
      empty.view(), with: LayerNorm(), gradOutput: empty.view(),
      into: NormalizationFunction.Gradients(parameters: NormalizationFunction.Parameters(scale: three.view())))
    #expect(three.values == [0, 0, 0])
    withExtendedLifetime((x, y, three, four, empty)) {}
  }
}
