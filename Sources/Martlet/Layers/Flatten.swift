// Flatten: many axes become one. Nothing moves in memory.

/// `[rows, a, b, …]` becomes `[rows, a·b·…]`.
public struct Flatten: Layer, BuildableLayer {
  public static let kind = "flatten"
  public init() {}
  func outputShape(_ inputs: [[Int]]) throws -> [Int] { [try Self.single(inputs).reduce(1, *)] }
  func makeStep(_ site: StepSite) -> PlanStep? { nil }
  var configuration: [(key: String, value: JSON)] { [] }
  init(configuration: ConfigurationReader) throws { self.init() }
}
