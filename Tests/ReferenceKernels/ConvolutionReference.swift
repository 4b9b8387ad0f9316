// Convolution in Float64, as its formula reads.

/// The sizes of a convolution; channels last, filters `[outChannels, inChannels / groups, kernelHeight, kernelWidth]`.
public struct ReferenceConvolution {
  public var samples, height, width, inChannels, outChannels, groups: Int
  public var kernel, stride, dilation, padBefore, out: (height: Int, width: Int)

  public init(
    samples: Int, height: Int, width: Int, inChannels: Int, outChannels: Int, groups: Int, kernel: (height: Int, width: Int),
    stride: (height: Int, width: Int), dilation: (height: Int, width: Int), padBefore: (height: Int, width: Int),
    out: (height: Int, width: Int)
  ) {
    (self.samples, self.height, self.width) = (samples, height, width)
    (self.inChannels, self.outChannels, self.groups) = (inChannels, outChannels, groups)
    (self.kernel, self.stride, self.dilation, self.padBefore, self.out) = (kernel, stride, dilation, padBefore, out)
  }

  /// Calls `body` with the indices into x, w and y of every product that is not with padding.
  public func forEachProduct(_ body: (_ x: Int, _ w: Int, _ y: Int) -> Void) {
    let (c, o) = (inChannels / groups, outChannels / groups)
    for n in 0..<samples {
      for oh in 0..<out.height {
        for ow in 0..<out.width {
          for i in 0..<kernel.height {
            let ih = oh * stride.height + i * dilation.height - padBefore.height
            guard 0..<height ~= ih else { continue }
            for j in 0..<kernel.width {
              let iw = ow * stride.width + j * dilation.width - padBefore.width
              guard 0..<width ~= iw else { continue }
              for filter in 0..<outChannels {
                let y = ((n * out.height + oh) * out.width + ow) * outChannels + filter
                let x = ((n * height + ih) * width + iw) * inChannels + filter / o * c
                let w = (filter * c * kernel.height + i) * kernel.width + j
                for channel in 0..<c { body(x + channel, w + channel * kernel.height * kernel.width, y) }
              }
            }
          }
        }
      }
    }
  }

  public var inputCount: Int { samples * height * width * inChannels }
  public var outputCount: Int { samples * out.height * out.width * outChannels }
  public var weightCount: Int { outChannels * (inChannels / groups) * kernel.height * kernel.width }

  /// Sums of products with the magnitudes of their terms and the most terms of a sum: what rounding errors are relative to.
  public struct Sums {
    public var values: [Double]
    public var magnitudes: [Double]
    public var terms: [Int]

    init(_ count: Int) {
      values = [Double](repeating: 0, count: count)
      magnitudes = values
      terms = [Int](repeating: 0, count: count)
    }

    mutating func add(_ i: Int, _ a: Float, _ b: Float) {
      let product = Double(a) * Double(b)
      values[i] += product
      magnitudes[i] += product.magnitude
      terms[i] += 1
    }
  }

  public func forward(_ x: [Float], _ w: [Float]) -> Sums {
    var sums = Sums(outputCount)
    forEachProduct { sums.add($2, x[$0], w[$1]) }
    return sums
  }

  public func gradInput(_ gradOutput: [Float], _ w: [Float]) -> Sums {
    var sums = Sums(inputCount)
    forEachProduct { sums.add($0, gradOutput[$2], w[$1]) }
    return sums
  }

  public func gradWeight(_ x: [Float], _ gradOutput: [Float]) -> Sums {
    var sums = Sums(weightCount)
    forEachProduct { sums.add($1, x[$0], gradOutput[$2]) }
    return sums
  }
}
