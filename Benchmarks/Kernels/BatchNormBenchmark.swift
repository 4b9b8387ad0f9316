// GB/s of batch norm's passes, beside what copying a tensor of the same size reaches on one core.
import MartletRuntime

private struct Case {
  var name: String
  var shape: ChannelShape
}

private let cases = [
  Case(name: "256×1024", shape: ChannelShape(outer: 256, channels: 1024)),
  Case(name: "4096×512", shape: ChannelShape(outer: 4096, channels: 512)),
  Case(name: "65536×64", shape: ChannelShape(outer: 65536, channels: 64)),
  // 8 MB each, whatever the count of channels: no count may be slow.
  Case(name: "699050×3", shape: ChannelShape(outer: 699_050, channels: 3)),
  Case(name: "209715×10", shape: ChannelShape(outer: 209_715, channels: 10)),
  Case(name: "63550×33", shape: ChannelShape(outer: 63_550, channels: 33)),
  Case(name: "32768×64", shape: ChannelShape(outer: 32_768, channels: 64)),
  Case(name: "2097×1000", shape: ChannelShape(outer: 2_097, channels: 1000)),
  Case(name: "[64,3,10922]", shape: ChannelShape(outer: 64, channels: 3, inner: 10_922)),
  Case(name: "[64,33,993]", shape: ChannelShape(outer: 64, channels: 33, inner: 993)),
  Case(name: "[64,64,512]", shape: ChannelShape(outer: 64, channels: 64, inner: 512)),
  Case(name: "[8,1000,262]", shape: ChannelShape(outer: 8, channels: 1000, inner: 262)),
  // Short runs far apart.
  Case(name: "[64,1000,33]", shape: ChannelShape(outer: 64, channels: 1000, inner: 33)),
  Case(name: "60×100", shape: ChannelShape(outer: 60, channels: 100)),
  Case(name: "[64,64,1024]", shape: ChannelShape(outer: 64, channels: 64, inner: 1024)),
  Case(name: "[256,64,49]", shape: ChannelShape(outer: 256, channels: 64, inner: 49)),
]

/// Each pass counts the bytes it must touch: moments 1 tensor, map 2, gradient sums 2, gradient input 3 (with relu 2, 2, 3, 4).
func benchmarkBatchNorm(_ compute: Compute, filter: String) {
  let words = [
    "copy", "moments", "map", "map relu", "map sigm", "sums", "sums relu", "input", "input relu", "forward", "backward",
  ]
  print("  batch norm, GB/s".padding(26) + words.map { $0.padding(11) }.joined())
  for item in cases where filter.isEmpty || item.name.contains(filter) || "batch norm".contains(filter) {
    print("  " + item.name.padding(24) + rates(compute, item).map { decimal($0).padding(11) }.joined())
  }
}

private func rates(_ compute: Compute, _ item: Case) -> [Double] {
  let shape = item.shape
  let count = shape.valuesPerChannel * shape.channels
  let (x, g, y) = (filled(count), filled(count), filled(count))
  let coefficients = (0..<4).map { _ in filled(shape.channels) }
  let statistics = UnsafeMutablePointer<Double>.allocate(capacity: 2 * shape.channels)
  let workspace = UnsafeMutableRawPointer.allocate(byteCount: compute.channelWorkspaceByteCount(shape), alignment: 64)
  defer {
    for p in [x, g, y] + coefficients { p.deallocate() }
    statistics.deallocate()
    workspace.deallocate()
  }
  let second = statistics + shape.channels
  let map = ChannelMap(
    center: coefficients[0], multiplier: coefficients[1], multiplierLow: coefficients[2], offset: coefficients[3])
  func forward(_ activation: Activation) {
    compute.applyChannelMap(map, x, shape, activation: activation, into: y)
  }
  func sums(_ activation: Activation) {
    compute.channelGradientSums(
      gradOutput: g, output: y, input: x, shape, center: map.center, activation: activation, sum: statistics,
      sumCentered: second, workspace: workspace)
  }
  func input(_ activation: Activation) {
    compute.channelGradientInput(
      gradOutput: g, output: x, input: x, shape, center: map.center, multiplier: map.multiplier, meanTerm: map.offset,
      slope: map.multiplierLow, activation: activation, into: y, accumulate: false)
  }
  func moments() {
    compute.channelMoments(x, shape, mean: statistics, variance: second, workspace: workspace)
  }
  // The answer first: the normalised output has mean 0.
  moments()
  compute.fillChannelMap(
    map, channels: shape.channels, mean: statistics, variance: second, epsilon: 1e-5, scale: nil, shift: nil,
    inverseStandardDeviation: nil)
  forward(.identity)
  var sum = 0.0
  for i in 0..<count { sum += Double(y[i]) }
  if !(abs(sum) <= 1e-6 * Double(count)) { print("WRONG: \(item.name): mean \(sum / Double(count)), not 0") }

  let context = BatchNormContext(
    UnsafeMutableRawPointer.allocate(byteCount: BatchNormContext.byteCount(channels: shape.channels), alignment: 64),
    channels: shape.channels)
  defer { UnsafeMutableRawPointer(context.mean).deallocate() }
  func batchForward() {
    compute.normalizeBatch(x, shape, context, epsilon: 1e-5, ScaleShift(), activation: .relu, into: y, workspace: workspace)
  }
  func batchBackward() {
    compute.batchNormGradients(
      BatchNormGradientOperands(gradOutput: g, output: nil, input: x, gradInput: y), shape, context, activation: .relu,
      statisticsAreConstant: false, ScaleShiftGradients(scale: nil, shift: nil), workspace: workspace)
  }

  let bytes = Double(count) * 4e-9
  return [
    2 * bytes / fastest { y.update(from: x, count: count) },
    bytes / fastest { moments() },
    2 * bytes / fastest { forward(.identity) },
    2 * bytes / fastest { forward(.relu) },
    2 * bytes / fastest { forward(.sigmoid) },
    2 * bytes / fastest { sums(.identity) },
    3 * bytes / fastest { sums(.relu) },
    3 * bytes / fastest { input(.identity) },
    // Here y is x, so that one tensor less is read.
    3 * bytes / fastest { input(.relu) },
    // What must cross the memory: one read and one write; two reads and one write.
    2 * bytes / fastest { batchForward() },
    3 * bytes / fastest { batchBackward() },
  ]
}

extension String {
  fileprivate func padding(_ width: Int) -> String { padded(self, width) }
}
