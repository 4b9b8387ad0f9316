// What folding did to each layer, and how far the folded model is from the one it came from.

/// Made by ``Model/folded(checkedOn:)``.
public struct FoldingCertificate: Sendable, CustomStringConvertible {
  /// What became of a layer.
  public enum Outcome: Int32, Sendable, CaseIterable {
    /// As it was.
    case unchanged = 0
    /// It took batch norms in: its weights and bias are new.
    case changed = 1
    /// A batch norm that went into another layer.
    case folded = 2
    /// A batch norm that could not; why is in ``Layer/detail``.
    case kept = 3
    /// A dropout, which does nothing at inference.
    case removed = 4
  }

  /// A difference on the data: the largest |folded − unfolded|, and what it must stay under.
  public struct Difference: Sendable, Equatable {
    ///
    /// NaN where both models have the same values, and some are NaN or infinite.
    public let absolute: Double
    /// ``absolute`` over the largest |unfolded| value.
    public let relative: Double
    /// What rounding alone can make of the differences measured in the values just before (docs/numerics.md); infinite where a kind of
    /// layer has no bound.
    public let bound: Double
    /// All values are finite, and no channel's difference is above that channel's bound.
    public let isWithinBound: Bool
  }

  public struct Layer: Sendable {
    public let name: String
    public let kind: String
    public let outcome: Outcome
    /// For people: "folded into \"conv_1\" (conv2d)".
    public let detail: String
    /// Of its output; nil without data, and where a value exists in one of the two models only, or never in memory.
    public internal(set) var difference: Difference?
  }

  /// Every layer of the model that was folded, in the order they run.
  public internal(set) var layers: [Layer]
  /// Of each output; nil without data.
  public internal(set) var outputs: [Difference]?
  /// Rows of the data.
  public internal(set) var rows = 0

  /// The model's tensors that hold NaN or infinity, by name. Folding carries such values over; outputs that depend on them are not finite.
  public internal(set) var nonfiniteTensors: [String] = []

  /// Everything that was measured is finite and within its bound. True without data.
  public var isWithinBounds: Bool {
    (outputs ?? []).allSatisfy(\.isWithinBound) && layers.allSatisfy { $0.difference?.isWithinBound ?? true }
  }

  public var foldedCount: Int { layers.count { $0.outcome == .folded } }

  /// A table for people.
  public var description: String {
    let norms = layers.count { $0.outcome == .folded || $0.outcome == .kept }
    var lines = ["\(foldedCount) of \(norms) batch norms folded"]
    let names = layers.map { "\($0.name) \($0.kind)" }
    let width = names.map(\.count).max() ?? 0
    for (name, layer) in zip(names, layers) {
      lines.append("  " + name + String(repeating: " ", count: width - name.count + 2) + layer.detail)
    }
    if !nonfiniteTensors.isEmpty {
      lines.append("tensors with NaN or infinity: " + nonfiniteTensors.joined(separator: ", "))
    }
    for (place, output) in (outputs ?? []).enumerated() {
      if output.relative.isNaN {
        lines.append("output \(place) on \(rows) rows: NOT FINITE in some rows, so that there is nothing to compare")
        continue
      }
      lines.append(
        "output \(place) on \(rows) rows: differs by \(short(output.absolute)) at most (relative \(short(output.relative))); bound "
          + "\(short(output.bound)): \(output.isWithinBound ? "held" : "NOT HELD")")
    }
    let broken = layers.filter { $0.difference.map { !$0.isWithinBound } ?? false }
    if !broken.isEmpty { lines.append("above their bounds, or not finite: " + broken.map(\.name).joined(separator: ", ")) }
    return lines.joined(separator: "\n")
  }

  /// Two significant digits: 3.1e-07.
  private func short(_ value: Double) -> String {
    guard value.isFinite, value > 0 else { return value == 0 ? "0" : "\(value)" }
    var (exponent, mantissa) = (0, value)
    while mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
    while mantissa < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
    return "\((mantissa * 10).rounded(.up) / 10)e\(exponent)"
  }
}
