// A stored tensor's values as Swift arrays, for comparisons.
@testable import Martlet

extension SafetensorsTensor {
  func float32Values() throws(MartletError) -> [Float] {
    var values = [Float](repeating: .nan, count: count)
    try values.withUnsafeMutableBufferPointer { buffer throws(MartletError) in
      if let base = buffer.baseAddress { try copyFloat32(into: base) }
    }
    return values
  }

  func float64Values() throws(MartletError) -> [Double] {
    var values = [Double](repeating: .nan, count: count)
    try values.withUnsafeMutableBufferPointer { buffer throws(MartletError) in
      if let base = buffer.baseAddress { try copyFloat64(into: base) }
    }
    return values
  }
}
