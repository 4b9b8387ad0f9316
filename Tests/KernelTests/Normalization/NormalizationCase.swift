import MartletRuntime
import MartletTestSupport
import ReferenceKernels

/// One operation on one shape, with its data and its answer.
struct NormalizationCase: CustomStringConvertible {
  let operation: NormalizationOperation
  let reference: NormalizationReference
  let x: [Float]
  let gradOutput: [Float]
  let values: NormalizationValues
  let epsilon: Double
  var description: String { "\(operation)" }

  /// - Parameter parameters: 0…3: none, scale, shift, both (and threshold and learned epsilon, where there are such, with the scale).
  init(
    _ operation: NormalizationOperation, seed: UInt64, parameters: Int = 3, mean: Double = 1, deviation: Double = 0.7,
    epsilon: Double = 1e-3
  ) {
    self.operation = operation
    self.epsilon = epsilon
    switch operation {
    case .rows(let shape, let centers):
      reference = .rows(
        samples: shape.samples, groups: shape.groups, length: shape.length, centers: centers, epsilon: epsilon)
    case .groups(let shape, let groups):
      reference = .groups(
        samples: shape.samples, positions: shape.positions, channels: shape.channels, groups: groups, epsilon: epsilon)
    case .filterResponse(let shape):
      reference = .filterResponse(
        samples: shape.samples, positions: shape.positions, channels: shape.channels, epsilon: epsilon)
    }
    let count = reference.sets.count
    x = Reference.normal(count, seed: seed, mean: mean, deviation: deviation)
    gradOutput = Reference.normal(count, seed: seed &+ 1, mean: 0.1, deviation: 0.5)
    var random = TestRandom(seed: seed)
    var values = NormalizationValues()
    if parameters & 1 != 0 { values.scale = random.array(reference.placeCount, 0.5...1.5) }
    // A channel whose scale is 0 still has a gradient by its group.
    if values.scale != nil, reference.placeCount > 3 { values.scale?[2] = 0 }
    if parameters & 2 != 0 { values.shift = random.array(reference.placeCount) }
    if case .filterResponse = operation, parameters & 1 != 0 {
      values.learnedEpsilon = random.array(reference.placeCount, -0.3...0.3)
      values.threshold = NormalizationCase.thresholds(reference, x, values)
    }
    self.values = values
  }

  /// In the widest gap between the values of a channel that lie about its middle: no rounding takes one over the threshold.
  private static func thresholds(_ reference: NormalizationReference, _ x: [Float], _ values: NormalizationValues) -> [Float] {
    let z = reference.linear(x.map(Double.init), NormalizationCase.parameters(values))
    var byPlace = [[Double]](repeating: [], count: reference.placeCount)
    for i in z.indices { byPlace[reference.places[i]].append(z[i]) }
    return byPlace.map { list in
      let sorted = list.sorted()
      let middle = sorted[sorted.count / 4...max(sorted.count / 4, sorted.count * 3 / 4 - 1)]
      var best = (width: 0.0, place: (sorted.first ?? 0) - 0.25)
      for (a, b) in zip(middle, middle.dropFirst()) where b - a > best.width { best = (b - a, (a + b) / 2) }
      return Float(best.place)
    }
  }

  private static func parameters(_ values: NormalizationValues) -> NormalizationReference.Parameters {
    func doubles(_ list: [Float]?) -> [Double]? { list.map { $0.map(Double.init) } }
    return NormalizationReference.Parameters(
      scale: doubles(values.scale), shift: doubles(values.shift), threshold: doubles(values.threshold),
      learnedEpsilon: doubles(values.learnedEpsilon))
  }

  struct Answer {
    let y: [Double]
    let input: [Double]
    /// Those of the parameters that are, as ``NormalizationResults/gradients``, with how far off each may be.
    let gradients: [[Double]]
    let outputTolerance: Double
    let inputTolerance: Double
    let gradientTolerances: [[Double]]
  }

