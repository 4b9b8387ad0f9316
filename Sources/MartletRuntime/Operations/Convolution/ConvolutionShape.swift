// What a two-dimensional convolution is, and how its parts lie in memory.

/// One convolution: `y[n, oh, ow, o] = Σ_(i, j, c) x[n, oh·strideHeight + i·dilationHeight − padTop, …, c]·w[o, c, i, j]`, x zero outside.
///
/// Shapes: x `[samples, height, width, inChannels]`, w `[outChannels, inChannels / groups, kernelHeight, kernelWidth]`,
/// y `[samples, outHeight, outWidth, outChannels]`, all Float32 and contiguous. Channels are split into `groups` parts, each with filters
/// of its own. Every size but `samples` and the pads is at least 1; the padded input covers the dilated kernel.
public struct ConvolutionShape: Equatable, Sendable {
  public var samples: Int
  public var height: Int
  public var width: Int
  public var inChannels: Int
  public var outChannels: Int
  /// Divides both numbers of channels.
  public var groups: Int
  public var kernelHeight: Int
  public var kernelWidth: Int
  public var strideHeight: Int
  public var strideWidth: Int
  public var dilationHeight: Int
  public var dilationWidth: Int
  /// 0 or more, as the other pads.
  public var padTop: Int
  public var padBottom: Int
  public var padLeft: Int
  public var padRight: Int

  public init(
    samples: Int, height: Int, width: Int, inChannels: Int, outChannels: Int, groups: Int = 1, kernelHeight: Int,
    kernelWidth: Int, strideHeight: Int = 1, strideWidth: Int = 1, dilationHeight: Int = 1, dilationWidth: Int = 1,
    padTop: Int = 0, padBottom: Int = 0, padLeft: Int = 0, padRight: Int = 0
  ) {
    self.samples = samples
    self.height = height
    self.width = width
    self.inChannels = inChannels
    self.outChannels = outChannels
    self.groups = groups
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

  /// ⌊(height + padTop + padBottom − dilationHeight·(kernelHeight − 1) − 1) / strideHeight⌋ + 1
  public var outHeight: Int {
    (height + padTop + padBottom - dilationHeight * (kernelHeight - 1) - 1) / strideHeight + 1
  }
  public var outWidth: Int { (width + padLeft + padRight - dilationWidth * (kernelWidth - 1) - 1) / strideWidth + 1 }

  public var inputCount: Int { samples * height * width * inChannels }
  public var outputCount: Int { samples * outHeight * outWidth * outChannels }
  public var weightCount: Int { outChannels * (inChannels / groups) * kernelHeight * kernelWidth }

  /// Every position is a row of a matrix product: one tap, and nothing around the input.
  var isProduct: Bool {
    kernelHeight == 1 && kernelWidth == 1 && strideHeight == 1 && strideWidth == 1 && groups == 1 && padTop == 0
      && padBottom == 0 && padLeft == 0 && padRight == 0
  }

  /// Each channel has a filter of its own.
  var isDepthwise: Bool { groups > 1 && groups == inChannels && groups == outChannels }

  var positions: Int { samples * outHeight * outWidth }
  var inChannelsPerGroup: Int { inChannels / groups }
  var outChannelsPerGroup: Int { outChannels / groups }
  var taps: Int { kernelHeight * kernelWidth }
}
