// The same values under another shape. Nothing moves in memory.

/// Each row's values, in row-major order, under another shape of as many values.
///
/// One dimension may be −1: what is left for it.
public struct Reshape: Layer, BuildableLayer, Equatable {
  public static let kind = "reshape"
  /// Of one row, without the batch axis; at most ``Limits/rowRank`` axes.
  public var shape: [Int]
  public init(_ shape: [Int]) { self.shape = shape }

  func outputShape(_ inputs: [[Int]]) throws -> [Int] {
    let input = try Self.single(inputs)
    guard shape.count <= Limits.rowRank else { throw Shape.tooManyRowAxes(shape, "reshape") }
    guard shape.allSatisfy({ $0 >= -1 }), shape.count(where: { $0 == -1 }) <= 1 else {
      throw MartletError.shapeMismatch(
        "reshape: every dimension must be 0 or more, and at most one -1 (what is left); the shape is \(Shape.text(shape)).")
    }
    let count = try Shape.elementCount(input, argument: "input")
    let known = try Shape.elementCount(shape.filter { $0 >= 0 }, argument: "shape")
    guard let open = shape.firstIndex(of: -1) else {
      guard known == count else {
        throw MartletError.shapeMismatch(
          "reshape: a row has the \(count) values of \(Shape.text(input)); the shape \(Shape.text(shape)) holds \(known).")
      }
      return shape
    }
    guard known > 0, count % known == 0 else {
      throw MartletError.shapeMismatch(
        "reshape: the \(count) values of \(Shape.text(input)) leave no whole number for the -1 of \(Shape.text(shape)).")
    }
    var result = shape
    result[open] = count / known
    return result
  }

  func makeStep(_ site: StepSite) -> PlanStep? { nil }
  var configuration: [(key: String, value: JSON)] { [("shape", .array(shape.map { .integer(Int64($0)) }))] }
  init(configuration reader: ConfigurationReader) throws { self.init(try reader.ints("shape")) }
}
