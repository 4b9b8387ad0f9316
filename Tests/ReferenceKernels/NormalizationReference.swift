// Batch norm's relatives in naive Float64: every element belongs to a set that is normalised by itself, and has learned numbers.

public struct NormalizationReference: Sendable {
  /// The set of each element.
  public let sets: [Int]
  public let setCount: Int
  /// Which of the learned numbers each element has.
  public let places: [Int]
  public let placeCount: Int
  public let centers: Bool
  public let epsilon: Double

  public struct Parameters: Sendable {
    public var scale: [Double]?
    public var shift: [Double]?
    public var threshold: [Double]?
    public var learnedEpsilon: [Double]?
    public init(scale: [Double]? = nil, shift: [Double]? = nil, threshold: [Double]? = nil, learnedEpsilon: [Double]? = nil) {
      self.scale = scale
      self.shift = shift
      self.threshold = threshold
      self.learnedEpsilon = learnedEpsilon
    }
  }

  private init(count: Int, placeCount: Int, centers: Bool, epsilon: Double, set: (Int) -> Int, place: (Int) -> Int) {
    sets = (0..<count).map(set)
    setCount = (sets.max() ?? -1) + 1
    places = (0..<count).map(place)
    self.placeCount = placeCount
    self.centers = centers
    self.epsilon = epsilon
  }

  /// `[samples, groups, length]`, each length by itself.
  public static func rows(
    samples: Int, groups: Int = 1, length: Int, centers: Bool, epsilon: Double
  ) -> NormalizationReference {
    NormalizationReference(
      count: samples * groups * length, placeCount: groups * length, centers: centers, epsilon: epsilon, set: { $0 / length },
      place: { $0 % (groups * length) })
  }

  /// `[samples, positions, channels]`, groups of neighbouring channels over the positions of a sample.
  public static func groups(
    samples: Int, positions: Int, channels: Int, groups: Int, epsilon: Double
  ) -> NormalizationReference {
    NormalizationReference(
      count: samples * positions * channels, placeCount: channels, centers: true, epsilon: epsilon,
      set: { $0 / (positions * channels) * groups + $0 % channels / (channels / groups) }, place: { $0 % channels })
  }

  public static func filterResponse(samples: Int, positions: Int, channels: Int, epsilon: Double) -> NormalizationReference {
    NormalizationReference(
      count: samples * positions * channels, placeCount: channels, centers: false, epsilon: epsilon,
      set: { $0 / (positions * channels) * channels + $0 % channels }, place: { $0 % channels })
  }

  /// Mean of each set; of a set that is not centred 0.
  private func means(_ x: [Double]) -> [Double] {
    guard centers else { return [Double](repeating: 0, count: setCount) }
    let first = average { x[$0] }
    // What the first sum lost shows in the deviations from it.
    let rest = average { x[$0] - first[sets[$0]] }
    return zip(first, rest).map { $0 + $1 }
  }

  private func average(_ value: (Int) -> Double) -> [Double] {
    var sums = [Double](repeating: 0, count: setCount)
    var counts = sums
    for i in sets.indices {
      sums[sets[i]] += value(i)
      counts[sets[i]] += 1
    }
    return zip(sums, counts).map { $0 / $1 }
  }

  /// 1/√(variance + epsilon) of each set, and x̂ of each element. (The elements of a set have one learned epsilon.)
  public func normalised(_ x: [Double], learnedEpsilon: [Double]? = nil) -> (inverse: [Double], values: [Double]) {
    let mean = means(x)
    let variance = average { i in (x[i] - mean[sets[i]]) * (x[i] - mean[sets[i]]) }
    var inverse = variance.map { 1 / ($0 + epsilon).squareRoot() }
    if let learnedEpsilon {
      for i in sets.indices {
        inverse[sets[i]] = 1 / (variance[sets[i]] + epsilon + abs(learnedEpsilon[places[i]])).squareRoot()
      }
    }
    return (inverse, x.indices.map { (x[$0] - mean[sets[$0]]) * inverse[sets[$0]] })
  }

  /// Before the threshold.
  public func linear(_ x: [Double], _ parameters: Parameters) -> [Double] {
    let values = normalised(x, learnedEpsilon: parameters.learnedEpsilon).values
    return values.indices.map {
      values[$0] * (parameters.scale?[places[$0]] ?? 1) + (parameters.shift?[places[$0]] ?? 0)
    }
  }

  public func forward(_ x: [Double], _ parameters: Parameters) -> [Double] {
    let z = linear(x, parameters)
    return z.indices.map { max(z[$0], parameters.threshold?[places[$0]] ?? -.infinity) }
  }

  /// Of Σ gradOutput·y: by the input, and by each of the learned numbers.
  public func gradients(
    _ x: [Double], _ gradOutput: [Double], _ parameters: Parameters
  ) -> (input: [Double], parameters: Parameters) {
    let z = linear(x, parameters)
    let g = z.indices.map { z[$0] < (parameters.threshold?[places[$0]] ?? -.infinity) ? 0 : gradOutput[$0] }
    let (inverse, hat) = normalised(x, learnedEpsilon: parameters.learnedEpsilon)
    let u = g.indices.map { g[$0] * (parameters.scale?[places[$0]] ?? 1) }
    let mean = average { u[$0] }
    let projection = average { u[$0] * hat[$0] }
    func sums(_ value: (Int) -> Double) -> [Double] {
      var sums = [Double](repeating: 0, count: placeCount)
      for i in places.indices { sums[places[i]] += value(i) }
      return sums
    }
    let input = u.indices.map { i in
      inverse[sets[i]] * (u[i] - (centers ? mean[sets[i]] : 0) - hat[i] * projection[sets[i]])
    }
    let epsilons = parameters.learnedEpsilon.map { learned in
      sums { -0.5 * (learned[places[$0]] < 0 ? -1 : 1) * u[$0] * hat[$0] * inverse[sets[$0]] * inverse[sets[$0]] }
    }
    return (
      input,
      Parameters(
        scale: sums { g[$0] * hat[$0] }, shift: sums { g[$0] },
        threshold: parameters.threshold.map { _ in sums { gradOutput[$0] - g[$0] } }, learnedEpsilon: epsilons)
    )
  }
}
