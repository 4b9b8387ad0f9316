// A stored tensor's values as Swift arrays, for comparisons.
@testable import Martlet

extension SafetensorsTensor {
  func float32Values() throws(MartletError) -> [Float] {
    try checkFloat32()
    var values = [Float](repeating: .nan, count: count)
    values.withUnsafeMutableBufferPointer { buffer in
      if let base = buffer.baseAddress { copyFloat32(to: base) }
    }
    return values
  }

  func float64Values() throws(MartletError) -> [Double] {
    try checkFloat64()
    var values = [Double](repeating: .nan, count: count)
    values.withUnsafeMutableBufferPointer { buffer in
      if let base = buffer.baseAddress { copyFloat64(to: base) }
    }
    return values
  }
}
