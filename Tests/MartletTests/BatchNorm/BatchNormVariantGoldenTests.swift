import MartletTestSupport
import Testing

@testable import Martlet

/// The answers of Keras for padding and renormalisation, of PyTorch for virtual batches: one training step.
@Suite struct BatchNormVariantGoldenTests {
  static let cases = [
    "mask_sequences", "mask_images", "renorm_tight", "renorm_wide", "renorm_images", "virtual_rows", "virtual_images",
  ]

  @Test func everyCase() throws {
    let golden = try GoldenFile("batch_norm_variants")
    for name in Self.cases { try check(golden, name) }
    #expect(Set(golden.names.map { String($0.prefix { $0 != "/" }) }) == Set(Self.cases))
  }

  private func check(_ golden: GoldenFile, _ name: String) throws {
    func tensor(_ record: String) throws -> Tensor {
      try Tensor(golden.floats("\(name)/\(record)"), shape: golden("\(name)/\(record)").shape)
    }
    var norm = BatchNorm(biasedMovingVariance: name.hasPrefix("mask"))
    if name.hasPrefix("renorm") {
      norm.renormalization = try BatchRenormalization(
        maximumRatio: golden.number("\(name)/r_max"), maximumDistance: golden.number("\(name)/d_max"), ratioRamp: .init(0, 0),
        distanceRamp: .init(0, 0))
    }
    if name.hasPrefix("virtual") { norm.virtualBatchSize = try Int(golden.number("\(name)/virtual_batch_size")) }
    let x = try tensor("x")
    let shape = Array(x.shape.dropFirst())
    var graph = Graph()
    var inputs = [try graph.input(shape)]
    var arrays = [x]
    if name.hasPrefix("mask") {
      inputs.append(try graph.input(Array(shape.dropLast())))
      arrays.append(try tensor("weights"))
    }
    let node = try graph.add(norm, to: inputs, name: "n")
    let model = try Model(graph, inputs: inputs, outputs: [node])
    for (variable, record) in [
      ("weight", "scale"), ("bias", "shift"), ("running_mean", "moving_mean_0"), ("running_var", "moving_variance_0"),
    ] { try model.variable(named: "n." + variable).set(tensor(record).values) }
    let r = try tensor("grad_output")
    try withExtendedLifetime((arrays, r)) {
      try model.forward(arrays.map { try $0.view() }, training: true)
      try model.backward([r.view()])
    }
    func expect(_ got: [Float], _ record: String, _ tolerance: Double) throws {
      expectClose(got, try golden("\(name)/\(record)").values, within: tolerance, "\(name) \(record)")
    }
    // Deviations are 0.25 and more, a virtual batch's perhaps a fifth of that; corrections multiply by up to 3.
    let values = x.count / (x.shape.last ?? 1)
    let (scale, yHat) = (largest(try tensor("scale").values), 3 * largest(try tensor("y").values) + 20)
    try expect(model.output(0).copied, "y", Tolerance.network(depth: 1, terms: 0, magnitude: scale * yHat + 2))
    let size = 3 * scale / 0.05 * largest(r.values) * 4
    try expect(model.inputGradient(0).copied, "grad_input", Tolerance.network(depth: 1, terms: values, magnitude: size))
    let sums = Tolerance.network(depth: 1, terms: values, magnitude: Double(values) * largest(r.values) * 8)
    try expect(model.variable(named: "n.weight").gradientValues, "grad_scale", sums)
    try expect(model.variable(named: "n.bias").gradientValues, "grad_shift", sums)
    if name.hasPrefix("renorm") { return }
    let statistics = Tolerance.steps(6) * (largest(x.values) + 1) * (largest(x.values) + 1)
    try expect(model.values("n.running_mean"), "moving_mean", statistics)
    try expect(model.values("n.running_var"), "moving_variance", statistics)
  }
}
