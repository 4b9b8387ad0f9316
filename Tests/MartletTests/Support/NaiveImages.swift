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
}
