// Zeros around images.
import MartletKernels

/// Zeros around `[samples, height, width, channels]`; pads are 0 or more.
public struct PaddingShape: Equatable, Sendable {
  public var samples: Int
  public var height: Int
  public var width: Int
  public var channels: Int
  public var padTop: Int
  public var padBottom: Int
  public var padLeft: Int
  public var padRight: Int

  public init(
    samples: Int, height: Int, width: Int, channels: Int, padTop: Int, padBottom: Int, padLeft: Int, padRight: Int
  ) {
    self.samples = samples
    self.height = height
    self.width = width
    self.channels = channels
    self.padTop = padTop
    self.padBottom = padBottom
    self.padLeft = padLeft
    self.padRight = padRight
  }

  public var outHeight: Int { padTop + height + padBottom }
  public var outWidth: Int { padLeft + width + padRight }
}

extension Compute {
  /// `y[n, padTop + h, padLeft + w, c] = x[n, h, w, c]`, zero elsewhere; y is `[samples, outHeight, outWidth, channels]` and must not overlap x.
  public func zeroPad(_ x: UnsafePointer<Float>, _ s: PaddingShape, into y: UnsafeMutablePointer<Float>) {
    let cut = PieceCut.rows(s.samples * s.outHeight, columns: s.outWidth * s.channels)
    run(ZeroPadding(shape: s, x: x, y: y, cut: cut), pieces: cut.pieces)
  }

  /// `gradInput[n, h, w, c] (+)= gradOutput[n, padTop + h, padLeft + w, c]`
  public func zeroPadGradInput(
    _ gradOutput: UnsafePointer<Float>, _ s: PaddingShape, into gradInput: UnsafeMutablePointer<Float>,
    accumulate: Bool = false
  ) {
    let cut = PieceCut.rows(s.samples * s.height, columns: s.width * s.channels)
    run(
      Cropping(
        kernels: kernels.pooling, shape: s, gradOutput: gradOutput, gradInput: gradInput, accumulate: accumulate, cut: cut),
      pieces: cut.pieces)
  }
}

private struct ZeroPadding: PieceWork {
  let shape: PaddingShape
  let x: UnsafePointer<Float>
  let y: UnsafeMutablePointer<Float>
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    let (left, middle, right) = (
      shape.padLeft * shape.channels, shape.width * shape.channels, shape.padRight * shape.channels
    )
    for i in start..<start + count {
      let (sample, row) = (i / shape.outHeight, i % shape.outHeight - shape.padTop)
      let target = y + i * (left + middle + right)
      if 0..<shape.height ~= row {
        target.update(repeating: 0, count: left)
        (target + left).update(from: x + (sample * shape.height + row) * middle, count: middle)
        (target + left + middle).update(repeating: 0, count: right)
      } else {
        target.update(repeating: 0, count: left + middle + right)
      }
    }
  }
}

private struct Cropping: PieceWork {
  let kernels: PoolingKernels
  let shape: PaddingShape
  let gradOutput: UnsafePointer<Float>
  let gradInput: UnsafeMutablePointer<Float>
  let accumulate: Bool
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    let rowFloats = shape.width * shape.channels
    for i in start..<start + count {
      let (sample, row) = (i / shape.height, i % shape.height)
      let source =
        gradOutput
        + ((sample * shape.outHeight + shape.padTop + row) * shape.outWidth + shape.padLeft) * shape.channels
      let target = gradInput + i * rowFloats
      if accumulate { kernels.add(source, target, rowFloats) } else { target.update(from: source, count: rowFloats) }
    }
  }
}
