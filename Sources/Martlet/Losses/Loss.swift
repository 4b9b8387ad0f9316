// The losses: which outputs and targets each takes, and which last activation belongs to it.
import MartletRuntime

/// A loss: the mean over the rows of a batch. The numbers are the C API's.
///
/// Targets are checked as they are copied for the step that uses them; what is refused changes nothing. docs/losses.md has the rules in a
/// table.
public enum Loss: Int32, Sendable, CaseIterable {
  /// −Σ t·log softmax(x) of logits `[rows, classes]`, two classes or more. Targets: integer labels `[rows]` or `[rows, 1]` in
  /// `0..<classes`, or probabilities `[rows, classes]`: 0 or more, each row's sum 1.
  case crossEntropy = 0
  /// Mean of (x − t)² over all elements. Targets: finite, of the output's shape, or `[rows]` for an output `[rows, 1]`.
  case meanSquaredError = 1
  /// Mean over all elements of −t·log σ(x) − (1 − t)·log(1 − σ(x)) of logits x. Targets: in 0…1, of the output's shape, or `[rows]`
  /// for an output `[rows, 1]`.
  case binaryCrossEntropy = 2

  public var name: String {
    switch self {
    case .crossEntropy: "cross_entropy"
    case .meanSquaredError: "mse"
    case .binaryCrossEntropy: "bce"
    }
  }

  /// The layer that the loss takes together with itself where an output ends in it: it reads that layer's input, which keeps loss and
  /// gradient exact where a probability rounds to 0 or 1.
  var activation: (any Layer.Type)? {
    switch self {
    case .crossEntropy: Softmax.self
    case .meanSquaredError: nil
    case .binaryCrossEntropy: Sigmoid.self
    }
  }

  /// Whether it says which rows are predicted right.
  var countsCorrect: Bool { self != .meanSquaredError }

  func result(sum: Double, correct: Int, rows: Int) -> TrainingResult {
    TrainingResult(loss: rows == 0 ? .nan : sum / Double(rows), correct: countsCorrect ? correct : nil, rows: rows)
  }

  /// Refuses outputs that the loss is not defined for, or learns nothing from.
  ///
  /// - Parameters:
  ///   - shape: of one row.
  ///   - output: what the message calls it.
  func checkOutput(_ shape: [Int], argument: String, output: @autoclosure () -> String) throws {
    guard self == .crossEntropy, shape.count != 1 || shape[0] < 2 else { return }
    let got = "[rows\(shape.map { ", \($0)" }.joined())]"
    guard shape == [1] else {
      throw MartletError.shapeMismatch(
        "\(argument): expected an output [rows, classes] of 2 or more classes for cross_entropy; got \(got) from \(output()). "
          + "Flatten it, or use another loss.")
    }
    throw MartletError.shapeMismatch(
      "\(argument): expected an output [rows, classes] of 2 or more classes for cross_entropy; got \(got) from \(output()), whose "
        + "cross-entropy is always 0 and trains nothing. Use bce for two classes or mse for numbers; outputs that need different losses "
        + "need a trainer each, of models with these outputs.")
  }
}
