// A model's forward pass in Float64, node by node, from its description: no plan, no fusion.
import MartletTestSupport
import ReferenceKernels
import Testing

@testable import Martlet

struct ReferenceModel {
  let model: Model
  let isTraining: Bool
  /// Of the batch's dropout.
  var randomKey: UInt64 = 0
  /// What batch norms hold constant, as the first run found it.
  let constants = ReferenceNormConstants()

  /// The parameters as they stand, by name.
  var parameters: [String: [Double]] {
    Dictionary(
      uniqueKeysWithValues: model.variables.filter { $0.kind == .parameter }.map { ($0.name, $0.values.map(Double.init)) })
  }

  /// The values of the outputs.
  func outputs(_ inputs: [[Double]], _ parameters: [String: [Double]]) -> [[Double]] {
    var values: [Int: [Double]] = [:]
    for (place, node) in model.inputNodes.enumerated() { values[node] = inputs[place] }
    for (number, node) in model.network.nodes.enumerated() {
      guard let layer = node.layer else { continue }
      let x = node.inputs.map { values[$0] ?? [] }
      values[number] = apply(layer, node, x, parameters)
    }
    return model.outputNodes.map { values[$0] ?? [] }
  }

  private func apply(
    _ layer: ModelLayer, _ node: Network.Node, _ all: [[Double]], _ parameters: [String: [Double]]
  ) -> [Double] {
    let x = all[0]
    let shape = model.network.nodes[node.inputs[0]].shape
    func parameter(_ name: String) -> [Double]? { parameters[layer.name + "." + name] }
    func state(_ name: String) -> [Double] { layer.variable(name)?.values.map(Double.init) ?? [] }
    switch layer.layer {
    case let dense as Dense:
      return Reference.dense(
        x, inputs: layer.inputShapes[0][0], units: dense.units, weight: parameter("weight") ?? [], bias: parameter("bias"))
    case let convolution as Conv2D:
      guard let window = try? convolution.window(shape) else { return [] }
      return NaiveImages.convolution(
        x, window, filters: convolution.filters, groups: convolution.groups, weight: parameter("weight") ?? [],
        bias: parameter("bias"))
    case let convolution as Conv1D:
      guard let window = try? convolution.image.window([1] + shape) else { return [] }
      return NaiveImages.convolution(
        x, window, filters: convolution.filters, groups: convolution.groups, weight: parameter("weight") ?? [],
        bias: parameter("bias"))
    case let pool as MaxPool2D: return NaiveImages.maximum(x, try? pool.window(shape))
    case let pool as MaxPool1D: return NaiveImages.maximum(x, try? pool.image.window([1] + shape))
    case let pool as AvgPool2D:
      return NaiveImages.average(x, try? pool.window(shape), countIncludesPad: pool.countIncludesPad)
    case let pool as AvgPool1D:
      return NaiveImages.average(x, try? pool.image.window([1] + shape), countIncludesPad: pool.countIncludesPad)
    case is GlobalAvgPool2D, is GlobalAvgPool1D:
      return NaiveImages.means(x, positions: shape.dropLast().reduce(1, *), channels: shape.last ?? 1)
    case let pad as ZeroPad2D:
      return NaiveImages.surrounded(x, shape, node.shape, top: pad.top, left: pad.left)
    case let upsample as Upsample2D:
      return NaiveImages.enlarged(x, shape, by: upsample.factor)
    case let norm as BatchNorm:
      if isTraining {
        return ReferenceNorm(norm, layer, node.name, constants).train(all, scale: parameter("weight"), shift: parameter("bias"))
      }
      return Reference.normalise(
        x, mean: state("running_mean"), variance: state("running_var"), epsilon: norm.epsilon, scale: parameter("weight"),
        shift: parameter("bias"))
    case let norm as any BuildableNormalization:
      return Reference.relative(
        norm, x, sample: shape,
        NormalizationReference.Parameters(
          scale: parameter("weight"), shift: parameter("bias"), threshold: parameter("threshold"),
          learnedEpsilon: parameter("learned_epsilon")))
    case let activation as any ActivationLayer:
      return x.map { Reference.activation(activation.activation.rawValue, $0) }
    case is Softmax:
      return Reference.softmaxRows(x, columns: layer.outputShape.last ?? 1)
    case let dropout as Dropout:
      return isTraining ? Reference.dropout(x, rate: dropout.rate, key: randomKey ^ StableHash.of(node.name)) : x
    case let normalization as InputNormalization:
      guard let mean = layer.variable("mean"), let variance = layer.variable("variance"), layer.variable("count")?.integer != 0
      else { return x }
      let count = mean.count
      return Reference.normalise(
        x, mean: (0..<count).map { mean.storage.doubles[$0] },
        variance: (0..<count).map {
          let spread = variance.storage.doubles[$0] + normalization.epsilon
          return spread > 0 ? spread : 1
        }, epsilon: 0, scale: nil, shift: nil)
    case is Add:
      return x.indices.map { i in all.reduce(0) { $0 + $1[i] } }
    case is Concatenate:
      let widths = node.inputs.map { model.network.nodes[$0].shape.last ?? 0 }
      let rows = all[0].count / max(widths[0], 1)
      return (0..<rows).flatMap { row in zip(all, widths).flatMap { part, width in part[row * width..<(row + 1) * width] } }
    case is ChannelsLast:
      return Reference.transposed(x, height: shape[0], width: shape.dropFirst().reduce(1, *))
    case is ChannelsFirst:
      return Reference.transposed(x, height: shape.dropLast().reduce(1, *), width: shape.last ?? 1)
    default:
      return x
    }
  }
}

