import MartletTestSupport
import ReferenceKernels
import Testing

@testable import Martlet

@Suite struct LossTests {
  private func evaluate(_ loss: Loss, _ output: Tensor, _ target: Tensor) throws -> (TrainingResult, Tensor) {
    let gradient = try Tensor(shape: output.shape)
    let result = try loss(output.view(), target.view(), gradient: gradient.view())
    return withExtendedLifetime((output, target)) { (result, gradient) }
  }

  private func labelled(_ output: Tensor, _ labels: [Int32]) throws -> (TrainingResult, Tensor) {
    let gradient = try Tensor(shape: output.shape)
    var labels = labels
    let result = try labels.withUnsafeMutableBytes {
      try Loss.crossEntropy(
        output.view(), ArrayView($0.baseAddress, .int32, shape: [output.shape[0]]), gradient: gradient.view())
    }
    return withExtendedLifetime(output) { (result, gradient) }
  }

  static let cases = [
    "labels", "labels_large", "labels_one_row", "probabilities", "mean_squared_error", "mean_squared_error_vector", "binary",
    "binary_soft", "binary_large",
  ]

  @Test(arguments: cases) func goldens(_ name: String) throws {
    let golden = try GoldenFile("losses")
    let loss = try #require(Loss(rawValue: Int32(golden.number("\(name)/kind"))))
    let output = try Tensor(golden.floats("\(name)/output"), shape: golden("\(name)/output").shape)
    let target = try golden("\(name)/target")
    let (result, gradient) =
      target.type == "int64"
      ? try labelled(output, target.values.map { Int32($0) })
      : try evaluate(loss, output, Tensor(target.values.map { Float($0) }, shape: target.shape))
    let want = try golden.number("\(name)/loss")
    #expect(abs(result.loss - want) <= Tolerance.loss(magnitude: largest(output.values) + 1), "\(result.loss), not \(want)")
    let wantGradient = try golden("\(name)/gradient").values
    // Each element is a difference of two numbers of at most (|x| + |t|)/rows, or of probabilities over rows.
    let size = loss == .meanSquaredError ? 2 * (largest(output.values) + largest(target.values)) : 1
    expectClose(gradient.values, wantGradient, within: Tolerance.steps(12) * size / Double(output.shape[0]), name)
    if golden.has("\(name)/correct"), loss.countsCorrect {
      #expect(try Double(result.correct ?? -1) == golden.number("\(name)/correct"))
    }
    #expect(result.rows == output.shape[0])
  }

