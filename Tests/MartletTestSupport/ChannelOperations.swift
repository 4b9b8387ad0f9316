// Batch norm's passes on arrays, through guarded memory.
import MartletRuntime

/// Where a test's tensors lie: against the guard page behind or before them, and how far from alignment.
public struct Placement: Sendable {
  public var misalignedBy: Int
  public var atStart: Bool
  public init(misalignedBy: Int = 0, atStart: Bool = false) {
    self.misalignedBy = misalignedBy
    self.atStart = atStart
  }
  public static let all = [
    Placement(), Placement(atStart: true), Placement(misalignedBy: 4), Placement(misalignedBy: 20, atStart: true),
  ]

  public func buffer(_ values: [Float]) -> GuardedBuffer { GuardedBuffer(values, misalignedBy: misalignedBy, atStart: atStart) }
}

/// The four rows of a map, each in guarded memory.
public struct GuardedMap {
  public let center: GuardedBuffer
  public let multiplier: GuardedBuffer
  public let multiplierLow: GuardedBuffer
  public let offset: GuardedBuffer

  public init(channels: Int, _ placement: Placement = Placement()) {
    let zeros = [Float](repeating: 0, count: channels)
    center = placement.buffer(zeros)
    multiplier = placement.buffer(zeros)
    multiplierLow = placement.buffer(zeros)
    offset = placement.buffer(zeros)
  }

  public var map: ChannelMap {
    ChannelMap(
      center: center.pointer, multiplier: multiplier.pointer, multiplierLow: multiplierLow.pointer, offset: offset.pointer)
  }
}

/// A buffer's memory goes with its last use, which need not be the last use of its pointer.
private func keepAlive(_ buffers: GuardedBuffer?...) { withExtendedLifetime(buffers) {} }

extension Compute {
  private func withWorkspace<R>(_ shape: ChannelShape, _ body: (UnsafeMutableRawPointer) -> R) -> R {
    // Filled with NaN: nothing may be taken for granted in it. Guarded: nothing may lie beyond it.
    let count = (channelWorkspaceByteCount(shape) + 3) / 4
    let workspace = GuardedBuffer(repeating: .nan, count: count)
    defer { keepAlive(workspace) }
    return body(UnsafeMutableRawPointer(workspace.pointer))
  }

  public func moments(
    _ x: [Float], _ shape: ChannelShape, _ placement: Placement = Placement()
  ) -> (mean: [Double], variance: [Double]) {
    let input = placement.buffer(x)
    defer { keepAlive(input) }
    var mean = [Double](repeating: -1, count: shape.channels)
    var variance = mean
    withWorkspace(shape) { channelMoments(input.input, shape, mean: &mean, variance: &variance, workspace: $0) }
    return (mean, variance)
  }

  public func map(
    mean: [Double], variance: [Double], epsilon: Double, scale: [Float]? = nil, shift: [Float]? = nil,
    _ placement: Placement = Placement()
  ) -> GuardedMap {
    let result = GuardedMap(channels: mean.count, placement)
    func fill(_ scale: UnsafePointer<Float>?, _ shift: UnsafePointer<Float>?) {
      fillChannelMap(
        result.map, channels: mean.count, mean: mean, variance: variance, epsilon: epsilon, scale: scale, shift: shift,
        inverseStandardDeviation: nil)
    }
    let scale = scale.map(placement.buffer)
    let shift = shift.map(placement.buffer)
    defer { keepAlive(scale, shift) }
    fill(scale?.input, shift?.input)
    return result
  }

  public func apply(
    _ map: GuardedMap, _ x: [Float], _ shape: ChannelShape, activation: Activation = .identity, inPlace: Bool = false,
    _ placement: Placement = Placement()
  ) -> [Float] {
    let input = placement.buffer(x)
    let output = inPlace ? input : placement.buffer(x.map { _ in .nan })
    defer { keepAlive(input, map.center, map.multiplier, map.multiplierLow, map.offset) }
    applyChannelMap(map.map, input.input, shape, activation: activation, into: output.pointer)
    return output.values
  }