extension Reference {
  /// A relative of batch norm, from its options alone.
  static func relative(
    _ norm: any BuildableNormalization, _ x: [Double], sample: [Int], _ parameters: NormalizationReference.Parameters
  ) -> [Double] {
    reference(norm, samples: x.count / max(sample.reduce(1, *), 1), sample: sample)?.forward(x, parameters) ?? []
  }

  static func reference(_ norm: any Normalization, samples: Int, sample: [Int]) -> NormalizationReference? {
    let channels = sample.last ?? 1
    let positions = sample.dropLast().reduce(1, *)
    switch norm {
    case let norm as LayerNorm where norm.over == .all:
      return .rows(samples: samples, length: positions * channels, centers: true, epsilon: norm.epsilon)
    case let norm as LayerNorm:
      return .rows(samples: samples * positions, length: channels, centers: true, epsilon: norm.epsilon)
    case let norm as RMSNorm:
      return .rows(samples: samples * positions, length: channels, centers: false, epsilon: norm.epsilon)
    case let norm as GroupNorm:
      return .groups(samples: samples, positions: positions, channels: channels, groups: norm.groups, epsilon: norm.epsilon)
    case let norm as InstanceNorm:
      return .groups(samples: samples, positions: positions, channels: channels, groups: channels, epsilon: norm.epsilon)
    case let norm as FilterResponseNorm:
      return .filterResponse(samples: samples, positions: positions, channels: channels, epsilon: norm.epsilon)
    default:
      return nil
    }
  }
}

/// Gives batch norm's scale and shift, and every bias, random values: at 1 and 0 many mistakes do not show.
func randomiseAffine(_ model: Model, seed: UInt64) {
  var random = TestRandom(seed: seed)
  for layer in model.layers {
    for variable in layer.variables where variable.kind == .parameter && !variable.isWeight {
      variable.set(random.array(variable.count, variable.localName == "weight" ? 0.5...1.5 : -0.5...0.5))
    }
    if let moving = MovingStatistics(layer) {
      for c in 0..<layer.outputShape[layer.outputShape.count - 1] {
        moving.mean[c] = random.uniform(-0.5...0.5)
        moving.variance[c] = random.uniform(0.5...1.5)
      }
    }
  }
}

