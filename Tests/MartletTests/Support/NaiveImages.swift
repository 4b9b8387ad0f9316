// Layers on images in Float64, as their formulas stand: one loop for each index.

@testable import Martlet

enum NaiveImages {
  /// Calls `body(sample, outRow, outColumn, kernelRow, kernelColumn, place)` for all that a window reads; place is the index of the
  /// value's first channel, nil outside the image.
  static func forEachRead(
    samples: Int, _ window: Window2D, _ body: (_ output: Int, _ i: Int, _ j: Int, _ place: Int?) -> Void
  ) {
    let (h, w) = (window.height, window.width)
    for n in 0..<samples {
      for y in 0..<h.count {
        for x in 0..<w.count {
          for i in 0..<h.size {
            for j in 0..<w.size {
              let row = y * h.stride + i * h.dilation - h.before
              let column = x * w.stride + j * w.dilation - w.before
              let isInside = (0..<h.length).contains(row) && (0..<w.length).contains(column)
              body(
                (n * h.count + y) * w.count + x, i, j,
                isInside ? ((n * h.length + row) * w.length + column) * window.channels : nil)
            }
          }
        }
      }
    }
  }

  private static func samples(_ x: [Double], _ window: Window2D) -> Int {
    x.count / (window.height.length * window.width.length * window.channels)
  }

  /// weight: `[filters, channels / groups, kernel rows, kernel columns]`.
  static func convolution(
    _ x: [Double], _ window: Window2D, filters: Int, groups: Int, weight: [Double], bias: [Double]?
  ) -> [Double] {
    let n = samples(x, window)
    var y = (0..<n * window.height.count * window.width.count * filters).map { bias?[$0 % filters] ?? 0 }
    let (inPart, outPart) = (window.channels / groups, filters / groups)
    forEachRead(samples: n, window) { output, i, j, place in
      guard let place else { return }
      for o in 0..<filters {
        for c in 0..<inPart {
          let w = weight[((o * inPart + c) * window.height.size + i) * window.width.size + j]
          y[output * filters + o] += x[place + o / outPart * inPart + c] * w
        }
      }
    }
    return y
  }

  static func maximum(_ x: [Double], _ window: Window2D?) -> [Double] {
    pool(x, window, start: -.infinity) { max($0, $1) }.sums
  }

  static func average(_ x: [Double], _ window: Window2D?, countIncludesPad: Bool) -> [Double] {
    guard let window else { return [] }
    let (sums, counts) = pool(x, window, start: 0, +)
    let whole = window.height.size * window.width.size
    return zip(sums, counts).map { $0 / Double(countIncludesPad ? whole : $1) }
  }

  /// What a window's values in the image add up to, and how many they are.
  private static func pool(
    _ x: [Double], _ window: Window2D?, start: Double, _ join: (Double, Double) -> Double
  ) -> (sums: [Double], counts: [Int]) {
    guard let window else { return ([], []) }
    let n = samples(x, window)
    let channels = window.channels
    var sums = [Double](repeating: start, count: n * window.height.count * window.width.count * channels)
    var counts = [Int](repeating: 0, count: sums.count)
    forEachRead(samples: n, window) { output, _, _, place in
      guard let place else { return }
      for c in 0..<channels {
        sums[output * channels + c] = join(sums[output * channels + c], x[place + c])
        counts[output * channels + c] += 1
      }
    }
    return (sums, counts)
  }

  static func means(_ x: [Double], positions: Int, channels: Int) -> [Double] {
    (0..<x.count / (positions * channels)).flatMap { sample in
      (0..<channels).map { c in
        (0..<positions).reduce(0) { $0 + x[(sample * positions + $1) * channels + c] } / Double(positions)
      }
    }
  }

  static func surrounded(_ x: [Double], _ shape: [Int], _ wide: [Int], top: Int, left: Int) -> [Double] {
    let n = x.count / shape.reduce(1, *)
    var y = [Double](repeating: 0, count: n * wide.reduce(1, *))
    for sample in 0..<n {
      for h in 0..<shape[0] {
        for w in 0..<shape[1] {
          for c in 0..<shape[2] {
            y[((sample * wide[0] + h + top) * wide[1] + w + left) * shape[2] + c] =
              x[((sample * shape[0] + h) * shape[1] + w) * shape[2] + c]
          }
        }
      }
    }
    return y
  }

  static func enlarged(_ x: [Double], _ shape: [Int], by factor: Extent2D) -> [Double] {
    var y: [Double] = []
    for sample in 0..<x.count / shape.reduce(1, *) {
      for h in 0..<shape[0] * factor.height {
        for w in 0..<shape[1] * factor.width {
          let place = ((sample * shape[0] + h / factor.height) * shape[1] + w / factor.width) * shape[2]
          y += x[place..<place + shape[2]]
        }
      }
    }
    return y
  }
}
