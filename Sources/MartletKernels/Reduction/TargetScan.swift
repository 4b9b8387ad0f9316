// Whether the targets of a batch are what a loss takes: one pass of integer operations over what a step has just copied.

/// Fast answers about a batch of targets. A `false` says "look closer": −0 is not told from the negative numbers.
///
/// No branch and no floating-point comparison in a loop, so that each runs at the speed of memory on every instruction set.
public enum TargetScan {
  /// Every label is in `0..<classes`.
  public static func areLabels(_ labels: UnsafePointer<Int32>, count: Int, classes: Int32) -> Bool {
    let last = classes &- 1
    var flags: Int32 = 0
    // The sign bit of a label below 0, and of the distance of one above the last.
    for i in 0..<count { flags |= labels[i] | (last &- labels[i]) }
    return flags >= 0
  }

  /// No value is infinite or NaN.
  public static func areFinite(_ values: UnsafePointer<Float>, count: Int) -> Bool {
    let bits = UnsafeRawPointer(values).assumingMemoryBound(to: Int32.self)
    let largest = Int32(bitPattern: Float.greatestFiniteMagnitude.bitPattern)
    var flags: Int32 = 0
    for i in 0..<count { flags |= largest &- (bits[i] & .max) }
    return flags >= 0
  }

  /// Every value is in `0...largest`, which is above 0.
  public static func areWithin(_ values: UnsafePointer<Float>, count: Int, largest: Float) -> Bool {
    let bits = UnsafeRawPointer(values).assumingMemoryBound(to: Int32.self)
    // Numbers above 0 have the order of their bits.
    let largest = Int32(bitPattern: largest.bitPattern)
    var flags: Int32 = 0
    for i in 0..<count { flags |= bits[i] | (largest &- bits[i]) }
    return flags >= 0
  }

  /// The sum of a row, in Float64.
  public static func sum(_ values: UnsafePointer<Float>, count: Int) -> Double {
    var sums = SIMD4<Double>(repeating: 0)
    var i = 0
    while i &+ 4 <= count {
      sums += SIMD4<Double>(UnsafeRawPointer(values + i).loadUnaligned(as: SIMD4<Float>.self))
      i &+= 4
    }
    var sum = sums.sum()
    while i < count {
      sum += Double(values[i])
      i &+= 1
    }
    return sum
  }
}
