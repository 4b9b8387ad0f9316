import MartletTestSupport
import Testing

@testable import Martlet

/// Checks and certificates name tensors and outputs that are not finite.
@Suite struct FiniteCheckTests {
  private func network() throws -> Model {
    try Model.sequential([Dense(4, bias: false), BatchNorm(), ReLU(), Dense(2)], inputShape: [3], seed: 1)
  }

  private func poison(_ model: Model, _ name: String, at places: [Int], _ value: Float = .nan) throws {
    let variable = try model.variable(named: name)
    var values = variable.values
    for place in places { values[place] = value }
    variable.set(values)
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity]) func tensorsAreFoundWithAndWithoutData(_ value: Float) throws {
    let model = try network()
    try poison(model, "0.weight", at: [1, 2, 9], value)
    try poison(model, "1.running_var", at: [2], value)
    let x = try randomTensor([20, 3], seed: 2)
    for findings in [try model.check(), try model.check(on: x)] {
      let parameter = try #require(findings.first { $0.code == .nonfiniteParameter })
      #expect(parameter.severity == .error && parameter.layer == "0" && parameter.value == 3 && parameter.channels == [0, 3])
      #expect(parameter.message.contains("\"0.weight\"") && parameter.message.contains("3 of 12"))
      let statistic = try #require(findings.first { $0.code == .nonfiniteStatistic })
      #expect(statistic.severity == .error && statistic.layer == "1" && statistic.value == 1 && statistic.channels == [2])
    }
    let clean = try network()
    let codes: [Finding.Code] = [.nonfiniteParameter, .nonfiniteStatistic, .nonfiniteOutput]
    #expect(try clean.check(on: x).allSatisfy { !codes.contains($0.code) })
  }

  @Test func outputsAreFound() throws {
    let model = try Model.sequential([Dense(1, bias: false)], inputShape: [1], seed: 1)
    try model.variable(named: "0.weight").set([1e30])
    let x = try Tensor([1, 1e20, 2, 1e30], shape: [4, 1])
    let finding = try #require(try model.check(on: x).first)
    #expect(finding.code == .nonfiniteOutput && finding.severity == .error && finding.value == 2)
    #expect(finding.message.contains("2 of 4 rows") && finding.message.contains("row 1"))
  }

  @Test func foldingCertificates() throws {
    let model = try network()
    try poison(model, "0.weight", at: [1])
    let x = try randomTensor([20, 3], seed: 2)
    let (folded, certificate) = try model.folded(checkedOn: x)
    #expect(!certificate.isWithinBounds)
    #expect(certificate.nonfiniteTensors == ["0.weight"])
    #expect(certificate.description.contains("\"0.weight\"") || certificate.description.contains("0.weight"))
    #expect(certificate.description.contains("NOT FINITE"))
    let output = try #require(certificate.outputs?.first)
    #expect(output.absolute.isNaN && !output.isWithinBound)
    #expect(try folded.predict(x).values.contains { $0.isNaN })
    #expect(try model.folded().certificate.nonfiniteTensors == ["0.weight"])
    let clean = try network().folded(checkedOn: x).certificate
    #expect(clean.isWithinBounds && clean.nonfiniteTensors.isEmpty && !clean.description.contains("NOT FINITE"))
  }

  /// A row with a NaN is no hit, whichever its label.
  @Test func accuracy() throws {
    let logits = try Tensor([.nan, 1, 2, .nan, 3, 1], shape: [3, 2])
    for label in [Int32(0), 1] {
      let labels = [label, label, 0]
      let result = try labels.withUnsafeBufferPointer { buffer in
        try Loss.crossEntropy(
          logits.view("x"),
          ArrayView(UnsafeMutableRawPointer(mutating: buffer.baseAddress), .int32, shape: [3], argument: "labels"))
      }
      #expect(result.correct == 1)
    }
    let probabilities = try Tensor([0, 1, 0, 1, 1, 0], shape: [3, 2])
    #expect(try Loss.crossEntropy(logits.view("x"), probabilities.view("t")).correct == 1)
    let targets = try Tensor([0, 1, 0, 1, 1, 1], shape: [3, 2])
    #expect(try Loss.binaryCrossEntropy(logits.view("x"), targets.view("t")).correct == 1)
    withExtendedLifetime((logits, probabilities, targets)) {}
  }

  @Test func anUnfittedInputNormalizationIsRefused() throws {
    let model = try Model.sequential([InputNormalization(), Dense(2)], inputShape: [3], seed: 1)
    let x = try randomTensor([20, 3], seed: 2)
    let trainer = try Trainer(model, loss: .meanSquaredError, optimizer: .sgd())
    expectError(.invalidState, "\"0\"", "fit_input_normalization") { _ = try model.predict(x) }
    expectError(.invalidState, "fit_input_normalization") { _ = try model.forward(x, training: true) }
    expectError(.invalidState, "fit_input_normalization") { try trainer.step(x, targets: Tensor(shape: [20, 2])) }
    let finding = try #require(try model.check(on: x).first)
    #expect(finding.code == .inputNormalizationNotFitted && finding.severity == .error && finding.layer == "0")
    try withExtendedLifetime(x) { try model.fitInputNormalization([x.view("x")]) }
    _ = try model.predict(x)
    try trainer.step(x, targets: Tensor(shape: [20, 2]))
    #expect(try model.check(on: x).allSatisfy { $0.code != .inputNormalizationNotFitted })
  }
}
