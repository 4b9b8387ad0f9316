// Exact statistics of a whole data set, batch by batch.
import MartletRuntime

/// Mean and variance of each channel over everything that was added.
///
/// Batches are pooled by Chan's rule in Float64: weighted by their size, the variance between batches included. The result
/// does not depend on how the data was cut, beyond the last bits of Float64. Arrays of Float64 and integers are measured as they are,
/// never rounded to Float32.
/// Source: Chan, Golub & LeVeque 1979.
public struct PopulationStatistics {
  public let channels: Int
  /// Values of each channel so far; with weights, those that count.
  public private(set) var count = 0
  /// Σ of their weights, each 1 unless something else was said.
  private var weight = 0.0
  public private(set) var mean: [Double]
  /// Means are pooled by their distance from these numbers: the centers of the first array of Float64 or integers, else 0.
  private var origin: [Double]
  private var distance: [Double]
  /// Σ(x − mean)² of each channel.
  private var sumOfSquares: [Double]

  /// The lists here and those of a batch that is added.
  private static let bytesPerChannel = 6 * MemoryLayout<Double>.size

  /// - Throws: ``MartletError/Kind/invalidArgument`` unless channels ≥ 1, ``MartletError/Kind/outOfMemory``.
  public init(channels: Int) throws {
    guard channels >= 1, channels <= Shape.maximumElementCount / 64 else {
      throw MartletError.invalidArgument("channels must be 1 or more; \(channels) came.")
    }
    self.channels = channels
    try MemoryReserve.checkAvailable(byteCount: channels * Self.bytesPerChannel)
    mean = [Double](repeating: 0, count: channels)
    origin = mean
    distance = mean
    sumOfSquares = mean
  }

  /// The variance, divided by n, or by n − 1 if `unbiased`.
  ///
  /// - Throws: ``MartletError/Kind/invalidState`` if there were no values, or only one for the unbiased variance.
  public func variance(unbiased: Bool = false) throws -> [Double] {
    let environment = FloatingPointEnvironment.enter()
    defer { environment.leave() }
    let divisor = weight - (unbiased ? 1 : 0)
    guard count > 0, divisor > 0 else {
      throw MartletError.invalidState(
        "Statistics need \(unbiased ? "2 or more values" : "1 or more values") per channel; \(count) were added"
          + "\(weight == Double(count) ? "" : ", whose weights add up to \(weight)").")
    }
    let reserve = try MemoryReserve(byteCount: channels * MemoryLayout<Double>.size)
    defer { reserve.end() }
    return sumOfSquares.map { $0 / divisor }
  }

  /// Adds a batch in place, `[…, C]` or channels first `[N, C, …]`.
  ///
  /// - Throws: ``MartletError/Kind/shapeMismatch`` for another number of channels.
  public mutating func add(_ x: ArrayView, channelAxis: ChannelAxis = .last) throws {
    let environment = FloatingPointEnvironment.enter()
    defer { environment.leave() }
    let compute = try Compute.shared
    let shape = try channelAxis.shape(of: x.shape, argument: "x")
    guard shape.channels == channels else {
      throw MartletError.shapeMismatch(
        "x: \(channels) channels are needed; the shape \(Shape.text(x.shape)) has \(shape.channels).")
    }
    guard x.count > 0 else { return }
    let reserve = try MemoryReserve(byteCount: channels * Self.bytesPerChannel)
    defer { reserve.end() }
    if x.dataType.exceedsFloat32 { return try add(x, ChannelRuns(x, channelAxis)) }
    let copy = x.contiguousFloats == nil ? try Tensor(copying: x, argument: "x") : nil
    guard let floats = x.contiguousFloats ?? copy?.storage.floats else { return }
    let workspace = try Storage(byteCount: compute.channelWorkspaceByteCount(shape), isZeroed: false)
    withExtendedLifetime(copy) { add(floats, shape, workspace: workspace.base, compute) }
  }

  /// Adds an array with elements at the precision of its own type.
  mutating func add(_ x: ArrayView, _ runs: ChannelRuns) throws {
    let moments = try ArrayMoments(of: x, runs)
    let n = x.count / channels
    if count == 0 { for c in 0..<channels { origin[c] = moments.center[c] } }
    pool(weight: Double(n), count: n, variance: moments.variance) { moments.center[$0] - $1 + moments.offset[$0] }
  }

  /// - Parameter weights: how often each row of channels-last data counts; nil: once.
  mutating func add(
    _ x: UnsafePointer<Float>, _ shape: ChannelShape, weights: RowWeights? = nil, workspace: UnsafeMutableRawPointer,
    _ compute: Compute
  ) {
    var batchMean = [Double](repeating: 0, count: channels)
    var batchVariance = batchMean
    compute.channelMoments(
      x, shape, mean: &batchMean, variance: &batchVariance, exactly: true, weights: weights, workspace: workspace)
    add(
      mean: batchMean, variance: batchVariance, weight: weights?.total ?? Double(shape.valuesPerChannel),
      count: weights?.countedRows ?? shape.valuesPerChannel)
  }

  /// Adds values of known moments.
  ///
  /// - Parameters:
  ///   - batchMean, batchVariance: mean and biased variance, one a channel.
  ///   - n: the sum of their weights.
  ///   - values: how many of a channel count.
  mutating func add(
    mean batchMean: UnsafePointer<Double>, variance batchVariance: UnsafePointer<Double>, weight n: Double, count values: Int
  ) {
    // Nothing that counts: its mean is no number.
    guard n > 0 else { return }
    pool(weight: n, count: values, variance: batchVariance) { batchMean[$0] - $1 }
  }

  /// - Parameter batchDistance: of a batch's mean from the origin that it is handed.
  private mutating func pool(
    weight n: Double, count values: Int, variance: UnsafePointer<Double>, _ batchDistance: (_ channel: Int, Double) -> Double
  ) {
    let total = weight + n
    for c in 0..<channels {
      let difference = batchDistance(c, origin[c]) - distance[c]
      distance[c] += difference * n / total
      mean[c] = origin[c] + distance[c]
      sumOfSquares[c] += variance[c] * n + difference * difference * weight * n / total
    }
    count += values
    weight = total
  }
}

/// Where the channels of an array lie.
public enum ChannelAxis: Sendable, Equatable {
  /// `[…, C]`
  case last
  /// `[N, C, …]`
  case first

  /// −1 or 1, as C and Python say it.
  public init(number: Int) throws {
    switch number {
    case -1: self = .last
    case 1: self = .first
    default:
      throw MartletError.invalidArgument("channel_axis must be -1 (the last axis) or 1 (channels first); \(number) came.")
    }
  }

  /// The number of channels of an array of this shape.
  public func channelCount(of shape: [Int]) throws -> Int { try self.shape(of: shape, argument: "x").channels }

  func shape(of shape: [Int], argument: String) throws -> ChannelShape {
    switch self {
    case .last:
      guard let channels = shape.last, channels > 0 else {
        throw MartletError.shapeMismatch(
          "\(argument): [..., channels] with 1 or more channels is needed; \(Shape.text(shape)) came.")
      }
      return ChannelShape(outer: shape.dropLast().reduce(1, *), channels: channels)
    case .first:
      guard shape.count >= 2, shape[1] > 0 else {
        throw MartletError.shapeMismatch(
          "\(argument): [N, channels, ...] with 1 or more channels is needed for channels first; \(Shape.text(shape)) came.")
      }
      return ChannelShape(outer: shape[0], channels: shape[1], inner: shape[2...].reduce(1, *))
    }
  }
}