  /// Against the formulas, on data of every row and class count.
  @Test(arguments: [(1, 2), (3, 2), (7, 10), (33, 17), (5, 100)]) func formulas(_ rows: Int, _ classes: Int) throws {
    let output = try randomTensor([rows, classes], seed: UInt64(rows), -4...4)
    let labels = (0..<rows).map { Int32($0 * 7 % classes) }
    let x = output.doubles
    let lines = (0..<rows).map { Array(x[$0 * classes..<($0 + 1) * classes]) }
    var oneHot = try Tensor(shape: [rows, classes])
    for (row, label) in labels.enumerated() { try oneHot.setElement(at: [row, Int(label)], to: 1) }
    let (byLabel, gradient) = try labelled(output, labels)
    let (byProbability, other) = try evaluate(.crossEntropy, output, oneHot)
    let t = oneHot.doubles
    let want =
      lines.indices.reduce(0.0) {
        $0 + Reference.crossEntropy(lines[$1], Array(t[$1 * classes..<($1 + 1) * classes]))
      } / Double(rows)
    #expect(abs(byLabel.loss - want) <= Tolerance.loss(magnitude: 8))
    #expect(abs(byProbability.loss - want) <= Tolerance.loss(magnitude: 8))
    #expect(byLabel.correct == byProbability.correct)
    #expect(byLabel.correct == lines.indices.filter { lines[$0].firstIndex(of: lines[$0].max() ?? 0) == Int(labels[$0]) }.count)
    let wantGradient = Reference.softmaxRows(x, columns: classes).indices.map {
      (Reference.softmaxRows(x, columns: classes)[$0] - t[$0]) / Double(rows)
    }
    expectClose(gradient.values, wantGradient, within: Tolerance.steps(12) / Double(rows))
    expectClose(other.values, wantGradient, within: Tolerance.steps(12) / Double(rows))

    let target = try randomTensor([rows, classes], seed: 77, 0...1)
    let n = Double(rows * classes)
    let (squared, squaredGradient) = try evaluate(.meanSquaredError, output, target)
    let differences = zip(x, target.doubles).map { $0 - $1 }
    #expect(abs(squared.loss - Reference.dot(differences, differences) / n) <= Tolerance.loss(magnitude: 25))
    expectClose(squaredGradient.values, differences.map { 2 * $0 / n }, within: Tolerance.steps(8) * 10 / n)
    let (binary, binaryGradient) = try evaluate(.binaryCrossEntropy, output, target)
    let wantBinary = zip(x, target.doubles).reduce(0) { $0 + Reference.binaryCrossEntropy($1.0, $1.1) } / n
    #expect(abs(binary.loss - wantBinary) <= Tolerance.loss(magnitude: 8))
    expectClose(
      binaryGradient.values, zip(x, target.doubles).map { (Reference.sigmoid($0) - $1) / n }, within: Tolerance.steps(12) / n)
  }

  @Test func targetErrors() throws {
    let output = try Tensor(shape: [3, 4])
    func labels(_ values: [Int64], _ shape: [Int]) throws {
      var values = values
      try values.withUnsafeMutableBytes {
        _ = try Loss.crossEntropy(output.view(), ArrayView($0.baseAddress, .int64, shape: shape))
      }
    }
    try labels([0, 3, 1], [3])
    try labels([0, 3, 1], [3, 1])
    expectError(.invalidArgument, "target: expected labels in 0..<4", "got 4 in row 1") { try labels([0, 4, 1], [3]) }
    expectError(.invalidArgument, "got -1 in row 2") { try labels([0, 1, -1], [3]) }
    expectError(.invalidArgument, "got 1099511627776 in row 0") { try labels([1 << 40, 1, 1], [3]) }
    expectError(.shapeMismatch, "integer labels [3]", "int64 [2]") { try labels([0, 1], [2]) }
    expectError(.shapeMismatch, "int64 [1, 3]") { try labels([0, 1, 2], [1, 3]) }
    for loss in Loss.allCases {
      expectError(.shapeMismatch, loss.name, "[3, 4]", "float32 [3, 3]") {
        _ = try evaluate(loss, output, Tensor(shape: [3, 3]))
      }
    }
    expectError(.shapeMismatch, "output [rows, classes]", "got [rows, 2, 2]") {
      _ = try evaluate(.crossEntropy, Tensor(shape: [3, 2, 2]), Tensor(shape: [3, 2, 2]))
    }
    expectError(.shapeMismatch, "output: expected the shape [rows, ...]", "single number") {
      _ = try evaluate(.meanSquaredError, Tensor(shape: []), output)
    }
    expectError(.shapeMismatch, "gradient", "[3, 4]", "[4, 3]") {
      _ = try Loss.meanSquaredError(output.view(), output.view(), gradient: Tensor(shape: [4, 3]).view())
    }
    expectError(.invalidArgument, "gradient", "contiguous float32") {
      _ = try Loss.meanSquaredError(
        output.view(), output.view(), gradient: ArrayView(output.storage.base, .float32, shape: [3, 4], strides: [1, 3]))
    }
    let empty = try Tensor(shape: [0, 4])
    #expect(try evaluate(.meanSquaredError, empty, empty).0 == TrainingResult(loss: .nan, correct: nil, rows: 0))
    withExtendedLifetime(output) {}
  }
}
