// The element types that may come in.

/// The type of an array's elements. The numbers are the C API's.
public enum DataType: Int32, Sendable, CaseIterable {
  case float32 = 0
  case float64 = 1
  case int32 = 2
  case int64 = 3
  case uint8 = 4

  public var byteCount: Int {
    switch self {
    case .float32, .int32: 4
    case .float64, .int64: 8
    case .uint8: 1
    }
  }

  public var isInteger: Bool {
    switch self {
    case .float32, .float64: false
    case .int32, .int64, .uint8: true
    }
  }

  /// "float32", as NumPy spells it.
  public var name: String { String(describing: self) }
}