  /// Normalised with the batch's own statistics.
  public func normalised(_ x: [Float], _ shape: ChannelShape, epsilon: Double = 1e-5, shift: [Float]? = nil) -> [Float] {
    let (mean, variance) = moments(x, shape)
    return apply(map(mean: mean, variance: variance, epsilon: epsilon, shift: shift), x, shape)
  }

  public func gradientSums(
    _ gradOutput: [Float], output: [Float]?, input: [Float], _ shape: ChannelShape, center: [Float], activation: Activation,
    _ placement: Placement = Placement()
  ) -> (sum: [Double], sumCentered: [Double]) {
    let gradient = placement.buffer(gradOutput)
    let x = placement.buffer(input)
    let y = output.map(placement.buffer)
    let center = placement.buffer(center)
    defer { keepAlive(gradient, x, y, center) }
    var sum = [Double](repeating: -1, count: shape.channels)
    var sumCentered = sum
    withWorkspace(shape) {
      channelGradientSums(
        gradOutput: gradient.input, output: y?.input, input: x.input, shape, center: center.input, activation: activation,
        sum: &sum, sumCentered: &sumCentered, workspace: $0)
    }
    return (sum, sumCentered)
  }

  /// - Parameter before: what the gradient is added to; nil replaces.
  public func gradientInput(
    _ gradOutput: [Float], output: [Float]?, input: [Float], _ shape: ChannelShape, center: [Float], multiplier: [Float],
    meanTerm: [Float]?, slope: [Float]?, activation: Activation, before: [Float]? = nil, inPlace: Bool = false,
    _ placement: Placement = Placement()
  ) -> [Float] {
    let gradient = placement.buffer(gradOutput)
    let x = placement.buffer(input)
    let y = output.map(placement.buffer)
    let factors = [center, multiplier].map(placement.buffer)
    let meanTerm = meanTerm.map(placement.buffer)
    let slope = slope.map(placement.buffer)
    defer { keepAlive(gradient, x, y, factors[0], factors[1], meanTerm, slope) }
    let result = inPlace ? gradient : placement.buffer(before ?? gradOutput.map { _ in .nan })
    channelGradientInput(
      gradOutput: gradient.input, output: y?.input, input: x.input, shape, center: factors[0].input,
      multiplier: factors[1].input, meanTerm: meanTerm?.input, slope: slope?.input, activation: activation,
      into: result.pointer, accumulate: before != nil)
    return result.values
  }
}

/// Shapes that meet every path: all tails of columns and runs, rows laid end to end and what is left of them, several pieces.
public enum ChannelShapes {
  public static let small: [ChannelShape] =
    (1...33).flatMap { c in [1, 2, 5, 37, 130].map { ChannelShape(outer: $0, channels: c) } }
    + [64, 65, 100, 129, 257, 1000].flatMap { c in [1, 3, 70].map { ChannelShape(outer: $0, channels: c) } }
    + (2...49).flatMap { i in [(1, 1), (3, 3), (5, 10)].map { ChannelShape(outer: $0.0, channels: $0.1, inner: i) } }
    + [ChannelShape(outer: 2, channels: 40, inner: 9), ChannelShape(outer: 3, channels: 5, inner: 150)]

  /// More than one piece each.
  public static let large: [ChannelShape] = [
    ChannelShape(outer: 70_003, channels: 3), ChannelShape(outer: 3001, channels: 100),
    ChannelShape(outer: 300, channels: 1000),
    ChannelShape(outer: 5, channels: 1090, inner: 7), ChannelShape(outer: 2, channels: 3, inner: 140_001),
    ChannelShape(outer: 9, channels: 33, inner: 1000), ChannelShape(outer: 100, channels: 3, inner: 1024),
  ]
}
