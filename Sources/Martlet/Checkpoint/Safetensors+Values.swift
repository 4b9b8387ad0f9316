// Values out of a tensor's bytes, whatever their address and floating-point type.

extension SafetensorsTensor {
  /// The number of values.
  var count: Int { bytes.count / dtype.size }

  /// Writes the values as Float32: exact from F32, F16 and BF16, rounded to nearest from F64.
  ///
  /// - Parameter values: memory for ``count`` values, written as a whole or (after a throw) not at all.
  /// - Throws: ``MartletError/Kind/unsupported`` for other types.
  ///
  /// Edge cases: an F64 beyond Float32's range becomes infinite; a NaN stays one.
  func copyFloat32(into values: UnsafeMutablePointer<Float>) throws(MartletError) {
    let convert: (Int) -> Float
    switch dtype {
    case .f32: convert = { Float(bitPattern: bits($0)) }
    case .f64: convert = { Float(Double(bitPattern: bits($0))) }
    case .bf16: convert = { Float(bitPattern: UInt32(bits($0) as UInt16) << 16) }
    case .f16: convert = { Self.float32(half: bits($0)) }
    default:
      throw MartletError(
        .unsupported,
        "Tensor \(excerpt(name)) holds \(dtype.rawValue); F32, F64, F16 or BF16 is needed here. Convert it and save again.")
    }
    for index in 0..<count { values[index] = convert(index) }
  }

  /// Writes the values as Float64, all exact; otherwise as ``copyFloat32(into:)``.
  func copyFloat64(into values: UnsafeMutablePointer<Double>) throws(MartletError) {
    guard dtype == .f64 else {
      // The narrower values lie in the second half of the same memory, of which each is read before it is written.
      let memory = UnsafeMutableRawPointer(values)
      let narrow = memory.advanced(by: 4 * count)
      try copyFloat32(into: narrow.assumingMemoryBound(to: Float.self))
      for index in 0..<count {
        memory.storeBytes(
          of: Double(narrow.load(fromByteOffset: 4 * index, as: Float.self)), toByteOffset: 8 * index, as: Double.self)
      }
      return
    }
    for index in 0..<count { values[index] = Double(bitPattern: bits(index)) }
  }

  /// The values as 64-bit integers, from I64, I32, I16, I8 and U8.
  ///
  /// - Throws: ``MartletError/Kind/unsupported`` for other types.
  func int64Values() throws(MartletError) -> [Int64] {
    let convert: (Int) -> Int64
    switch dtype {
    case .i64: convert = { bits($0) }
    case .i32: convert = { Int64(bits($0) as Int32) }
    case .i16: convert = { Int64(bits($0) as Int16) }
    case .i8: convert = { Int64(bits($0) as Int8) }
    case .u8: convert = { Int64(bits($0) as UInt8) }
    default:
      throw MartletError(
        .unsupported,
        "Tensor \(excerpt(name)) holds \(dtype.rawValue); I64, I32, I16, I8 or U8 is needed here. Convert it and save again.")
    }
    return (0..<count).map(convert)
  }

  /// Value `index` as an integer of its type's width. The buffer, and so the address, need not be aligned.
  private func bits<Bits: FixedWidthInteger & BitwiseCopyable>(_ index: Int) -> Bits {
    Bits(littleEndian: bytes.loadUnaligned(fromByteOffset: index * MemoryLayout<Bits>.size, as: Bits.self))
  }

  /// The value of an IEEE 754 binary16. By hand, because Swift has no Float16 on Intel Macs.
  static func float32(half bits: UInt16) -> Float {
    let sign: Float = bits & 0x8000 == 0 ? 1 : -1
    let exponent = Int(bits >> 10 & 0x1F)
    let fraction = UInt32(bits & 0x3FF)
    switch exponent {
    case 0: return sign * Float(fraction) * 0x1p-24
    case 31: return Float(bitPattern: UInt32(bits & 0x8000) << 16 | 0x7F80_0000 | fraction << 13)
    default: return sign * Float(bitPattern: UInt32(exponent + 112) << 23 | fraction << 13)
    }
  }
}
