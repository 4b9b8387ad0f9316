// The matrix product, naive and in Float64.

/// `C[rows, columns] = A · B` and, of the same shape, Σ|a·b|: what rounding errors of the sum are relative to.
public struct ReferenceProduct {
  public var values: [Double]
  public var magnitudes: [Double]

  public init(
    rows: Int, columns: Int, depth: Int, _ a: UnsafePointer<Float>, aRowStride: Int, aColumnStride: Int,
    _ b: UnsafePointer<Float>, bRowStride: Int, bColumnStride: Int
  ) {
    values = []
    magnitudes = []
    for i in 0..<rows {
      for j in 0..<columns {
        var sum = 0.0
        var magnitude = 0.0
        for k in 0..<depth {
          let product = Double(a[i * aRowStride + k * aColumnStride]) * Double(b[k * bRowStride + j * bColumnStride])
          sum += product
          magnitude += product.magnitude
        }
        values.append(sum)
        magnitudes.append(magnitude)
      }
    }
  }
}
