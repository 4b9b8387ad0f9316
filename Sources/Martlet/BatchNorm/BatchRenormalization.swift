// Batch renormalisation: how far a batch's normalisation may be corrected towards that of inference, and from when on.

/// While training, a batch's normalised values are corrected towards those that the moving statistics would give:
///
///     y = scale·((x − mean)/σ·r + d) + shift        σ² = variance + epsilon, of the batch
///     r = σ/σ_moving, within 1/maximumRatio … maximumRatio
///     d = (mean − mean_moving)/σ_moving, within ±maximumDistance
///
/// Training then sees nearly what inference computes, and the rows of a batch hardly depend on each other: for small batches, or batches
/// whose rows are alike. r and d are constants to the gradient. The limits open along ramps, counted in batches that the moving
/// statistics have followed: they start at 1 and 0, where the layer is plain batch norm, as the moving statistics mean nothing yet.
/// The defaults are the paper's. Source: Ioffe 2017.
public struct BatchRenormalization: Equatable, Sendable {
  /// Batches between which a limit opens: closed up to `begin`, fully open from `end` on.
  public struct Ramp: Equatable, Sendable {
    public var begin: Int
    public var end: Int
    /// 0 ≤ begin ≤ end; equal: open from then on.
    public init(_ begin: Int, _ end: Int) {
      self.begin = begin
      self.end = end
    }
  }

  /// Of r, in the end; ≥ 1.
  public var maximumRatio: Double
  /// Of |d|, in the end; ≥ 0.
  public var maximumDistance: Double
  public var ratioRamp: Ramp
  public var distanceRamp: Ramp

  public init(
    maximumRatio: Double = 3, maximumDistance: Double = 5, ratioRamp: Ramp = Ramp(5000, 40000),
    distanceRamp: Ramp = Ramp(5000, 25000)
  ) {
    self.maximumRatio = maximumRatio
    self.maximumDistance = maximumDistance
    self.ratioRamp = ratioRamp
    self.distanceRamp = distanceRamp
  }

  /// The limits for the batch behind `batches` others.
  public func limits(after batches: Int64) -> (ratio: Double, distance: Double) {
    (1 + (maximumRatio - 1) * ratioRamp.opening(after: batches), maximumDistance * distanceRamp.opening(after: batches))
  }

  func check() throws {
    try OptionNumber.check(maximumRatio, "renormalization.r_max", .oneOrMore)
    try OptionNumber.check(maximumDistance, "renormalization.d_max", .zeroOrMore)
    for (name, ramp) in [("r_ramp", ratioRamp), ("d_ramp", distanceRamp)] where !(0 <= ramp.begin && ramp.begin <= ramp.end) {
      throw MartletError.invalidArgument(
        "renormalization: \(name) must be two numbers of batches, 0 <= begin <= end; \(ramp.begin), \(ramp.end) came.")
    }
  }
}

extension BatchRenormalization.Ramp {
  /// 0 while closed, 1 when open.
  fileprivate func opening(after batches: Int64) -> Double {
    if batches >= Int64(end) { return 1 }
    return batches <= Int64(begin) ? 0 : (Double(batches) - Double(begin)) / (Double(end) - Double(begin))
  }
}

extension BatchRenormalization {
  var configuration: JSON {
    func pair(_ ramp: Ramp) -> JSON { .array([.integer(Int64(ramp.begin)), .integer(Int64(ramp.end))]) }
    return .object([
      ("r_max", .number(maximumRatio)), ("d_max", .number(maximumDistance)), ("r_ramp", pair(ratioRamp)),
      ("d_ramp", pair(distanceRamp)),
    ])
  }

  init(configuration json: JSON) throws {
    let reader = try ConfigurationReader(json, "batch_norm: renormalization")
    func ramp(_ key: String) throws -> Ramp {
      let ends = try reader.ints(key)
      guard ends.count == 2 else {
        throw MartletError.corruptFile("batch_norm: renormalization: \(key): expected two integers; got \(ends.count).")
      }
      return Ramp(ends[0], ends[1])
    }
    try self.init(
      maximumRatio: reader.double("r_max"), maximumDistance: reader.double("d_max"), ratioRamp: ramp("r_ramp"),
      distanceRamp: ramp("d_ramp"))
    try reader.refuseUnknown()
  }
}
