// Findings from what was measured on data.

struct DataCheck {
  /// Times that moving and measured variance may differ, for many rows. Of few rows a variance is itself uncertain: its
  /// relative deviation is √(2/(n − 1)) for normal values, of which four are allowed.
  static func mostVarianceRatio(rows n: Int) -> Double { 4 * (1 + 4 * (2 / Double(max(n - 1, 1))).squareRoot()) }
  /// A mean has drifted that is this many standard errors away, and this share of the moving deviation.
  static let leastDriftErrors = 5.0
  static let leastDriftDeviations = 0.5
  /// Losses whose difference is above this share of the larger one, and above the floor, have a gap.
  static let mostLossGap = 0.5
  /// The floor for losses of probabilities, in nats; that of mean squared error is this share of the targets' variance.
  static let leastLossGap = 0.05

  private let structure: StructureCheck
  let measures: DataMeasures

  init(_ structure: StructureCheck, _ measures: DataMeasures) {
    self.structure = structure
    self.measures = measures
  }

  func findings() -> [Finding] { nonfiniteOutputs() + variancesOff() + drifts() + channelsOff() + lossGap() }

  /// Those whose statistics say something: of the others there is a finding already.
  private var updatedNorms: [StructureCheck.Norm] { structure.norms.filter { !$0.isUntouched } }

  private func variancesOff() -> [Finding] {
    let limit = Self.mostVarianceRatio(rows: measures.trainingRows)
    return updatedNorms.compactMap { norm in
      guard let found = measures.trainingInputs[Name(norm.layer.name)],
        let variance = try? found.variance(unbiased: !norm.options.biasedMovingVariance)
      else { return nil }
      let epsilon = norm.options.epsilon
      let ratios = (0..<found.channels).map { (variance[$0] + epsilon) / (Double(norm.moving.variance[$0]) + epsilon) }
      func size(_ c: Int) -> Double { max(ratios[c], 1 / ratios[c]) }
      let off = ratios.indices.filter { size($0) > limit }.sorted { size($0) > size($1) }
      guard let worst = off.first else { return nil }
      return Finding(
        .movingVarianceOff, .warning, norm.layer.name,
        "in \(off.count) of \(found.channels) channels of \(excerpt(norm.layer.name)) (batch_norm) the variance on the data "
          + "is more than \(limit.short) times above or below the moving variance; most in channel \(worst): "
          + "\(variance[worst].short) against \(Double(norm.moving.variance[worst]).short) (\(ratios[worst].short) "
          + "times). Channels: \(list(off)).",
        advice: "Train longer or with a smaller momentum before predicting, or update the population statistics; else "
          + "the data is other than the training's, or is normalised otherwise.",
        value: ratios[worst], channels: off)
    }
  }

  private func drifts() -> [Finding] {
    updatedNorms.compactMap { norm in
      guard let found = measures.inferenceInputs[Name(norm.layer.name)], found.count > 0 else { return nil }
      let deviations = (0..<found.channels).map { c in
        abs(found.mean[c] - Double(norm.moving.mean[c]))
          / (max(Double(norm.moving.variance[c]), 0) + norm.options.epsilon).squareRoot()
      }
      let root = Double(measures.rows).squareRoot()
      let off = deviations.indices
        .filter { deviations[$0] >= Self.leastDriftDeviations && deviations[$0] * root >= Self.leastDriftErrors }
        .sorted { deviations[$0] > deviations[$1] }
      guard let worst = off.first else { return nil }
      return Finding(
        .dataDrifted, .warning, norm.layer.name,
        "in \(off.count) of \(found.channels) channels of \(excerpt(norm.layer.name)) (batch_norm) the mean of "
          + "\(measures.rows) rows is far from the moving mean; most in channel \(worst): \(found.mean[worst].short) "
          + "against \(Double(norm.moving.mean[worst]).short), \(deviations[worst].short) moving deviations, "
          + "\((deviations[worst] * root).short) standard errors. Channels: \(list(off)).",
        advice: "Prepare the data as the training's was (scaling, order of channels); if it has changed for good, "
          + "train on it, or update the population statistics.",
        value: deviations[worst] * root, channels: off)
    }
  }

  private func channelsOff() -> [Finding] {
    structure.layers(ReLU.self).compactMap { layer, _ in
      let open = measures.opened[Name(layer.name)] ?? []
      let off = open.indices.filter { !open[$0] }
      guard !off.isEmpty else { return nil }
      return Finding(
        .channelsAlwaysOff, .warning, layer.name,
        "\(off.count) of \(open.count) channels of \(excerpt(layer.name)) (relu) are 0 for all of \(measures.rows) rows at "
          + "inference, and learn nothing: \(list(off)).",
        advice: "Look at the shift of the norm before it, lower the learning rate, or start anew; more rows may still "
          + "open them.",
        value: Double(off.count), channels: off)
    }
  }

  private func lossGap() -> [Finding] {
    guard !structure.norms.isEmpty, let training = measures.trainingLoss, let inference = measures.inferenceLoss else {
      return []
    }
    let gap = inference - training
    let floor = Self.leastLossGap * (measures.targetVariance > 0 ? measures.targetVariance : 1)
    guard abs(gap) > max(Self.mostLossGap * max(training, inference), floor) else { return [] }
    return [
      Finding(
        .trainingInferenceGap, .warning, "",
        "on the same \(measures.trainingRows) rows, without dropout, the loss is \(training.short) with the batches' "
          + "statistics and \(inference.short) with the moving ones: a gap of \(gap.short).",
        advice: gap > 0
          ? "The moving statistics do not fit the weights: update the population statistics, or train longer with a "
            + "smaller momentum."
          : "The batches' statistics do not fit: batches may be small, or sorted by class; shuffle them, or make them larger.",
        value: gap)
    ]
  }
}
