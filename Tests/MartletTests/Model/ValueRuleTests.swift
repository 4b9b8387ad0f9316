// Statistics and counters that are nonsense, through every door that writes tensors.
import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct ValueRuleTests {
  let directory: ScratchDirectory
  init() throws { directory = try ScratchDirectory() }

  private func network(_ norm: BatchNorm = BatchNorm()) throws -> Model {
    try .sequential([InputNormalization(), Dense(5), norm, Dense(3)], inputShape: [4], seed: 1)
  }

  /// A tensor, an element of it and a value that it cannot have, and what is said of it.
  private static let nonsense: [(name: String, place: Int, value: Double, words: String)] = [
    ("2.running_var", 2, -0.5, "2.running_var: expected finite numbers of 0 or more, as a variance is; got -0.5 in channel 2"),
    ("2.running_var", 0, -9e-6, "got -9e-06 in channel 0"), ("2.running_var", 4, .nan, "got nan in channel 4"),
    ("2.running_var", 1, .infinity, "got inf in channel 1"),
    ("2.running_mean", 3, .nan, "2.running_mean: expected finite numbers; got nan in channel 3"),
    ("2.running_mean", 3, -.infinity, "got -inf in channel 3"), ("2.num_batches_tracked", 0, -1, "got -1.0"),
    ("2.num_batches_skipped", 0, -3, "got -3.0"), ("2.num_batches_tracked", 0, 0x1p60, "2.num_batches_tracked"),
    ("0.mean", 1, .nan, "0.mean: expected finite numbers; got nan in channel 1"),
    ("0.variance", 3, -1, "got -1.0 in channel 3"),
    ("0.variance", 3, .infinity, "got inf in channel 3"),
    ("0.count", 0, -1, "0.count: expected a whole number of 0 or more; got -1.0"),
  ]

  /// The variable's values as 64-bit numbers, one of them replaced.
  private func values(_ variable: Variable, _ place: Int, _ value: Double) throws -> [Double] {
    var values = [Double](repeating: 0, count: variable.count)
    try values.withUnsafeMutableBytes {
      try variable.copyValues(into: ArrayView($0.baseAddress, .float64, shape: variable.shape))
    }
    values[place] = value
    return values
  }

  @Test(arguments: nonsense.indices) func assignedTensors(_ index: Int) throws {
    let (name, place, value, words) = Self.nonsense[index]
    let model = try network()
    let before = model.allBytes
    let variable = try model.variable(named: name)
    let bias = try Tensor([9, 9, 9])
    for strides in [nil, [Int](repeating: 1, count: variable.shape.count)] {
      var values = try values(variable, place, value)
      try values.withUnsafeMutableBytes {
        let array = try ArrayView($0.baseAddress, .float64, shape: variable.shape, strides: strides)
        expectError(.invalidArgument, words) {
          try model.setVariables([("3.bias", bias.view()), (name, array)], strict: false)
        }
      }
    }
    #expect(model.allBytes == before)
  }

  @Test(arguments: nonsense.indices) func filesOfModelsAndOfWeights(_ index: Int) throws {
    let (name, place, value, words) = Self.nonsense[index]
    let (sound, broken) = (try network(), try network())
    // What no door takes is written to the memory itself.
    let variable = try broken.variable(named: name)
    switch variable.dataType {
    case .float64: variable.storage.doubles[place] = value
    case .int64: variable.storage.integers[place] = Int64(value)
    default: variable.mutableFloats[place] = Float(value)
    }
    try broken.save(to: directory("broken"))
    // Float32 holds a neighbour of -9e-6.
    let said = words.contains("-9e-06") ? "in channel 0" : words
    expectError(.corruptFile, directory("broken"), said) { _ = try Model.load(from: directory("broken")) }
    let before = sound.allBytes
    for strict in [true, false] {
      expectError(.invalidArgument, directory("broken"), name) {
        try sound.loadWeights(from: directory("broken"), strict: strict)
      }
    }
    #expect(sound.allBytes == before)
  }

  @Test func valuesThatOnlyTheirRoundingSpoils() throws {
    let model = try network()
    var large = [Double](repeating: 1e39, count: 5)
    try large.withUnsafeMutableBytes {
      let array = try ArrayView($0.baseAddress, .float64, shape: [5])
      expectError(.invalidArgument, "got 1e+39") {
        try model.setVariables([("2.running_var", array)], strict: false)
      }
    }
  }

  /// A batch norm that follows such batches by its options may be saved and read with what they left.
  @Test func batchNormsThatCountNonfiniteBatchesKeepWhatTheyGot() throws {
    let model = try network(BatchNorm(countsNonfiniteBatches: true))
    let (mean, variance) = (try model.variable(named: "2.running_mean"), try model.variable(named: "2.running_var"))
    mean.mutableFloats[1] = .nan
    variance.mutableFloats[1] = .nan
    variance.mutableFloats[2] = .infinity
    try model.save(to: directory("spoiled"))
    let loaded = try Model.load(from: directory("spoiled"))
    #expect(loaded.allBytes == model.allBytes)
    try network(BatchNorm(countsNonfiniteBatches: true)).loadWeights(from: directory("spoiled"))
    variance.mutableFloats[3] = -1
    try model.save(to: directory("negative"))
    expectError(.corruptFile, "2.running_var: expected numbers of 0 or more", "got -1.0 in channel 3") {
      _ = try Model.load(from: directory("negative"))
    }
  }
}
