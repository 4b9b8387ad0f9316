// Dropout: a different random part of the units is silent in each training step.
import MartletRuntime

/// While training, each element is 0 with probability `rate`, else divided by 1 − rate; at inference the identity.
///
/// Which elements are kept depends on the seed, the step and the place alone, never on threads. Shapes: any.
/// Source: Srivastava et al. 2014 (inverted form).
public struct Dropout: Layer, BuildableLayer, Equatable {
  public static let kind = "dropout"
  /// 0 ≤ rate < 1.
  public var rate: Double
  public init(_ rate: Double = 0.5) { self.rate = rate }

  func outputShape(_ inputs: [[Int]]) throws -> [Int] {
    try OptionNumber.check(rate, "rate", .belowOne, note: "(the share of elements that are dropped)")
    return try Self.single(inputs)
  }
  func makeStep(_ site: StepSite) -> PlanStep? { site.isTraining && rate > 0 ? DropoutStep(site, rate: Float(rate)) : nil }
  var configuration: [(key: String, value: JSON)] { [("rate", .number(rate))] }
  init(configuration reader: ConfigurationReader) throws { self.init(try reader.double("rate")) }
}

final class DropoutStep: PlanStep {
  private let rate: Float
  /// Tells this mask from others of the same run: of other layers, and of other places of this one.
  private let stream: UInt64

  init(_ site: StepSite, rate: Float) {
    self.rate = rate
    stream = StableHash.of(site.name)
    super.init(site)
  }

  private func apply(_ x: UnsafePointer<Float>, _ run: Executor, into y: UnsafeMutablePointer<Float>, accumulate: Bool) {
    run.compute.dropout(
      x, count: run.rows * site.outputLength, rate: rate, key: run.randomKey ^ stream, into: y, accumulate: accumulate)
  }

  override func forward(_ run: Executor) { apply(run.floats(inputs[0]), run, into: run.floats(output), accumulate: false) }

  override func backward(_ run: Executor) {
    guard let grad = gradOutput.map(run.floats), let target = gradInputs[0] else { return }
    apply(grad, run, into: run.floats(target.buffer), accumulate: target.accumulates)
  }
}

/// A hash that is the same in every process, unlike Swift's own.
enum StableHash {
  /// FNV-1a, 64 bits, then a mix so that every bit depends on every byte.
  static func of(_ text: String) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return mixed(hash)
  }

  /// SplitMix64's finaliser.
  static func mixed(_ value: UInt64) -> UInt64 {
    var z = value &+ 0x9e37_79b9_7f4a_7c15
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
