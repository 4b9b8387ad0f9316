// Element types that hold numbers Float32 does not: their distance from a center is taken before anything is rounded.

/// An element of an array as it came from the caller.
protocol SourceElement: BitwiseCopyable {
  /// self − center, rounded once to Float64.
  func distance(from center: Double) -> Double
  var double: Double { get }
}

extension Float: SourceElement {
  @inline(__always) func distance(from center: Double) -> Double { Double(self) - center }
  @inline(__always) var double: Double { Double(self) }
}

extension Double: SourceElement {
  @inline(__always) func distance(from center: Double) -> Double { self - center }
  @inline(__always) var double: Double { self }
}

extension Int32: SourceElement {
  @inline(__always) func distance(from center: Double) -> Double { Double(self) - center }
  @inline(__always) var double: Double { Double(self) }
}

extension UInt8: SourceElement {
  @inline(__always) func distance(from center: Double) -> Double { Double(self) - center }
  @inline(__always) var double: Double { Double(self) }
}

extension Int64: SourceElement {
  /// Whole numbers are subtracted as integers, for Float64 holds them only up to 2⁵³.
  @inline(__always)
  func distance(from center: Double) -> Double {
    guard center.magnitude < 0x1p63 else { return Double(self) - center }
    let whole = center.rounded(.towardZero)
    let (difference, overflows) = subtractingReportingOverflow(Int64(whole))
    return overflows ? Double(self) - center : Double(difference) - (center - whole)
  }
  @inline(__always) var double: Double { Double(self) }
}

extension DataType {
  /// Whether it holds numbers that Float32 rounds.
  var exceedsFloat32: Bool {
    switch self {
    case .float64, .int32, .int64: true
    case .float32, .uint8: false
    }
  }
}

/// What runs on the elements of an array, whatever their type.
protocol SourceElementBody {
  mutating func run<Element: SourceElement>(_: Element.Type)
}

extension DataType {
  /// Calls the body with the type of the elements.
  func withElement<Body: SourceElementBody>(_ body: inout Body) {
    switch self {
    case .float32: body.run(Float.self)
    case .float64: body.run(Double.self)
    case .int32: body.run(Int32.self)
    case .int64: body.run(Int64.self)
    case .uint8: body.run(UInt8.self)
    }
  }
}
