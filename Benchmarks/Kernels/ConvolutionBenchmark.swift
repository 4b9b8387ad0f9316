// GFLOP/s of convolution, forward and both gradients, beside one core's multiply-add peak.
import MartletRuntime

private struct Case {
  var name: String
  var shape: ConvolutionShape
}

/// A square image and kernel.
private func convolution(
  _ name: String, _ samples: Int, _ size: Int, _ inChannels: Int, _ outChannels: Int, kernel: Int = 3, stride: Int = 1,
  groups: Int = 1
) -> Case {
  let pad = kernel / 2
  return Case(
    name: name,
    shape: ConvolutionShape(
      samples: samples, height: size, width: size, inChannels: inChannels, outChannels: outChannels, groups: groups,
      kernelHeight: kernel, kernelWidth: kernel, strideHeight: stride, strideWidth: stride, padTop: pad, padBottom: pad,
      padLeft: pad, padRight: pad))
}

/// ResNet-20 of 128 CIFAR images, ResNet-18 of 8 ImageNet ones, first layers, depthwise.
private let cases = [
  convolution("128×32²×3→16", 128, 32, 3, 16),
  convolution("128×32²×16→16", 128, 32, 16, 16),
  convolution("128×32²×16→32 /2", 128, 32, 16, 32, stride: 2),
  convolution("128×16²×32→32", 128, 16, 32, 32),
  convolution("128×16²×32→64 /2", 128, 16, 32, 64, stride: 2),
  convolution("128×8²×64→64", 128, 8, 64, 64),
  convolution("8×56²×64→64", 8, 56, 64, 64),
  convolution("8×56²×64→128 /2", 8, 56, 64, 128, stride: 2),
  convolution("8×56²×64→128 1×1/2", 8, 56, 64, 128, kernel: 1, stride: 2),
  convolution("8×28²×128→128", 8, 28, 128, 128),
  convolution("8×14²×256→256", 8, 14, 256, 256),
  convolution("8×7²×512→512", 8, 7, 512, 512),
  convolution("1×7²×512→512", 1, 7, 512, 512),
  convolution("8×56²×64→64 1×1", 8, 56, 64, 64, kernel: 1),
  convolution("128×28²×1→32", 128, 28, 1, 32),
  convolution("8×224²×3→64 7×7/2", 8, 224, 3, 64, kernel: 7, stride: 2),
  convolution("32×28²×64 depthwise", 32, 28, 64, 64, groups: 64),
]

func benchmarkConvolution(_ compute: Compute, filter: String, peak: Double) {
  print(
    "  convolution, GFLOP/s and % of peak".padded(36)
      + ["forward", "grad input", "grad weight", "direct forward", "direct grad in.", "pack µs"].map { $0.padded(18) }.joined())
  for item in cases where filter.isEmpty || item.name.contains(filter) || "convolution".contains(filter) {
    let rates = rates(compute, item)
    let shares = rates.dropLast().map { "\(decimal($0.rate * 1e-9))  \(decimal(100 * $0.rate / peak)) %".padded(18) }
    print("  " + item.name.padded(34) + shares.joined() + decimal((rates.last?.seconds ?? 0) * 1e6))
  }
}

private func rates(_ compute: Compute, _ item: Case) -> [(rate: Double, seconds: Double)] {
  let s = item.shape
  let (x, w, y) = (filled(s.inputCount), filled(s.weightCount), filled(s.outputCount))
  let (gradInput, gradWeight) = (filled(s.inputCount), filled(s.weightCount))
  func memory(_ bytes: Int) -> UnsafeMutableRawPointer { .allocate(byteCount: bytes, alignment: 64) }
  let packed = memory(compute.convolutionPackedByteCount(s))
  let direct = memory(compute.convolutionPackedByteCount(s, algorithm: .direct))
  let workspace = memory(
    max(
      compute.convolutionWorkspaceByteCount(s, algorithm: .direct),
      compute.convolutionGradInputWorkspaceByteCount(s, algorithm: .direct), compute.convolutionWorkspaceByteCount(s),
      compute.convolutionGradInputWorkspaceByteCount(s),
      compute.convolutionGradWeightWorkspaceByteCount(s)))
  defer {
    for p in [x, w, y, gradInput, gradWeight] { p.deallocate() }
    packed.deallocate()
    direct.deallocate()
    workspace.deallocate()
  }
  let operations = 2 * Double(s.outputCount) * Double(s.weightCount / s.outChannels)
  compute.packConvolution(w, s, into: packed)
  compute.packConvolution(w, s, algorithm: .direct, into: direct)
  let times = [
    fastest { compute.convolve(x, packed: packed, s, into: y, workspace: workspace) },
    fastest { compute.convolutionGradInput(y, weights: w, s, into: gradInput, workspace: workspace) },
    fastest { compute.convolutionGradWeight(x, gradOutput: y, s, into: gradWeight, workspace: workspace) },
    fastest { compute.convolve(x, packed: direct, s, algorithm: .direct, into: y, workspace: workspace) },
    fastest {
      compute.convolutionGradInput(y, weights: w, s, algorithm: .direct, into: gradInput, workspace: workspace)
    },
    fastest { compute.packConvolution(w, s, into: packed) },
  ]
  return times.map { (operations / $0, $0) }
}

extension String {
  fileprivate func padded(_ width: Int) -> String { MartletBenchmarks.padded(self, width) }
}
