// The ways to compute a convolution, and which one a layer takes.

/// How a convolution is computed: its forward pass, and the gradient of its input, which is a convolution too.
///
/// The gradient of the filters is summed directly, always.
public enum ConvolutionAlgorithm: Int32, Sendable, CaseIterable {
  /// The fastest for the shape of the filters and of one image; never the number of images, so that an image alone has the bits it has
  /// in any batch.
  case automatic = 0
  /// Every product of the definition.
  case direct = 1
  /// Winograd's F(2×2, 3×3): 16 products in place of 36, for kernels of 3×3, stride and dilation 1, without groups.
  ///
  /// Rounding errors are a little larger: up to 16·γ(C + 12)·Σ|w|·X, with C channels and X the largest |x| of a channel, where the direct
  /// sum has γ(9·C)·Σ|w|·X: at C ≥ 16 at most 3.2 times as much (docs/numerics.md). NaN and infinity make NaN of all four outputs of a
  /// 2×2 tile that see them, and so do values beyond a quarter of the largest number.
  case winograd = 2

  /// As files and Python have it.
  public var name: String {
    switch self {
    case .automatic: "automatic"
    case .direct: "direct"
    case .winograd: "winograd"
    }
  }
}

extension ConvolutionShape {
  /// Whether the forward pass is computed by Winograd's algorithm; where `algorithm` is that but the shape does not allow it, it is not.
  /// The same for any number of samples.
  public func usesWinograd(_ algorithm: ConvolutionAlgorithm) -> Bool { forwardGrid.usesWinograd(algorithm) }
}

extension TapGrid {
  /// 3×3 taps side by side, stride 1, no groups, results side by side.
  var allowsWinograd: Bool {
    func allows(_ axis: TapAxis) -> Bool { axis.taps == 3 && axis.stride == 1 && axis.dilation == 1 && axis.step == 1 }
    return groups == 1 && allows(vertical) && allows(horizontal)
  }

  /// Whether it is faster: 16 products a tile for 9 a position, and the transforms cost what some products more do.
  var prefersWinograd: Bool {
    allowsWinograd && min(channels, resultChannels) >= 16
      && Double(tilesPerSample) * 16 * 1.2 < Double(positionsPerSample) * 9
  }

  func usesWinograd(_ algorithm: ConvolutionAlgorithm) -> Bool {
    switch algorithm {
    case .automatic: prefersWinograd
    case .direct: false
    case .winograd: allowsWinograd
    }
  }
}
