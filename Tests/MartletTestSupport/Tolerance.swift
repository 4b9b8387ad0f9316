// Every tolerance of the Swift tests, each with its derivation.

/// Half a unit in the last place of 1 in Float32: the largest relative error of one rounding.
public let unitRoundoff = 0x1p-24

public enum Tolerance {
  /// An average of `terms` values of at most `magnitude`, gathered in Float64 in any order and compared with another such: each side
  /// meets at most `terms` roundings of 2⁻⁵³ and a few more where batches are pooled (Higham 2002, §4.2).
  public static func float64Sum(terms: Int, magnitude: Double) -> Double { 2 * Double(terms + 8) * 0x1p-53 * magnitude }

  /// A sum of `terms` products in Float32, in any order: each term meets at most `terms` roundings (Higham 2002, §3.1).
  public static func dotProduct(terms: Int, magnitude: Double) -> Double {
    let n = Double(terms + 2) * unitRoundoff
    return n / (1 - n) * magnitude
  }

  /// `activation((x + bias)·multiplier + offset)` in Float32, the error of x given: three roundings, each of a value no larger
  /// than the sum of magnitudes; the activations' slopes are at most 1 and their own error at most 4 units in the last place
  /// (8 roundoffs) of a result no larger than the argument or 1.
  public static func productTail(error: Double, value: Double, bias: Double, multiplier: Double, offset: Double) -> Double {
    let size = (value.magnitude + error + bias.magnitude) * multiplier.magnitude + offset.magnitude
    return error * multiplier.magnitude + 3 * unitRoundoff * size + 8 * unitRoundoff * max(size, 1)
  }
}

extension Tolerance {
  /// Units in the last place that the vector functions may be off: three half-units for the exponential (its polynomial, its
  /// last sum, the scaling of a denormal) and for the logarithm; a quotient of such an exponential adds the rounding of the
  /// divisor and its own, and all may count double where the quotient's binade is smaller than the parts'.
  public static let exponentialUlps = 1.5
  public static let logarithmUlps = 1.5
  public static let sigmoidUlps = 3.0
  public static let tanhUlps = 3.0

  /// Softmax, relative: the difference to the row's maximum is rounded at size `spread`, which the exponential turns into a relative
  /// error; then 1.5 ulp of the exponential, and three roundings of the factor and the product. (1 ulp ≤ 2 unit roundoffs.)
  public static func softmax(spread: Double) -> Double { (spread + 8) * unitRoundoff }

  /// A Float32 result computed in `roundings` rounded steps without cancellation.
  public static func steps(_ roundings: Int) -> Double { Double(roundings) * unitRoundoff * 1.01 }
}

extension Tolerance {
  /// Normalised output, absolute, for |y| below 6 with neither scale nor shift; the library's promise.
  ///
  /// d = x − center is rounded once (at most u·|d|), and so is the outer sum (u·|y|); without fused multiply-add the product d·multiplier
  /// is, too: 3·u·5.3 = 9.5e-7 at the farthest of 2²¹ normal numbers. The statistics add far less: their Float32 runs err by some u of a
  /// run's sum, independently, so by u/√(runs) of the whole.
  public static let normalised = 1e-6

  /// The mean in deviations, and the variance relative: runs of at most 2·32 + 8 roundings each, u/2 on average and of either sign,
  /// amplified at most fivefold by a pivot two deviations off. `values` is what one channel sums.
  public static func mean(deviation: Double, largest: Double, values: Int) -> Double {
    24 * unitRoundoff * deviation + Double(values) * 0x1p-52 * largest
  }
  public static func variance(_ variance: Double, largest: Double, values: Int) -> Double {
    48 * unitRoundoff * variance + Double(values) * 0x1p-52 * largest * largest * 0x1p-20
  }

  /// A channel's sum of terms whose sizes add up to `magnitude`: a Float32 run has at most 40 roundings, the terms up to six more.
  public static func channelSum(magnitude: Double) -> Double { 46 * unitRoundoff * magnitude }

  /// The gradient of the input relative to |multiplier|·max|g|·(1 + largest |normalised x|): six roundings of terms that are no larger.
  public static let gradientInput = 8 * unitRoundoff

  /// A value or gradient that went through `depth` layers with sums of at most `terms` terms: a sum adds at most `terms` roundings, everything
  /// else of a layer (map, activation, its derivative) at most 8, all of terms no larger than `magnitude`; a factor of 2 for what one layer's
  /// weights amplify of an earlier one's error.
  public static func network(depth: Int, terms: Int, magnitude: Double) -> Double {
    2 * Double(depth * 8 + terms) * unitRoundoff * magnitude
  }
}

extension Tolerance {
  /// Gradients through a normalisation relative to the largest one: six roundings of terms up to twice its size.
  public static let gradientOfNormalised = 12 * unitRoundoff
}

extension Tolerance {
  /// The mean of a row's losses, each of a size up to `magnitude`: Float32 values and differences (4 roundings), an exponential and a logarithm of 1.5
  /// units in the last place each; rows are summed in Float64.
  public static func loss(magnitude: Double) -> Double { 10 * unitRoundoff * magnitude }
}

extension Tolerance {
  /// Parameters of size ≤ 2 and losses after some ten to twenty steps of training: a step adds at most about 40 roundings (forward and backward through four
  /// layers), which later steps carry on; Adam's division by √second magnifies those of small gradients by up to ten.
  public static let afterTraining = 20 * 40 * unitRoundoff
}

extension Tolerance {
  /// An output of Winograd's F(2×2, 3×3); `magnitude` is Σ|w|·X over taps and channels, X the largest |x| of a channel. Derivation:
  /// docs/numerics.md.
  public static func winograd(channels: Int, magnitude: Double) -> Double {
    dotProduct(terms: channels + 10, magnitude: 16 * magnitude)
  }
}
