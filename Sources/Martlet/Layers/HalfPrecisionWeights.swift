// A Dense layer's weights in half precision, each output's scaled by a power of two.
import MartletRuntime

/// The weights of an output are multiplied by a power of two before they are rounded, so that the largest of them is well inside the
/// format's range; the product's tail takes that back, exactly:
///
///     ((s·x) + bias)·multiplier + offset  =  (x + bias/s)·(s·multiplier) + offset          s: a power of two for each output
///
/// Error: |ŵ − w| ≤ 2⁻¹¹·|w| + 2⁻³³·max |w|, the largest over the weights of the same output.
struct HalfPrecisionWeights {
  private let compute: Compute
  private let columns: Int
  private let depth: Int

  init(columns: Int, depth: Int, _ compute: Compute) {
    self.compute = compute
    self.columns = columns
    self.depth = depth
  }

  private var floatByteCount: Int { compute.packedByteCount(columns: columns, depth: depth) }
  /// Of a packed copy: the halves, then the outputs' powers of two.
  var byteCount: Int { floatByteCount / 2 + columns * 4 }
  /// Of the tail's numbers: in a cache line of their own what they were made from and whether they fit, then biases, then multipliers.
  static func tailByteCount(columns: Int) -> Int { Storage.alignment + 2 * columns * 4 }

  /// Packs, scales and rounds weights `[columns, depth]`.
  ///
  /// - Returns: false if they do not fit the format, or no memory is to be had.
  func pack(_ weight: Variable, into copy: UnsafeMutableRawPointer) -> Bool {
    guard let floats = try? Storage(byteCount: floatByteCount, isZeroed: false) else { return false }
    compute.pack(
      MatrixView(weight.floats, rowStride: 1, columnStride: depth), columns: columns, depth: depth, into: floats.floats)
    let powers = (copy + floatByteCount / 2).assumingMemoryBound(to: Float.self)
    return compute.scalePanels(floats.floats, columns: columns, depth: depth, inverses: powers)
      && compute.roundToHalves(floats.floats, count: floatByteCount / 4, into: copy)
  }

  /// The tail of a product with a packed copy: `tail`, and the powers of two.
  ///
  /// - Parameters:
  ///   - kept: ``tailByteCount(columns:)`` bytes that keep its numbers from run to run, zeros before the first.
  ///   - version: of what `tail` and `copy` were made from, above 0; nil: they may have changed without notice.
  /// - Returns: nil where one of its numbers would leave Float32's range.
  func tail(
    _ tail: MatrixTail, _ copy: UnsafeRawPointer, kept: UnsafeMutableRawPointer, version: Int?
  ) -> MatrixTail? {
    let numbers = (kept + Storage.alignment).assumingMemoryBound(to: Float.self)
    let (bias, multiplier) = (numbers, numbers + columns)
    let made = kept.assumingMemoryBound(to: Int.self)
    if version == nil || made[0] != version {
      made[1] = fill(bias, multiplier, from: tail, copy) ? 1 : 0
      made[0] = version ?? 0
    }
    guard made[1] == 1 else { return nil }
    return MatrixTail(
      bias: tail.bias == nil ? nil : UnsafePointer(bias), multiplier: multiplier, offset: tail.offset,
      activation: tail.activation, residual: tail.residual)
  }

  /// - Returns: whether every number is exact.
  private func fill(
    _ bias: UnsafeMutablePointer<Float>, _ multiplier: UnsafeMutablePointer<Float>, from tail: MatrixTail,
    _ copy: UnsafeRawPointer
  ) -> Bool {
    let powers = (copy + floatByteCount / 2).assumingMemoryBound(to: Float.self)
    var isExact = true
    for j in 0..<columns {
      let (oldBias, oldMultiplier) = (tail.bias?[j] ?? 0, tail.multiplier?[j] ?? 1)
      bias[j] = oldBias / powers[j]
      multiplier[j] = oldMultiplier * powers[j]
      // Powers of two change the exponent alone, unless it leaves the range. NaN and infinity stay what they are.
      isExact = isExact && (bias[j] * powers[j] == oldBias || !oldBias.isFinite)
      isExact = isExact && (multiplier[j] / powers[j] == oldMultiplier || !oldMultiplier.isFinite)
    }
    return isExact
  }

  /// A packed copy as a product's operand.
  func matrix(_ copy: UnsafeRawPointer) -> PackedMatrix { PackedMatrix(halves: copy, columns: columns, depth: depth) }
}
