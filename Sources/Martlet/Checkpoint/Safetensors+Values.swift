// Values out of a tensor's bytes, whatever their address and type: checked first, then copied to where they belong.

extension SafetensorsTensor {
  /// The number of values.
  var count: Int { bytes.count / dtype.size }

  // MARK: - Floating point

  /// Checks that Float32 can hold every value: F32, F16 and BF16 exactly, F64 rounded to nearest.
  ///
  /// - Throws: ``MartletError/Kind/unsupported`` for a type that is not floating-point; ``MartletError/Kind/invalidArgument`` for a
  ///   finite F64 value that rounds to infinity, with its place.
  ///
  /// Edge cases: infinities and NaN of the file stay what they are.
  func checkFloat32() throws(MartletError) {
    try checkIsFloating()
    guard dtype == .f64 else { return }
    for index in 0..<count {
      let value = double(index)
      guard value.isFinite, !Float(value).isFinite else { continue }
      throw MartletError.invalidArgument(
        "Tensor \(excerpt(name)) holds \(value) at element \(index), which float32 cannot hold: its largest number is "
          + "\(Float.greatestFiniteMagnitude). Scale the tensor, or correct the value, and save it again.")
    }
  }

  /// Checks that the values are floating-point, which Float64 always holds.
  func checkFloat64() throws(MartletError) { try checkIsFloating() }

  private func checkIsFloating() throws(MartletError) {
    switch dtype {
    case .f32, .f64, .bf16, .f16: return
    default:
      throw MartletError(
        .unsupported,
        "Tensor \(excerpt(name)) holds \(dtype.rawValue); F32, F64, F16 or BF16 is needed here. Convert it and save again.")
    }
  }

  /// Writes ``count`` values, which ``checkFloat32()`` has let pass.
  func copyFloat32(to target: UnsafeMutablePointer<Float>) {
    switch dtype {
    case .f64: for index in 0..<count { target[index] = Float(double(index)) }
    case .bf16: for index in 0..<count { target[index] = Float(bitPattern: UInt32(bits(index) as UInt16) << 16) }
    case .f16: for index in 0..<count { target[index] = Self.float32(half: bits(index)) }
    default: for index in 0..<count { target[index] = Float(bitPattern: bits(index)) }
    }
  }

  /// Writes ``count`` values, which ``checkFloat64()`` has let pass; all are exact.
  func copyFloat64(to target: UnsafeMutablePointer<Double>) {
    for index in 0..<count { target[index] = double(index) }
  }

  /// A floating-point value, exactly.
  func double(_ index: Int) -> Double {
    switch dtype {
    case .f64: Double(bitPattern: bits(index))
    case .bf16: Double(Float(bitPattern: UInt32(bits(index) as UInt16) << 16))
    case .f16: Double(Self.float32(half: bits(index)))
    default: Double(Float(bitPattern: bits(index)))
    }
  }

  // MARK: - Counters

  /// The value of a counter: a whole number of 0 or more, of any integer or floating-point type.
  ///
  /// - Throws: ``MartletError/Kind/unsupported`` for other types; ``MartletError/Kind/invalidArgument`` for another number of
  ///   values, or a value that is negative, not whole or too large.
  func counterValue() throws(MartletError) -> Int64 {
    guard count == 1 else {
      throw MartletError.invalidArgument("Tensor \(excerpt(name)) holds \(count) values; a counter is one.")
    }
    let value: Int64?
    let text: String
    switch dtype {
    case .f64, .f32, .f16, .bf16:
      text = "\(double(0))"
      value = Int64(exactly: double(0))
    case .u64:
      let number: UInt64 = bits(0)
      text = "\(number)"
      value = Int64(exactly: number)
    case .i64: (value, text) = Self.described(bits(0) as Int64)
    case .i32: (value, text) = Self.described(bits(0) as Int32)
    case .i16: (value, text) = Self.described(bits(0) as Int16)
    case .i8: (value, text) = Self.described(bits(0) as Int8)
    case .u32: (value, text) = Self.described(bits(0) as UInt32)
    case .u16: (value, text) = Self.described(bits(0) as UInt16)
    case .u8: (value, text) = Self.described(bits(0) as UInt8)
    case .bool, .c64, .f8e5m2, .f8e4m3, .f8e8m0:
      throw MartletError(
        .unsupported,
        "Tensor \(excerpt(name)) holds \(dtype.rawValue); a counter is a whole number of an integer type, F64, F32, F16 or BF16. "
          + "Convert it and save again.")
    }
    guard let value, value >= 0 else {
      throw MartletError.invalidArgument(
        "\(name): expected a whole number of 0 or more that fits 64 bits, as a counter is; got \(text).")
    }
    return value
  }

  private static func described<Number: FixedWidthInteger>(_ number: Number) -> (Int64?, String) {
    (Int64(exactly: number), "\(number)")
  }

  // MARK: - Bits

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
