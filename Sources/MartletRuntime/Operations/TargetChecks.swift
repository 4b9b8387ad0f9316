// Whether a batch of targets is what a loss takes. A `false` says "look closer": −0 is not told from the negative numbers.
import MartletKernels

extension Compute {
  /// Every label is in `0..<classes`.
  public static func areLabels(_ labels: UnsafePointer<Int32>, count: Int, classes: Int32) -> Bool {
    TargetScan.areLabels(labels, count: count, classes: classes)
  }

  /// No value is infinite or NaN.
  public static func areFinite(_ values: UnsafePointer<Float>, count: Int) -> Bool {
    TargetScan.areFinite(values, count: count)
  }

  /// Every value is in `0...largest`, which is above 0.
  public static func areWithin(_ values: UnsafePointer<Float>, count: Int, largest: Float) -> Bool {
    TargetScan.areWithin(values, count: count, largest: largest)
  }

  /// The sum of a row, in Float64.
  public static func rowSum(_ values: UnsafePointer<Float>, count: Int) -> Double { TargetScan.sum(values, count: count) }
}
