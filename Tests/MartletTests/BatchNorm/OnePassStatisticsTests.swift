import MartletTestSupport
import ReferenceKernels
import Testing

@testable import Martlet

/// Population statistics of all layers in one pass, and of batches as they come.
@Suite struct OnePassStatisticsTests {
  private let rows = 23

  private func data(_ seed: UInt64 = 1, rows: Int = 23) throws -> Tensor {
    let noise = try randomTensor([rows, 4], seed: seed)
    return try Tensor(noise.values.enumerated().map { $1 + Float($0 / 4) / 10 }, shape: [rows, 4])
  }

  private func network(_ norm: BatchNorm = BatchNorm()) throws -> Model {
    let model = try Model.sequential(
      [Dense(6), norm, Sigmoid(), Dropout(0.5), Dense(5), BatchNorm(), Tanh()], inputShape: [4], seed: 5)
    randomiseAffine(model, seed: 6)
    return model
  }

  /// The inputs of a layer in training, batch by batch; momentum 1 and a rate of 0 leave everything as it is.
  private func trainingInputs(_ model: Model, of name: String, _ x: Tensor, cuts: [Range<Int>]) throws -> [Double] {
    let part = try model.submodel(outputs: [name])
    return try cuts.flatMap { try part.forward(x.rows($0), training: true).doubles }
  }

  private func expectStatistics(
    _ model: Model, _ name: String, of values: [Double], channels: Int, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let (mean, variance) = Reference.channelMoments(values, channels: channels)
    let n = Double(values.count / channels)
    let tolerance = Tolerance.network(depth: 4, terms: 6, magnitude: max(largest(values), 1))
    expectClose(
      try model.values("\(name).running_mean"), mean, within: tolerance, "mean \(name)", sourceLocation: sourceLocation)
    expectClose(
      try model.values("\(name).running_var"), variance.map { $0 * n / (n - 1) },
      within: 2 * tolerance * max(largest(values), 1),
      "variance \(name)", sourceLocation: sourceLocation)
  }

  static let variants: [BatchNorm] = [
    BatchNorm(momentum: 1), BatchNorm(momentum: 1, virtualBatchSize: 3),
    BatchNorm(
      momentum: 1,
      renormalization: BatchRenormalization(
        maximumRatio: 1.5, maximumDistance: 0.5, ratioRamp: .init(0, 0), distanceRamp: .init(0, 0))),
    BatchNorm(momentum: 1, normalizer: .moving, updatesMoving: false),
  ]

