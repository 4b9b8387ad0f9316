// Which operation a normalisation is, for samples of one shape.
import MartletRuntime

/// What layers and plain functions have in common: sizes of memory, forward, backward.
enum NormalizationMethod {
  /// `count` rows a sample, each of `groups` parts that are normalised by themselves; scale and shift have `shape`.
  case rows(count: Int, groups: Int, shape: [Int], centers: Bool, epsilon: Double)
  /// Channels in groups, over the positions.
  case groups(positions: Int, channels: Int, groups: Int, epsilon: Double)
  case filterResponse(positions: Int, channels: Int, epsilon: Double)

  /// Without positions the channels of a group are a row.
  static func grouped(positions: Int, channels: Int, groups: Int, epsilon: Double) -> NormalizationMethod {
    positions == 1
      ? .rows(count: 1, groups: groups, shape: [channels], centers: true, epsilon: epsilon)
      : .groups(positions: positions, channels: channels, groups: groups, epsilon: epsilon)
  }

  /// The shape of each learned tensor.
  var parameterShape: [Int] {
    switch self {
    case .rows(_, _, let shape, _, _): shape
    case .groups(_, let channels, _, _), .filterResponse(_, let channels, _): [channels]
    }
  }

  /// Kept from forward to backward.
  func contextByteCount(samples: Int) -> Int {
    switch self {
    case .rows(let count, let groups, _, _, _): RowContext.byteCount(rows: samples * count * groups)
    case .groups(_, _, let groups, _): GroupContext.byteCount(samples: samples, groups: groups)
    case .filterResponse(_, let channels, _): 8 * samples * channels
    }
  }

  func forwardWorkspaceByteCount(samples: Int, _ compute: Compute) -> Int {
    switch self {
    case .rows: 0
    case .groups, .filterResponse: backwardWorkspaceByteCount(samples: samples, compute)
    }
  }

  func backwardWorkspaceByteCount(samples: Int, _ compute: Compute) -> Int {
    switch self {
    case .rows: compute.rowGradientWorkspaceByteCount(rowShape(samples))
    case .groups: compute.groupNormWorkspaceByteCount(sampleShape(samples))
    case .filterResponse: compute.filterResponseWorkspaceByteCount(sampleShape(samples))
    }
  }

  private func rowShape(_ samples: Int) -> RowShape {
    guard case .rows(let count, let groups, let shape, _, _) = self else { return RowShape(samples: 0, length: 0) }
    return RowShape(samples: samples * count, groups: groups, length: shape.reduce(1, *) / groups)
  }

  private func sampleShape(_ samples: Int) -> SampleShape {
    switch self {
    case .rows: SampleShape(samples: 0, positions: 0, channels: 0)
    case .groups(let positions, let channels, _, _), .filterResponse(let positions, let channels, _):
      SampleShape(samples: samples, positions: positions, channels: channels)
    }
  }
}

/// The memory of one call: tensors, learned numbers, context and workspace.
struct NormalizationCall {
  let method: NormalizationMethod
  let samples: Int
  /// The batch that the context has room for.
  let capacity: Int
  let input: UnsafePointer<Float>
  let parameters: FilterResponseParameters
  let context: UnsafeMutableRawPointer
  let compute: Compute

  /// - Parameter y: nil: only the context is wanted. May be the input.
  func forward(into y: UnsafeMutablePointer<Float>?, workspace: UnsafeMutableRawPointer) {
    let affine = ScaleShift(scale: parameters.scale, shift: parameters.shift)
    switch method {
    case .rows(let count, let groups, let shape, let centers, let epsilon):
      compute.normalizeRows(
        input, RowShape(samples: samples * count, groups: groups, length: shape.reduce(1, *) / groups), centers: centers,
        epsilon: epsilon, affine, RowContext(context, rows: capacity * count * groups), into: y)
    case .groups(let positions, let channels, let groups, let epsilon):
      compute.normalizeGroups(
        input, SampleShape(samples: samples, positions: positions, channels: channels), epsilon: epsilon, affine,
        GroupContext(context, samples: capacity, groups: groups), into: y, workspace: workspace)
    case .filterResponse(let positions, let channels, let epsilon):
      compute.filterResponse(
        input, SampleShape(samples: samples, positions: positions, channels: channels), epsilon: epsilon, parameters,
        inverseDeviation: context.assumingMemoryBound(to: Double.self), into: y, workspace: workspace)
    }
  }

  /// After ``forward(into:workspace:)``; `gradInput` may be `gradOutput`.
  func backward(
    gradOutput: UnsafePointer<Float>, into gradInput: UnsafeMutablePointer<Float>?, accumulate: Bool,
    _ gradients: FilterResponseGradients, workspace: UnsafeMutableRawPointer
  ) {
    let affine = ScaleShiftGradients(scale: gradients.scale, shift: gradients.shift, accumulates: gradients.accumulates)
    switch method {
    case .rows(let count, let groups, let shape, let centers, _):
      compute.rowGradients(
        gradOutput: gradOutput, input: input,
        RowShape(samples: samples * count, groups: groups, length: shape.reduce(1, *) / groups), centers: centers,
        scale: parameters.scale, RowContext(context, rows: capacity * count * groups), into: gradInput, accumulate: accumulate,
        affine, workspace: workspace)
    case .groups(let positions, let channels, let groups, _):
      compute.groupGradients(
        gradOutput: gradOutput, input: input, SampleShape(samples: samples, positions: positions, channels: channels),
        scale: parameters.scale, GroupContext(context, samples: capacity, groups: groups), into: gradInput,
        accumulate: accumulate, affine, workspace: workspace)
    case .filterResponse(let positions, let channels, _):
      compute.filterResponseGradients(
        gradOutput: gradOutput, input: input, SampleShape(samples: samples, positions: positions, channels: channels),
        parameters,
        inverseDeviation: UnsafePointer(context.assumingMemoryBound(to: Double.self)), into: gradInput, accumulate: accumulate,
        gradients, workspace: workspace)
    }
  }
}
