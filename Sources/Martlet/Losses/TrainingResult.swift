// The figures of a training step, an epoch or an evaluation.

/// Loss and hits over some rows.
public struct TrainingResult: Sendable {
  /// Mean over the rows; NaN if there were none.
  public var loss: Double
  /// Rows predicted right; nil for a loss that does not say what is right: ``Loss/meanSquaredError``.
  public var correct: Int?
  public var rows: Int

  public init(loss: Double = .nan, correct: Int? = 0, rows: Int = 0) {
    self.loss = loss
    self.correct = correct
    self.rows = rows
  }

  /// Share of the rows predicted right; NaN if there were none, or the loss does not say.
  public var accuracy: Double {
    guard let correct, rows > 0 else { return .nan }
    return Double(correct) / Double(rows)
  }
}

extension TrainingResult: Equatable {
  /// NaN equals NaN: the figures of no rows are the figures of no rows.
  public static func == (a: TrainingResult, b: TrainingResult) -> Bool {
    (a.loss == b.loss || a.loss.isNaN && b.loss.isNaN) && a.correct == b.correct && a.rows == b.rows
  }
}