/// Forward and backward of one batch against the Float64 reference: outputs, the gradient of every parameter, of every input.
///
/// - Parameters:
///   - terms: of the longest sum in the network, for the tolerance.
///   - weights: inputs that are weights of statistics, whose gradient is 0.
func checkGradients(
  _ model: Model, _ inputs: [Tensor], terms: Int, seed: UInt64, weights: Set<Int> = [],
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  randomiseAffine(model, seed: seed)
  let frozen = model.variables.filter { !$0.isTrainable }.map { ($0, $0.gradientValues) }
  let stateBefore = ReferenceModel(model: model, isTraining: true)
  let rows = inputs[0].shape[0]
  let cotangents = try model.outputShapes.enumerated().map {
    try randomTensor([rows] + $1, seed: seed &+ 100 &+ UInt64($0))
  }
  let parameters = stateBefore.parameters
  let x = inputs.map(\.doubles)
  // Before the forward pass: it moves the moving statistics, with which a frozen layer has normalised.
  let wantsKey = model.layers.contains { $0.layer is Dropout }
  var reference = ReferenceModel(model: model, isTraining: true)
  reference.randomKey = StableHash.mixed(model.handSeed ^ StableHash.mixed(model.handBatches))
  let wanted = reference.outputs(x, parameters)
  func loss(_ x: [[Double]], _ parameters: [String: [Double]]) -> Double {
    zip(reference.outputs(x, parameters), cotangents).reduce(0) { $0 + Reference.dot($1.0, $1.1.doubles) }
  }
  var byInput: [[Double]] = []
  for place in x.indices {
    var point = x
    if weights.contains(place) {
      byInput.append([Double](repeating: 0, count: x[place].count))
      continue
    }
    byInput.append(
      GradientCheck.differences(at: x[place]) {
        point[place] = $0
        return loss(point, parameters)
      })
  }
  var byParameter: [(Variable, [Double])] = []
  for variable in model.variables where variable.kind == .parameter && variable.isTrainable {
    var point = parameters
    byParameter.append(
      (
        variable,
        GradientCheck.differences(at: parameters[variable.name] ?? []) {
          point[variable.name] = $0
          return loss(x, point)
        }
      ))
  }

  try model.forward(inputs.map { try $0.view() }, training: true)
  #expect(!wantsKey || model.handExecutor?.randomKey == reference.randomKey, sourceLocation: sourceLocation)
  let depth = model.layers.count
  for (place, want) in wanted.enumerated() {
    expectClose(
      try model.output(place).copied, want, within: Tolerance.network(depth: depth, terms: terms, magnitude: largest(want) + 1),
      "output \(place)", sourceLocation: sourceLocation)
  }
  try model.backward(cotangents.map { try $0.view() })

  // One magnitude for the whole network: a gradient that cancels to nothing is the sum of terms of the others' size.
  let magnitude = max(
    (byInput + byParameter.map(\.1)).map(largest).max() ?? 0, cotangents.map { largest($0.values) }.max() ?? 0)
  let tolerance = Tolerance.network(depth: 2 * depth, terms: max(terms, rows), magnitude: magnitude)
  for (place, want) in byInput.enumerated() {
    let got = try model.inputGradient(place).copied.map(Double.init)
    let mismatch = GradientCheck.mismatch(got, want, tolerance: tolerance)
    #expect(mismatch == nil, "input \(place), \(mismatch ?? "")", sourceLocation: sourceLocation)
  }
  for (variable, want) in byParameter {
    let mismatch = GradientCheck.mismatch(variable.gradientValues.map(Double.init), want, tolerance: tolerance)
    #expect(mismatch == nil, "\(variable.name), \(mismatch ?? "")", sourceLocation: sourceLocation)
  }
  for (variable, before) in frozen where variable.kind == .parameter {
    #expect(variable.gradientValues == before, "\(variable.name) is frozen", sourceLocation: sourceLocation)
  }
  withExtendedLifetime((inputs, cotangents)) {}
}
