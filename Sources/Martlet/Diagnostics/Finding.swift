// What a check of a model found: a code that stays, where, the numbers, and what to do.

/// Made by ``Model/check(on:targets:_:)``.
public struct Finding: Sendable, Equatable, CustomStringConvertible {
  /// What programs may tell findings apart by; the text is the same in every language and does not change.
  public enum Code: String, Sendable, CaseIterable {
    /// Training shows a batch norm the variance that dropout adds; inference does not.
    case dropoutBeforeBatchNorm = "dropout_before_batch_norm"
    /// A Dense or convolution adds what the batch norm right behind takes out again.
    case biasBeforeBatchNorm = "bias_before_batch_norm"
    /// The optimizer's weight decay takes scale and shift, too.
    case weightDecayOnScale = "weight_decay_on_scale"
    /// The moving statistics are what they were made as: inference does not normalise.
    case statisticsNeverUpdated = "statistics_never_updated"
    /// A training batch without a variance.
    case oneValuePerChannel = "one_value_per_channel"
    /// Training moves the statistics of a layer whose parameters it does not.
    case statisticsMoveInFrozenLayer = "statistics_move_in_frozen_layer"
    /// A scale of almost 0: the channel says almost nothing.
    case scaleNearZero = "scale_near_zero"
    /// The moving variance is far from that of the data.
    case movingVarianceOff = "moving_variance_off"
    /// Training and inference give losses far apart on the same rows.
    case trainingInferenceGap = "training_inference_gap"
    /// A ReLU whose channel is 0 for every row.
    case channelsAlwaysOff = "channels_always_off"
    /// Means of the data far from the moving means.
    case dataDrifted = "data_drifted"
    /// An output ends in an activation that does not belong to the loss.
    case lastActivation = "last_activation"
    /// A softmax that another layer reads.
    case softmaxInside = "softmax_inside"
    /// A parameter holds NaN or infinity.
    case nonfiniteParameter = "nonfinite_parameter"
    /// A moving statistic, or what an input normalization was fitted to, holds NaN or infinity.
    case nonfiniteStatistic = "nonfinite_statistic"
    /// An output is NaN or infinite for some rows of the data.
    case nonfiniteOutput = "nonfinite_output"
    /// An input normalization without statistics of the data.
    case inputNormalizationNotFitted = "input_normalization_not_fitted"
  }

  /// The numbers are the C API's.
  public enum Severity: Int32, Sendable, CaseIterable {
    /// Something of no use, or worth knowing.
    case note = 0
    /// Results are likely to be worse than they could be.
    case warning = 1
    /// A training step will be refused, or results are not numbers.
    case error = 2
  }

  public let code: Code
  public let severity: Severity
  /// Its name; empty where it is not one layer's.
  public let layer: String
  /// What was found, with its numbers.
  public let message: String
  /// What to do.
  public let advice: String
  /// The number that made it a finding (the code says which: docs/checking.md); NaN where there is none.
  public let value: Double
  /// The channels it is about, worst first; empty where it is about none, or all.
  public let channels: [Int]

  init(
    _ code: Code, _ severity: Severity, _ layer: String, _ message: String, advice: String, value: Double = .nan,
    channels: [Int] = []
  ) {
    self.code = code
    self.severity = severity
    self.layer = layer
    self.message = message
    self.advice = advice
    self.value = value
    self.channels = channels
  }

  /// A line for people, and the advice under it.
  public var description: String { "\(severity) \(code.rawValue): \(message)\n  \(advice)" }

  /// All of them for people. Of several of one code and advice the first is shown, and the layers of the others.
  public static func text(_ findings: [Finding]) -> String {
    guard !findings.isEmpty else { return "nothing found" }
    var groups: [[Finding]] = []
    var places: [[String]: Int] = [:]
    for finding in findings {
      let key = [finding.code.rawValue, finding.advice, "\(finding.severity)"]
      if let place = places[key] {
        groups[place].append(finding)
      } else {
        places[key] = groups.count
        groups.append([finding])
      }
    }
    return groups.map(text(ofAlike:)).joined(separator: "\n")
  }

  /// Findings of one code and advice.
  private static func text(ofAlike findings: [Finding]) -> String {
    guard findings.count > 2 else { return findings.map(\.description).joined(separator: "\n") }
    let (first, others) = (findings[0], findings.dropFirst().map(\.layer))
    return "\(first.severity) \(first.code.rawValue): \(first.message)\n"
      + "  The same for \(others.count) more layers: \(list(others, most: 5)).\n  \(first.advice)"
  }

  /// NaN equals NaN: no number is no number.
  public static func == (a: Finding, b: Finding) -> Bool {
    a.code == b.code && a.severity == b.severity && a.layer == b.layer && a.message == b.message && a.advice == b.advice
      && a.channels == b.channels && (a.value == b.value || a.value.isNaN && b.value.isNaN)
  }
}

extension Double {
  /// Three significant digits, for people: 0.0312, 155, 1.2e+06.
  var short: String {
    guard isFinite, self != 0 else { return self == 0 ? "0" : "\(self)" }
    var (exponent, mantissa) = (0, magnitude)
    while mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
    while mantissa < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
    mantissa = (mantissa * 100).rounded() / 100
    if mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
    let sign = self < 0 ? "-" : ""
    let digits = Int((mantissa * 100).rounded())
    if (-4...5).contains(exponent) {
      // Whole numbers of 1 to 6 digits, or a fraction of as many places as three digits need.
      let places = max(2 - exponent, 0)
      var whole = digits
      if exponent > 2 { for _ in 2..<exponent { whole *= 10 } }
      return sign + decimal(whole, places: places)
    }
    let size = exponent.magnitude
    return "\(sign)\(decimal(digits, places: 2))e\(exponent < 0 ? "-" : "+")\(size < 10 ? "0" : "")\(size)"
  }
}

/// `number` · 10^−places without zeros at the end.
private func decimal(_ number: Int, places: Int) -> String {
  var text = "\(number)"
  guard places > 0 else { return text }
  if text.count <= places { text = String(repeating: "0", count: places + 1 - text.count) + text }
  let fraction = String(text.suffix(places))
  let trimmed = String(fraction.reversed().drop { $0 == "0" }.reversed())
  return text.dropLast(places) + (trimmed.isEmpty ? "" : "." + trimmed)
}
