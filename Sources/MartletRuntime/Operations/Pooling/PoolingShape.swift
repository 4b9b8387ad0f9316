// What a two-dimensional pooling is.
import MartletKernels

/// Windows over `[samples, height, width, channels]`, channel by channel; the result is `[samples, outHeight, outWidth, channels]`. Every
/// size but `samples` and the pads is at least 1; the padded input covers a window.
public struct PoolingShape: Equatable, Sendable {
  public var samples: Int
  public var height: Int
  public var width: Int
  public var channels: Int
  public var kernelHeight: Int
  public var kernelWidth: Int
  public var strideHeight: Int
  public var strideWidth: Int
  public var dilationHeight: Int
  public var dilationWidth: Int
  public var padTop: Int
  public var padBottom: Int
  public var padLeft: Int
  public var padRight: Int

  public init(
    samples: Int, height: Int, width: Int, channels: Int, kernelHeight: Int, kernelWidth: Int, strideHeight: Int,
    strideWidth: Int, dilationHeight: Int = 1, dilationWidth: Int = 1, padTop: Int = 0, padBottom: Int = 0, padLeft: Int = 0,
    padRight: Int = 0
  ) {
    self.samples = samples
    self.height = height
    self.width = width
    self.channels = channels
    self.kernelHeight = kernelHeight
    self.kernelWidth = kernelWidth
    self.strideHeight = strideHeight
    self.strideWidth = strideWidth
    self.dilationHeight = dilationHeight
    self.dilationWidth = dilationWidth
    self.padTop = padTop
    self.padBottom = padBottom
    self.padLeft = padLeft
    self.padRight = padRight
  }

  public var outHeight: Int {
    (height + padTop + padBottom - dilationHeight * (kernelHeight - 1) - 1) / strideHeight + 1
  }
  public var outWidth: Int { (width + padLeft + padRight - dilationWidth * (kernelWidth - 1) - 1) / strideWidth + 1 }
  public var inputCount: Int { samples * height * width * channels }
  public var outputCount: Int { samples * outHeight * outWidth * channels }

  var vertical: PoolingAxis {
    PoolingAxis(length: height, taps: kernelHeight, stride: strideHeight, dilation: dilationHeight, pad: padTop)
  }
  var horizontal: PoolingAxis {
    PoolingAxis(length: width, taps: kernelWidth, stride: strideWidth, dilation: dilationWidth, pad: padLeft)
  }
}

/// Which of the pooling kernels.
enum PoolingFunction {
  case maximum, maximumGradient, windowSum, spread

  /// It writes the input's side, where windows may overlap.
  var writesInput: Bool { self == .maximumGradient || self == .spread }
}

/// One pooling under way. A piece is some channels of a run of samples; where only the output is written, also some of its rows.
struct PoolingWork: PieceWork {
  let kernels: PoolingKernels
  let function: PoolingFunction
  let shape: PoolingShape
  let divisor: Float
  let accumulate: Bool
  let x: UnsafePointer<Float>
  let y: UnsafePointer<Float>
  let input: UnsafeMutablePointer<Float>
  let output: UnsafeMutablePointer<Float>

  /// Samples enough for all threads.
  private static var manySamples: Int { 16 }
  /// Channels of a piece where samples are few: whole vectors of every instruction set, and whole cache lines.
  private static var channelsPerPiece: Int { 64 }

  private var channelParts: Int {
    shape.samples >= Self.manySamples ? 1 : (shape.channels + Self.channelsPerPiece - 1) / Self.channelsPerPiece
  }
  private var rowParts: Int {
    function.writesInput || shape.samples >= Self.manySamples ? 1 : min(shape.outHeight, Self.manySamples)
  }
  /// Samples that make a piece worth a thread.
  private var samplesPerPiece: Int {
    max(1, 32768 / max(1, max(shape.height * shape.width, shape.outHeight * shape.outWidth) * shape.channels))
  }
  private var samplePieces: Int { (shape.samples + samplesPerPiece - 1) / samplesPerPiece }

  var pieces: Int { samplePieces * channelParts * rowParts }

  func run(_ piece: Int) {
    let (samplePiece, channelPart, rowPart) = (
      piece / (channelParts * rowParts), piece / rowParts % channelParts, piece % rowParts
    )
    let firstChannel = channelPart * Self.channelsPerPiece
    let channels = channelParts == 1 ? shape.channels : min(Self.channelsPerPiece, shape.channels - firstChannel)
    let rows = rowPart * shape.outHeight / rowParts..<(rowPart + 1) * shape.outHeight / rowParts
    let first = samplePiece * samplesPerPiece
    for sample in first..<min(first + samplesPerPiece, shape.samples) {
      compute(sample, rows, firstChannel, channels)
    }
  }

  private func compute(_ sample: Int, _ rows: Range<Int>, _ firstChannel: Int, _ channels: Int) {
    let inputAt = sample * shape.height * shape.width * shape.channels + firstChannel
    let outputAt = sample * shape.outHeight * shape.outWidth * shape.channels + firstChannel
    if function.writesInput, !accumulate {
      if channels == shape.channels {
        (input + inputAt).update(repeating: 0, count: shape.height * shape.width * channels)
      } else {
        for i in 0..<shape.height * shape.width {
          (input + inputAt + i * shape.channels).update(repeating: 0, count: channels)
        }
      }
    }
    let part = PoolingRows(
      vertical: shape.vertical, horizontal: shape.horizontal, firstRow: rows.lowerBound, rows: rows.count,
      outWidth: shape.outWidth, channels: channels, stride: shape.channels, x: x + inputAt, y: y + outputAt,
      input: input + inputAt, output: output + outputAt, divisor: divisor, accumulate: accumulate)
    switch function {
    case .maximum: kernels.maximum(part)
    case .maximumGradient: kernels.maximumGradient(part)
    case .windowSum: kernels.windowSum(part)
    case .spread: kernels.spread(part)
    }
  }
}