  /// In Float64, and how far off Float32 may be.
  var answer: Answer {
    let (x, g) = (self.x.map(Double.init), gradOutput.map(Double.init))
    let parameters = NormalizationCase.parameters(values)
    let y = reference.forward(x, parameters)
    let (input, gradients) = reference.gradients(x, g, parameters)
    let (inverse, hat) = reference.normalised(x, learnedEpsilon: parameters.learnedEpsilon)
    func largest(_ values: [Double]) -> Double { values.reduce(0) { max($0, abs($1)) } }
    func sums(_ value: (Int) -> Double) -> [Double] {
      var sums = [Double](repeating: 0, count: reference.placeCount)
      for i in reference.places.indices { sums[reference.places[i]] += value(i) }
      return sums
    }
    let scale = values.scale == nil ? 1 : 1.5
    let steepest = largest(inverse)
    let factor = scale * steepest * steepest / 2
    let size = sums { abs(g[$0]) }
    let products = sums { abs(g[$0] * hat[$0]) }
    // A product's rounding and its sum's; the normalised value itself is off by no more than the library promises.
    let ofScale = zip(products, size).map { Tolerance.channelSum(magnitude: $0) + Tolerance.normalised * $1 }
    let ofShift = size.map { Tolerance.channelSum(magnitude: $0) }
    let tolerances = [
      values.scale.map { _ in ofScale }, values.shift.map { _ in ofShift }, values.threshold.map { _ in ofShift },
      values.learnedEpsilon.map { _ in ofScale.map { $0 * factor } },
    ]
    let wanted = [
      values.scale.flatMap { _ in gradients.scale }, values.shift.flatMap { _ in gradients.shift }, gradients.threshold,
      gradients.learnedEpsilon,
    ]
    return Answer(
      y: y, input: input, gradients: wanted.compactMap { $0 },
      outputTolerance: Tolerance.normalised * scale + Tolerance.steps(2) * largest(y),
      inputTolerance: 1e-6 * scale * steepest * largest(g) * (1 + largest(hat)),
      gradientTolerances: tolerances.compactMap { $0 })
  }

  /// What is wrong with the results; nil: nothing.
  func mismatch(_ found: NormalizationResults, _ answer: Answer) -> String? {
    let y = Reference.largestDifference(found.y, answer.y)
    if !(y <= answer.outputTolerance) { return "output off by \(y), tolerance \(answer.outputTolerance)" }
    let input = Reference.largestDifference(found.gradInput, answer.input)
    if !(input <= answer.inputTolerance) { return "input gradient off by \(input), tolerance \(answer.inputTolerance)" }
    guard found.gradients.count == answer.gradients.count else { return "\(found.gradients.count) gradients" }
    for number in answer.gradients.indices {
      for (place, want) in answer.gradients[number].enumerated() {
        let got = Double(found.gradients[number][place])
        let tolerance = answer.gradientTolerances[number][place] + Tolerance.steps(1) * abs(want)
        if !(abs(got - want) <= tolerance) { return "gradient \(number) of \(place): \(got), not \(want) ± \(tolerance)" }
      }
    }
    return nil
  }
}

enum NormalizationCases {
  /// All tails of rows, channels and groups.
  static let small: [NormalizationOperation] = {
    var list: [NormalizationOperation] = []
    for length in Array(2...35) + [63, 64, 65, 127, 130, 257, 1030] {
      for samples in [1, 3, 4, 9] {
        list.append(.rows(RowShape(samples: samples, length: length), centers: true))
        if samples > 1 { list.append(.rows(RowShape(samples: samples, length: length), centers: false)) }
      }
    }
    for (groups, length) in [(2, 2), (3, 5), (4, 16), (2, 33), (32, 8)] {
      list.append(.rows(RowShape(samples: 5, groups: groups, length: length), centers: true))
    }
    for channels in [1, 2, 3, 6, 8, 12, 16, 17, 24, 33, 48, 130] {
      for positions in [2, 3, 7, 16, 49] {
        let shape = SampleShape(samples: 3, positions: positions, channels: channels)
        for groups in Set([1, channels, channels % 3 == 0 ? 3 : 1, channels % 2 == 0 ? channels / 2 : 1]).sorted() {
          list.append(.groups(shape, groups))
        }
        list.append(.filterResponse(shape))
      }
      list.append(.filterResponse(SampleShape(samples: 4, positions: 1, channels: channels)))
    }
    return list
  }()

  /// Several pieces; samples that are pieces, and samples of several pieces each.
  static let large: [NormalizationOperation] = [
    .rows(RowShape(samples: 3000, length: 64), centers: true), .rows(RowShape(samples: 700, length: 100), centers: false),
    .rows(RowShape(samples: 300, length: 768), centers: true), .rows(RowShape(samples: 9, length: 20_000), centers: true),
    .rows(RowShape(samples: 2, length: 70_001), centers: true),
    .rows(RowShape(samples: 500, groups: 8, length: 24), centers: true),
    .groups(SampleShape(samples: 70, positions: 64, channels: 32), 4),
    .groups(SampleShape(samples: 5, positions: 100, channels: 96), 96),
    .groups(SampleShape(samples: 2, positions: 5000, channels: 40), 5),
    .groups(SampleShape(samples: 3, positions: 2, channels: 600), 6),
    .filterResponse(SampleShape(samples: 70, positions: 64, channels: 32)),
    .filterResponse(SampleShape(samples: 2, positions: 5000, channels: 40)),
    .filterResponse(SampleShape(samples: 300, positions: 1, channels: 70)),
  ]
}