  /// Each layer's input is what training would give it, dropout apart; the pooled statistics are those of all of it.
  @Test(arguments: variants) func asInTraining(_ norm: BatchNorm) throws {
    let x = try data()
    let model = try Model.sequential([Dense(6), norm, Sigmoid(), Dense(5), BatchNorm(), Tanh()], inputShape: [4], seed: 5)
    randomiseAffine(model, seed: 6)
    let cuts = [0..<7, 7..<14, 14..<21, 21..<23]
    let reference = try model.clone()
    let first = try trainingInputs(reference, of: "0", x, cuts: cuts)
    let second = try trainingInputs(reference, of: "3", x, cuts: cuts)
    let parameters = ReferenceModel(model: model, isTraining: false).parameters
    try model.updatePopulationStatistics([x.view()], method: .onePass, batchSize: 7)
    try expectStatistics(model, "1", of: first, channels: 6)
    try expectStatistics(model, "4", of: second, channels: 5)
    for name in ["1", "4"] { #expect(try model.variable(named: "\(name).num_batches_tracked").integer == 4) }
    #expect(ReferenceModel(model: model, isTraining: false).parameters == parameters)
    // The two methods differ where a layer stands behind another.
    let other = try reference.clone()
    try other.updatePopulationStatistics([x.view()], method: .sequential, batchSize: 7)
    if norm == BatchNorm(momentum: 1) { #expect(try other.values("4.running_var") != model.values("4.running_var")) }
    expectClose(
      try other.values("1.running_mean"), try model.values("1.running_mean").map(Double.init), within: Tolerance.steps(2) * 4)
    withExtendedLifetime(x) {}
  }

  /// A last row alone is normalised by what was found up to it.
  @Test func aLastBatchOfOneRow() throws {
    let x = try data(rows: 22)
    let model = try network()
    let reference = try model.clone()
    let hidden = try trainingInputs(reference, of: "0", x, cuts: [0..<22])
    let (mean, variance) = Reference.channelMoments(hidden, channels: 6)
    let parameters = ReferenceModel(model: model, isTraining: false).parameters
    func second(_ values: [Double], _ mean: [Double], _ variance: [Double]) -> [Double] {
      let y = Reference.normalise(
        values, mean: mean, variance: variance, epsilon: 1e-5, scale: parameters["1.weight"], shift: parameters["1.bias"])
      return Reference.dense(
        y.map { Reference.activation(Activation.sigmoid.rawValue, $0) }, inputs: 6, units: 5,
        weight: parameters["4.weight"] ?? [], bias: parameters["4.bias"])
    }
    var inputs: [Double] = []
    for first in stride(from: 0, to: 21, by: 7) {
      let batch = Array(hidden[first * 6..<(first + 7) * 6])
      let (mean, variance) = Reference.channelMoments(batch, channels: 6)
      inputs += second(batch, mean, variance)
    }
    inputs += second(Array(hidden[21 * 6..<22 * 6]), mean, variance)
    try withExtendedLifetime(x) { try model.updatePopulationStatistics([x.view()], method: .onePass, batchSize: 7) }
    try expectStatistics(model, "5", of: inputs, channels: 5)
    #expect(try model.variable(named: "5.num_batches_tracked").integer == 4)
  }

  /// A layer in two places pools what it reads in both.
  @Test(arguments: PopulationMethod.allCases) func sharedLayers(_ method: PopulationMethod) throws {
    var graph = Graph()
    let (a, b) = (try graph.input([3]), try graph.input([3]))
    let first = try graph.add(BatchNorm(), to: a, name: "norm")
    let second = try graph.apply(layerOf: first, to: [b])
    let sum = try graph.add(Add(), to: [first, second])
    let model = try Model(graph, inputs: [a, b], outputs: [sum], seed: 1)
    let (x, y) = (try randomTensor([10, 3], seed: 1), try randomTensor([10, 3], seed: 2, 3...5))
    try withExtendedLifetime((x, y)) {
      try model.updatePopulationStatistics([x.view(), y.view()], method: method, batchSize: 3)
    }
    try expectStatistics(model, "norm", of: x.doubles + y.doubles, channels: 3)
  }

  /// With weights, rows count as often as they say.
  @Test func weights() throws {
    var graph = Graph()
    let (a, w) = (try graph.input([2]), try graph.input([]))
    let norm = try graph.add(BatchNorm(), to: [a, w], name: "norm")
    let model = try Model(graph, inputs: [a, w], outputs: [norm], seed: 1)
    let x = try randomTensor([7, 2], seed: 1, 3...9)
    let weights = try Tensor([1, 0, 2, 0, 0, 1, 1], shape: [7])
    try withExtendedLifetime((x, weights)) {
      // The second batch of two has no weight, the third less than two rows.
      try model.updatePopulationStatistics([x.view(), weights.view()], method: .onePass, batchSize: 2)
    }
    let repeated = [0, 2, 2, 5, 6].flatMap { Array(x.doubles[2 * $0..<2 * $0 + 2]) }
    try expectStatistics(model, "norm", of: repeated, channels: 2)
  }

  /// The same batches one by one give the same bits; each method goes through them as often as it says.
  @Test(arguments: PopulationMethod.allCases) func batchesAsTheyCome(_ method: PopulationMethod) throws {
    let x = try data()
    let (whole, model) = (try network(), try network())
    try withExtendedLifetime(x) { try whole.updatePopulationStatistics([x.view()], method: method, batchSize: 6) }
    var passes: [Int] = []
    let empty = try Tensor(shape: [0, 4])
    try model.updatePopulationStatistics(method: method) { pass, take in
      passes.append(pass)
      for first in stride(from: 0, to: rows, by: 6) {
        let part = try x.rows(first..<min(first + 6, rows))
        try withExtendedLifetime(part) { try take([part.view()]) }
        try withExtendedLifetime(empty) { try take([empty.view()]) }
      }
    }
    #expect(passes == (method == .onePass ? [0] : [0, 1]))
    #expect(model.allBytes == whole.allBytes)
    // Batches that grow.
    let growing = try network()
    try growing.updatePopulationStatistics(method: method) { _, take in
      for range in [0..<2, 2..<8, 8..<rows] {
        let part = try x.rows(range)
        try withExtendedLifetime(part) { try take([part.view()]) }
      }
    }
    #expect(try growing.variable(named: "1.num_batches_tracked").integer == 3)
    expectClose(
      try growing.values("1.running_mean"), try whole.values("1.running_mean").map(Double.init), within: Tolerance.steps(2) * 4)
  }

  private struct Stopped: Error {}

  /// Whatever goes wrong on the way, the model is as it was.
  @Test(arguments: PopulationMethod.allCases) func aFailureChangesNothing(_ method: PopulationMethod) throws {
    let x = try data()
    let model = try network()
    let before = model.allBytes
    // A source that fails in its first pass, or (where there is one) in the second.
    for failing in 0..<(method == .sequential ? 2 : 1) {
      #expect(throws: Stopped.self) {
        try model.updatePopulationStatistics(method: method) { pass, take in
          try withExtendedLifetime(x) { try take([x.view()]) }
          if pass == failing { throw Stopped() }
        }
      }
    }
    let wrong = try Tensor(shape: [3, 5])
    expectError(.shapeMismatch, "batch[0]") {
      try model.updatePopulationStatistics(method: method) { _, take in
        try withExtendedLifetime((x, wrong)) {
          try take([x.view()])
          try take([wrong.view()])
        }
      }
    }
    expectError(.invalidArgument, "0 rows came") { try model.updatePopulationStatistics(method: method) { _, _ in } }
    if method == .sequential {
      expectError(.invalidArgument, "the first gave 23, pass 2 46") {
        try model.updatePopulationStatistics(method: method) { pass, take in
          try withExtendedLifetime(x) { for _ in 0...pass { try take([x.view()]) } }
        }
      }
    } else {
      let one = try x.rows(0..<1)
      withExtendedLifetime(one) {
        expectError(.invalidArgument, "Layer \"1\"", "Begin with a larger batch") {
          try model.updatePopulationStatistics([one.view()], method: method)
        }
      }
    }
    #expect(model.allBytes == before)
  }
}
