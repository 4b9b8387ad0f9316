// A batch norm at inference is one multiply-add a channel, which a layer with weights beside it can take in for good.
import MartletRuntime

/// What a normalisation does to each channel at inference, in Float64:
///
///     y = (x − mean)·multiplier + shift          multiplier = scale / √(variance + epsilon)
struct InferenceAffine {
  let mean: [Double]
  let multiplier: [Double]
  let shift: [Double]

  /// Of a batch norm, or of an input normalisation; nil for any other layer.
  init?(_ layer: ModelLayer) {
    if let options = layer.layer as? BatchNorm, let moving = MovingStatistics(layer) {
      let channels = layer.outputShape.last ?? 0
      let (scale, shift) = (layer.variable("weight")?.floats, layer.variable("bias")?.floats)
      mean = (0..<channels).map { Double(moving.mean[$0]) }
      multiplier = (0..<channels).map {
        Double(scale?[$0] ?? 1) / (Double(moving.variance[$0]) + options.epsilon).squareRoot()
      }
      self.shift = (0..<channels).map { Double(shift?[$0] ?? 0) }
    } else if let options = layer.layer as? InputNormalization, let mean = layer.variable("mean"),
      let variance = layer.variable("variance"), let count = layer.variable("count")
    {
      let isFitted = count.storage.integers.pointee > 0
      self.mean = (0..<mean.count).map { isFitted ? mean.storage.doubles[$0] : 0 }
      multiplier = (0..<mean.count).map {
        let spread = isFitted ? variance.storage.doubles[$0] + options.epsilon : 1
        return 1 / (spread > 0 ? spread : 1).squareRoot()
      }
      shift = [Double](repeating: 0, count: mean.count)
    } else {
      return nil
    }
  }

  var channels: Int { multiplier.count }
  /// y = multiplier·x + offset
  func offset(_ channel: Int) -> Double { shift[channel] - mean[channel] * multiplier[channel] }
}

/// A layer that takes batch norms in: y[o] = Σ w[o, i, tap]·x[i, tap] + b[o], over a group's channels i and the kernel's taps.
protocol FoldableLayer: TailedLayer {
  var bias: Bool { get set }
  var groupCount: Int { get }
  /// Zeros stand around the input.
  func padsInput(_ inputs: [[Int]]) -> Bool
}

extension Dense: FoldableLayer {
  var groupCount: Int { 1 }
  func padsInput(_ inputs: [[Int]]) -> Bool { false }
}

extension Conv2D: FoldableLayer {
  var groupCount: Int { groups }
  func padsInput(_ inputs: [[Int]]) -> Bool {
    guard let image = inputs.first, let window = try? window(image) else { return true }
    return [window.height, window.width].contains { $0.before > 0 || $0.after > 0 }
  }
}

extension Conv1D: FoldableLayer {
  var groupCount: Int { groups }
  func padsInput(_ inputs: [[Int]]) -> Bool { (try? Self.image(inputs)).map(image.padsInput) ?? true }
}

/// The weights of a layer that takes batch norms in, in Float64 until the last is in: then each is rounded once.
final class FoldingWeights {
  let filters: Int
  let channelsPerGroup: Int
  let taps: Int
  let groups: Int
  /// `[filters, channelsPerGroup, taps]`
  private let weights: Storage
  private(set) var bias: [Double]

  /// - Throws: ``MartletError/Kind/outOfMemory``.
  init?(_ layer: ModelLayer) throws {
    guard let options = layer.layer as? any FoldableLayer, let weight = layer.variable("weight") else { return nil }
    filters = weight.shape[0]
    channelsPerGroup = weight.shape[1]
    taps = weight.shape.dropFirst(2).reduce(1, *)
    groups = options.groupCount
    weights = try Storage(byteCount: 8 * weight.count, isZeroed: false)
    for i in 0..<weight.count { weights.doubles[i] = Double(weight.floats[i]) }
    let old = layer.variable("bias")
    bias = (0..<filters).map { Double(old?.floats[$0] ?? 0) }
  }

  /// The first weight of a filter for a channel of its group.
  private func row(_ filter: Int, _ channel: Int) -> UnsafeMutablePointer<Double> {
    weights.doubles + (filter * channelsPerGroup + channel) * taps
  }

  /// The input's channel that a filter's channel is.
  func inputChannel(_ filter: Int, _ channel: Int) -> Int { filter / (filters / groups) * channelsPerGroup + channel }

  /// Σ |w| over the taps, of a filter and a channel of its group.
  func magnitude(_ filter: Int, _ channel: Int) -> Double {
    let row = row(filter, channel)
    return (0..<taps).reduce(0) { $0 + abs(row[$1]) }
  }

  /// Terms of one sum.
  var depth: Int { channelsPerGroup * taps }

  /// Takes in the norm behind the layer: w·multiplier, (b − mean)·multiplier + shift. Channel c of the norm is filter o with
  /// c = o mod channels.
  ///
  /// - Returns: false, with nothing changed, if a number would leave Float32's range.
  func takeInFollowing(_ norm: InferenceAffine) -> Bool {
    for o in 0..<filters {
      let c = o % norm.channels
      guard fits(multiplied: o, 0..<channelsPerGroup, by: { _ in norm.multiplier[c] }),
        Float((bias[o] - norm.mean[c]) * norm.multiplier[c] + norm.shift[c]).isFinite
      else { return false }
    }
    for o in 0..<filters {
      let c = o % norm.channels
      let row = row(o, 0)
      for i in 0..<depth { row[i] *= norm.multiplier[c] }
      bias[o] = (bias[o] - norm.mean[c]) * norm.multiplier[c] + norm.shift[c]
    }
    return true
  }

  /// Takes in the norm before the layer: w·multiplier of the input's channel, b + Σ w·offset. Channel c of the norm is input channel i
  /// with c = i mod channels.
  ///
  /// - Returns: false, with nothing changed, if a number would leave Float32's range.
  func takeInPreceding(_ norm: InferenceAffine) -> Bool {
    var newBias = bias
    for o in 0..<filters {
      func channel(_ i: Int) -> Int { inputChannel(o, i) % norm.channels }
      guard fits(multiplied: o, 0..<channelsPerGroup, by: { norm.multiplier[channel($0)] }) else { return false }
      for i in 0..<channelsPerGroup {
        let (row, offset) = (row(o, i), norm.offset(channel(i)))
        for tap in 0..<taps { newBias[o] += row[tap] * offset }
      }
      guard Float(newBias[o]).isFinite else { return false }
    }
    for o in 0..<filters {
      for i in 0..<channelsPerGroup {
        let (row, multiplier) = (row(o, i), norm.multiplier[inputChannel(o, i) % norm.channels])
        for tap in 0..<taps { row[tap] *= multiplier }
      }
    }
    bias = newBias
    return true
  }

  private func fits(multiplied filter: Int, _ channels: Range<Int>, by multiplier: (Int) -> Double) -> Bool {
    for i in channels {
      let (row, factor) = (row(filter, i), multiplier(i))
      for tap in 0..<taps where !Float(row[tap] * factor).isFinite { return false }
    }
    return true
  }

  /// Rounds to the nearest Float32 and writes.
  func store(_ weight: Variable, _ bias: Variable) {
    for i in 0..<weight.count { weight.mutableFloats[i] = Float(weights.doubles[i]) }
    for o in 0..<filters { bias.mutableFloats[o] = Float(self.bias[o]) }
    weight.didWrite()
    bias.didWrite()
  }
}
