// Pooling as its formula reads, one window at a time.

/// Sizes of a pooling over `[samples, height, width, channels]`.
public struct ReferencePooling {
  public var samples, height, width, channels: Int
  public var kernel, stride, dilation, padBefore, out: (height: Int, width: Int)

  public init(
    samples: Int, height: Int, width: Int, channels: Int, kernel: (height: Int, width: Int),
    stride: (height: Int, width: Int), dilation: (height: Int, width: Int), padBefore: (height: Int, width: Int),
    out: (height: Int, width: Int)
  ) {
    (self.samples, self.height, self.width, self.channels) = (samples, height, width, channels)
    (self.kernel, self.stride, self.dilation, self.padBefore, self.out) = (kernel, stride, dilation, padBefore, out)
  }

  /// For each output, in order, the inputs of its window that exist.
  public var windows: [[Int]] {
    var result: [[Int]] = []
    for n in 0..<samples {
      for oh in 0..<out.height {
        for ow in 0..<out.width {
          for c in 0..<channels { result.append(window(n, oh, ow, c)) }
        }
      }
    }
    return result
  }

  private func window(_ n: Int, _ oh: Int, _ ow: Int, _ c: Int) -> [Int] {
    var window: [Int] = []
    for i in 0..<kernel.height {
      for j in 0..<kernel.width {
        let ih = oh * stride.height + i * dilation.height - padBefore.height
        let iw = ow * stride.width + j * dilation.width - padBefore.width
        if 0..<height ~= ih, 0..<width ~= iw { window.append(((n * height + ih) * width + iw) * channels + c) }
      }
    }
    return window
  }
}
