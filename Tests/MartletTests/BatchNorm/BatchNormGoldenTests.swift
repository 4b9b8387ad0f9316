import MartletTestSupport
import Testing

@testable import Martlet

/// PyTorch's answers for every combination of flags: three training steps with gradients and moving statistics, then inference.
@Suite struct BatchNormGoldenTests {
  static let flags = ["scale1_shift1", "scale1_shift0", "scale0_shift1", "scale0_shift0"]
  static let cases =
    flags.flatMap { flag in
      ["moving_unbiased", "moving_biased", "cumulative_unbiased", "cumulative_biased", "frozen"].map { "\(flag)_\($0)" }
    } + ["batch_without_update"]

  @Test(arguments: ["batch_norm_1", "batch_norm_5", "batch_norm_33", "batch_norm_image"]) func threeSteps(_ file: String) throws
  {
    let golden = try GoldenFile(file)
    for name in Self.cases { try check(golden, name) }
    // Every case of the file has been read.
    #expect(Set(golden.names.compactMap { $0.contains("/") ? String($0.prefix { $0 != "/" }) : nil }) == Set(Self.cases))
  }

  private func check(_ golden: GoldenFile, _ name: String) throws {
    func flag(_ field: String) throws -> Bool { try golden.flag("\(name)/\(field)") }
    func tensor(_ record: String) throws -> Tensor { try Tensor(golden.floats(record), shape: golden(record).shape) }
    let norm = try BatchNorm(
      momentum: flag("cumulative") ? nil : golden.number("\(name)/momentum"), scale: flag("scale"), shift: flag("shift"),
      biasedMovingVariance: flag("biased"), normalizer: flag("normalize_with_moving") ? .moving : .batch,
      updatesMoving: flag("updates_moving"))
    // The batches' images are of different sizes; to batch norm they are rows of pixels.
    func rows(_ record: String) throws -> Tensor {
      let t = try tensor(record)
      return try t.reshaped(to: [t.count / (t.shape.last ?? 1), t.shape.last ?? 1])
    }
    let model = try Model.sequential([norm], inputShape: Array(golden("x_1").shape.suffix(1)))
    if norm.scale { try model.variable(named: "0.weight").set(golden.floats("scale")) }
    if norm.shift { try model.variable(named: "0.bias").set(golden.floats("shift")) }
    try model.variable(named: "0.running_mean").set(golden.floats("moving_mean_0"))
    try model.variable(named: "0.running_var").set(golden.floats("moving_variance_0"))
    for step in 1...3 {
      let (x, g) = (try rows("x_\(step)"), try rows("grad_output_\(step)"))
      let values = x.count / (x.shape.last ?? 1)
      let y = try model.forward(x, training: true)
      let dx = try model.backward(g)
      func expect(_ got: [Float], _ record: String, _ tolerance: Double) throws {
        expectClose(
          got, try golden("\(name)/\(record)_\(step)").values, within: tolerance, "\(golden.name) \(name) \(record)_\(step)")
      }
      // The narrowest channel decides how much one rounding of x counts; the moving variances are 0.5 and more.
      let deviation = try smallestDeviation(x, frozen: norm.normalizer == .moving, golden)
      let scale = norm.scale ? largest(try golden.floats("scale")) : 1
      let yHat = (largest(x.values) + 3) / deviation
      try expect(y.values, "y", Tolerance.network(depth: 1, terms: 0, magnitude: scale * yHat + 2))
      let size = scale / deviation * largest(g.values) * (1 + min(yHat, Double(values).squareRoot()))
      try expect(dx.values, "grad_input", Tolerance.network(depth: 1, terms: values, magnitude: size))
      let sums = Tolerance.network(depth: 1, terms: values, magnitude: Double(values) * largest(g.values) * (1 + yHat))
      if norm.scale { try expect(model.variable(named: "0.weight").gradientValues, "grad_scale", sums) }
      if norm.shift { try expect(model.variable(named: "0.bias").gradientValues, "grad_shift", sums) }
      let statistics = Tolerance.steps(6) * (largest(x.values) + 1) * (largest(x.values) + 1)
      try expect(model.values("0.running_mean"), "moving_mean", statistics)
      try expect(model.values("0.running_var"), "moving_variance", statistics)
    }
    let x = try rows("x_inference")
    let variance = try model.values("0.running_var").map { Double($0) + 1e-5 }.min() ?? 1
    let scale = norm.scale ? largest(try golden.floats("scale")) : 1
    expectClose(
      try model.predict(x).values, try golden("\(name)/y_inference").values,
      within: Tolerance.network(depth: 2, terms: 0, magnitude: scale * (largest(x.values) + 3) / variance.squareRoot() + 2),
      "\(golden.name) \(name) y_inference")
  }

  private func smallestDeviation(_ x: Tensor, frozen: Bool, _ golden: GoldenFile) throws -> Double {
    if frozen { return try golden("moving_variance_0").values.min()?.squareRoot() ?? 1 }
    let channels = x.shape.last ?? 1
    var smallest = Double.infinity
    for c in 0..<channels {
      let values = stride(from: c, to: x.count, by: channels).map { x.doubles[$0] }
      let mean = values.reduce(0, +) / Double(values.count)
      smallest = min(smallest, values.reduce(1e-5) { $0 + ($1 - mean) * ($1 - mean) / Double(values.count) })
    }
    return smallest.squareRoot()
  }
}
