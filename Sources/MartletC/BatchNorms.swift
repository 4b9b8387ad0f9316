// Header section: batch normalisation as a function, and exact statistics.
import CMartlet
import Martlet

private func pair(
  _ mean: UnsafePointer<martlet_array>?, _ variance: UnsafePointer<martlet_array>?
) throws -> (mean: ArrayView, variance: ArrayView)? {
  guard (mean == nil) == (variance == nil) else {
    throw MartletError(.invalidArgument, "mean and variance come together: give both, or NULL for both.")
  }
  guard mean != nil else { return nil }
  return try (ArrayView(mean, "mean"), ArrayView(variance, "variance"))
}

/// A place for one statistic of each channel, apart from `y`; nil for NULL.
private func result(
  _ pointer: UnsafePointer<martlet_array>?, _ name: String, _ x: ArrayView, _ axis: ChannelAxis, _ y: ArrayView
) throws -> ArrayView? {
  guard let view = try ArrayView.optional(pointer, name) else { return nil }
  try view.checkResult(axis.channelCount(of: x.shape), name)
  try ArrayView.checkSeparate(view, name, from: y, "y")
  return view
}

@_cdecl("martlet_batch_norm") @implementation
public func martlet_batch_norm(
  _ x: UnsafePointer<martlet_array>!, _ channel_axis: Int32, _ epsilon: Double, _ activation: Int32,
  _ scale: UnsafePointer<martlet_array>!, _ shift: UnsafePointer<martlet_array>!, _ mean: UnsafePointer<martlet_array>!,
  _ variance: UnsafePointer<martlet_array>!,
  _ y: UnsafePointer<martlet_array>!, _ out_mean: UnsafePointer<martlet_array>!,
  _ out_variance: UnsafePointer<martlet_array>!
) -> martlet_status {
  boundary {
    let x = try ArrayView(x, "x")
    let axis = try ChannelAxis(number: Int(channel_axis))
    let y = try ArrayView(y, "y")
    let meanResult = try result(out_mean, "out_mean", x, axis, y)
    let varianceResult = try result(out_variance, "out_variance", x, axis, y)
    _ = try BatchNormFunction.normalize(
      x, channelAxis: axis, epsilon: epsilon, activation: choice(activation, "activation"),
      scale: ArrayView.optional(scale, "scale"),
      shift: ArrayView.optional(shift, "shift"), statistics: pair(mean, variance), into: y
    ) { mean, variance in
      try meanResult?.checkRange(mean, "out_mean")
      try varianceResult?.checkRange(variance, "out_variance")
      meanResult?.storeResult(mean)
      varianceResult?.storeResult(variance)
    }
  }
}

@_cdecl("martlet_batch_norm_gradients") @implementation
public func martlet_batch_norm_gradients(
  _ x: UnsafePointer<martlet_array>!, _ channel_axis: Int32, _ epsilon: Double, _ activation: Int32,
  _ scale: UnsafePointer<martlet_array>!, _ shift: UnsafePointer<martlet_array>!, _ mean: UnsafePointer<martlet_array>!,
  _ variance: UnsafePointer<martlet_array>!, _ statistics_are_constant: Int32, _ grad_output: UnsafePointer<martlet_array>!,
  _ y: UnsafePointer<martlet_array>!,
  _ grad_input: UnsafePointer<martlet_array>!,
  _ grad_scale: UnsafePointer<martlet_array>!, _ grad_shift: UnsafePointer<martlet_array>!
) -> martlet_status {
  boundary {
    guard let statistics = try pair(mean, variance) else {
      throw MartletError(
        .invalidArgument, "mean, variance: NULL came; give what the forward pass used (its out_mean, out_variance).")
    }
    try BatchNormFunction.gradients(
      ArrayView(x, "x"), channelAxis: ChannelAxis(number: Int(channel_axis)), epsilon: epsilon,
      activation: choice(activation, "activation"),
      scale: ArrayView.optional(scale, "scale"), shift: ArrayView.optional(shift, "shift"), statistics: statistics,
      statisticsAreConstant: flag(statistics_are_constant, "statistics_are_constant"),
      gradOutput: ArrayView(grad_output, "grad_output"), output: ArrayView.optional(y, "y"),
      into: BatchNormFunction.Gradients(
        input: ArrayView.optional(grad_input, "grad_input"), scale: ArrayView.optional(grad_scale, "grad_scale"),
        shift: ArrayView.optional(grad_shift, "grad_shift")))
  }
}

@_cdecl("martlet_statistics_create") @implementation
public func martlet_statistics_create(_ out: UnsafeMutablePointer<OpaquePointer?>!, _ channels: Int64) -> martlet_status {
  boundary { try create(out) { StatisticsHandle(try PopulationStatistics(channels: Int(channels))) } }
}

@_cdecl("martlet_statistics_destroy") @implementation
public func martlet_statistics_destroy(_ statistics: OpaquePointer!) { destroy(statistics, as: StatisticsHandle.self) }

@_cdecl("martlet_statistics_add") @implementation
public func martlet_statistics_add(
  _ statistics: OpaquePointer!, _ x: UnsafePointer<martlet_array>!, _ channel_axis: Int32
) -> martlet_status {
  boundary {
    let holder = try object(statistics, "statistics", as: StatisticsHandle.self)
    try holder.exclusivity.changing {
      try holder.statistics.add(ArrayView(x, "x"), channelAxis: ChannelAxis(number: Int(channel_axis)))
    }
  }
}

@_cdecl("martlet_statistics_read") @implementation
public func martlet_statistics_read(
  _ statistics: OpaquePointer!, _ unbiased: Int32, _ mean: UnsafePointer<martlet_array>!,
  _ variance: UnsafePointer<martlet_array>!, _ out_count: UnsafeMutablePointer<Int64>!
) -> martlet_status {
  boundary {
    let holder = try object(statistics, "statistics", as: StatisticsHandle.self)
    let found = try holder.exclusivity.reading { holder.statistics }
    let (meanView, varianceView) = try (ArrayView(mean, "mean"), ArrayView(variance, "variance"))
    try meanView.checkResult(found.channels, "mean")
    try varianceView.checkResult(found.channels, "variance")
    let values = try found.variance(unbiased: flag(unbiased, "unbiased"))
    try found.mean.withUnsafeBufferPointer { try meanView.checkRange($0, "mean") }
    try values.withUnsafeBufferPointer { try varianceView.checkRange($0, "variance") }
    found.mean.withUnsafeBufferPointer(meanView.storeResult)
    values.withUnsafeBufferPointer(varianceView.storeResult)
    out_count?.pointee = Int64(found.count)
  }
}
