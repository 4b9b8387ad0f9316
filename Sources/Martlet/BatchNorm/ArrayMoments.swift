// Mean and variance of each channel of a caller's array, at the precision of its own element type.
import MartletRuntime

/// Moments of the channels of an array, in Float64, taken about numbers close to the means.
///
///     mean = center + offset
///
/// The two are kept apart because their sum loses what Float64 cannot hold, as for the mean of nanoseconds since 1970.
/// Two passes: the first finds the means about a value of the channel, the second the squares about the means.
/// Source: Chan, Golub & LeVeque 1983, the corrected two-pass algorithm.
///
/// Edge cases: a NaN or infinity shows in its own channel alone (variance NaN, mean NaN or infinite).
struct ArrayMoments {
  let channels: Int
  /// center, offset, variance, then scratch: `channels` numbers each.
  private let memory: Storage

  /// - Parameter x: one or more values per channel.
  /// - Throws: ``MartletError/Kind/outOfMemory``.
  init(of x: ArrayView, _ runs: ChannelRuns) throws {
    channels = runs.channels
    memory = try Storage(byteCount: 7 * 8 * channels)
    var work = Work(x: x, runs: runs, memory: memory.doubles, count: Double(x.count / channels))
    x.dataType.withElement(&work)
  }

  /// Given statistics, as if they had been found.
  init(mean: UnsafePointer<Double>, variance: UnsafePointer<Double>, channels: Int) throws {
    self.channels = channels
    memory = try Storage(byteCount: 3 * 8 * channels)
    center.update(from: mean, count: channels)
    self.variance.update(from: variance, count: channels)
  }

  var center: UnsafeMutablePointer<Double> { memory.doubles }
  var offset: UnsafeMutablePointer<Double> { memory.doubles + channels }
  /// Divided by n.
  var variance: UnsafeMutablePointer<Double> { memory.doubles + 2 * channels }
}

extension ArrayMoments {
  private struct Work: SourceElementBody {
    let x: ArrayView
    let runs: ChannelRuns
    let memory: UnsafeMutablePointer<Double>
    let count: Double

    /// Rows whose sums are gathered apart before they are added to the others: the error of a long sum grows with its terms.
    static let blockRows = 64

    func run<Element: SourceElement>(_: Element.Type) {
      let channels = runs.channels
      let (center, offset, variance) = (memory, memory + channels, memory + 2 * channels)
      fillCenters(Element.self, center)
      addUp(Element.self, center)
      let (sums, squares) = (memory + 3 * channels, memory + 4 * channels)
      // A mean that is not finite stays out of the centers: the second pass finds it again, with a variance of NaN.
      for c in 0..<channels where (center[c] + sums[c] / count).isFinite { center[c] += sums[c] / count }
      addUp(Element.self, center)
      for c in 0..<channels {
        offset[c] = sums[c] / count
        let square = squares[c] / count - offset[c] * offset[c]
        variance[c] = square < 0 ? 0 : square
      }
    }

    /// The first finite value of each channel; 0 where there is none.
    private func fillCenters<Element: SourceElement>(_: Element.Type, _ center: UnsafeMutablePointer<Double>) {
      for c in 0..<runs.channels { center[c] = .nan }
      var missing = runs.channels
      for row in 0..<x.rowCount where missing > 0 {
        x.forEachElement(row, Element.self, runs) { channel, _, value in
          guard center[channel].isNaN, value.double.isFinite else { return }
          center[channel] = value.double
          missing -= 1
        }
      }
      for c in 0..<runs.channels where center[c].isNaN { center[c] = 0 }
    }

    /// Σ(x − center) and Σ(x − center)² of each channel.
    private func addUp<Element: SourceElement>(_: Element.Type, _ center: UnsafePointer<Double>) {
      let channels = runs.channels
      // The sums, then the squares; the same for a block.
      let sums = memory + 3 * channels
      let (blockSums, blockSquares) = (memory + 5 * channels, memory + 6 * channels)
      sums.update(repeating: 0, count: 4 * channels)
      for first in stride(from: 0, to: x.rowCount, by: Self.blockRows) {
        for row in first..<min(first + Self.blockRows, x.rowCount) {
          x.forEachElement(row, Element.self, runs) { channel, _, value in
            let distance = value.distance(from: center[channel])
            blockSums[channel] += distance
            blockSquares[channel] += distance * distance
          }
        }
        for c in 0..<2 * channels { sums[c] += blockSums[c] }
        blockSums.update(repeating: 0, count: 2 * channels)
      }
    }
  }
}

/// Where the channels lie in the rows of an array: runs of neighbouring elements, one channel after the other, over and over.
struct ChannelRuns {
  let channels: Int
  /// Elements of a run.
  let length: Int
  /// Of an array of one axis each row is one element, of the channel of its number.
  let rowsAreChannels: Bool

  /// Of an array whose shape has been checked.
  init(_ x: ArrayView, _ axis: ChannelAxis) {
    channels = x.shape[axis == .last ? x.shape.count - 1 : 1]
    length = axis == .last ? 1 : x.shape.dropFirst(2).reduce(1, *)
    rowsAreChannels = x.shape.count == 1
  }

  /// The channel changes from element to element, whatever the shape of a row.
  init(everyElementOf channels: Int) {
    self.channels = channels
    length = 1
    rowsAreChannels = false
  }
}

extension ArrayView {
  /// Calls `body(channel, i, value)` for the elements of a row in row-major order.
  @inline(__always)
  func forEachElement<Element>(
    _ row: Int, _: Element.Type, _ runs: ChannelRuns, _ body: (_ channel: Int, _ place: Int, _ value: Element) -> Void
  ) {
    if runs.rowsAreChannels { return forEachElement(row, Element.self) { body(row, $0, $1) } }
    if runs.length == 1, runs.channels == rowLength { return forEachElement(row, Element.self) { body($0, $0, $1) } }
    var (channel, left) = (0, runs.length)
    forEachElement(row, Element.self) { place, value in
      body(channel, place, value)
      left &-= 1
      if left == 0 {
        left = runs.length
        channel = channel &+ 1 == runs.channels ? 0 : channel &+ 1
      }
    }
  }
}
