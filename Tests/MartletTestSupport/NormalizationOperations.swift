// The operations of batch norm's relatives on arrays, through guarded memory.
import MartletRuntime

/// What one forward and backward pass leave behind.
public struct NormalizationResults {
  public var y: [Float] = []
  public var gradInput: [Float] = []
  /// Scale, shift, threshold, learned epsilon: those that are.
  public var gradients: [[Float]] = []

  /// For comparisons to the bit.
  public var bits: [[UInt32]] { [y.bits, gradInput.bits] + gradients.map(\.bits) }
}

/// Scale, shift, threshold and learned epsilon of a test.
public struct NormalizationValues: Sendable {
  public var scale: [Float]?
  public var shift: [Float]?
  public var threshold: [Float]?
  public var learnedEpsilon: [Float]?
  public init(scale: [Float]? = nil, shift: [Float]? = nil, threshold: [Float]? = nil, learnedEpsilon: [Float]? = nil) {
    self.scale = scale
    self.shift = shift
    self.threshold = threshold
    self.learnedEpsilon = learnedEpsilon
  }
}

/// One of the three operations on one shape.
public enum NormalizationOperation: Sendable, CustomStringConvertible {
  case rows(RowShape, centers: Bool)
  case groups(SampleShape, Int)
  case filterResponse(SampleShape)

  public var description: String {
    switch self {
    case .rows(let shape, let centers):
      "rows [\(shape.samples), \(shape.groups), \(shape.length)]\(centers ? "" : " without centring")"
    case .groups(let shape, let groups): "[\(shape.samples), \(shape.positions), \(shape.channels)] in \(groups) groups"
    case .filterResponse(let shape): "filter response [\(shape.samples), \(shape.positions), \(shape.channels)]"
    }
  }
}

extension Compute {
  /// Forward, then backward.
  ///
  /// - Parameters:
  ///   - before: what every gradient is added to (the input's; the others are added to ones); nil replaces.
  ///   - inPlace: `y` takes the place of a copy of `x`, `gradInput` that of `gradOutput`.
  public func passes(
    _ operation: NormalizationOperation, _ x: [Float], gradOutput: [Float], _ values: NormalizationValues,
    epsilon: Double = 1e-5,
    before: [Float]? = nil, inPlace: Bool = false, _ placement: Placement = Placement()
  ) -> NormalizationResults {
    let (input, gradient) = (placement.buffer(x), placement.buffer(gradOutput))
    let output = placement.buffer(inPlace ? x : x.map { _ in .nan })
    let result = inPlace ? gradient : placement.buffer(before ?? x.map { _ in .nan })
    let given = [values.scale, values.shift, values.threshold, values.learnedEpsilon].map { $0.map(placement.buffer) }
    let targets = given.map { $0.map { placement.buffer([Float](repeating: before == nil ? .nan : 1, count: $0.count)) } }
    func memory(_ bytes: Int) -> GuardedBuffer { GuardedBuffer(repeating: .nan, count: (bytes + 7) / 8 * 2) }
    let affine = ScaleShift(scale: given[0]?.input, shift: given[1]?.input)
    let parameters = FilterResponseParameters(
      scale: given[0]?.input, shift: given[1]?.input, threshold: given[2]?.input, learnedEpsilon: given[3]?.input)
    let accumulates = before != nil
    let affineGradients = ScaleShiftGradients(
      scale: targets[0]?.pointer, shift: targets[1]?.pointer, accumulates: accumulates)
    let source = inPlace ? output.input : input.input
    switch operation {
    case .rows(let shape, let centers):
      let (kept, workspace) = (memory(RowContext.byteCount(rows: shape.rows)), memory(rowGradientWorkspaceByteCount(shape)))
      let context = RowContext(UnsafeMutableRawPointer(kept.pointer), rows: shape.rows)
      normalizeRows(source, shape, centers: centers, epsilon: epsilon, affine, context, into: output.pointer)
      rowGradients(
        gradOutput: gradient.input, input: input.input, shape, centers: centers, scale: affine.scale, context,
        into: result.pointer, accumulate: accumulates, affineGradients, workspace: UnsafeMutableRawPointer(workspace.pointer))
      withExtendedLifetime((kept, workspace)) {}
    case .groups(let shape, let groups):
      let kept = memory(GroupContext.byteCount(samples: shape.samples, groups: groups))
      let workspace = memory(groupNormWorkspaceByteCount(shape))
      let context = GroupContext(UnsafeMutableRawPointer(kept.pointer), samples: shape.samples, groups: groups)
      let scratch = UnsafeMutableRawPointer(workspace.pointer)
      normalizeGroups(source, shape, epsilon: epsilon, affine, context, into: output.pointer, workspace: scratch)
      groupGradients(
        gradOutput: gradient.input, input: input.input, shape, scale: affine.scale, context, into: result.pointer,
        accumulate: accumulates, affineGradients, workspace: scratch)
      withExtendedLifetime((kept, workspace)) {}
    case .filterResponse(let shape):
      let (kept, workspace) = (
        memory(filterResponseContextByteCount(shape)), memory(filterResponseWorkspaceByteCount(shape))
      )
      let inverse = UnsafeMutableRawPointer(kept.pointer).assumingMemoryBound(to: Double.self)
      let scratch = UnsafeMutableRawPointer(workspace.pointer)
      filterResponse(
        source, shape, epsilon: epsilon, parameters, inverseDeviation: inverse, into: output.pointer, workspace: scratch)
      filterResponseGradients(
        gradOutput: gradient.input, input: input.input, shape, parameters, inverseDeviation: inverse, into: result.pointer,
        accumulate: accumulates,
        FilterResponseGradients(
          scale: targets[0]?.pointer, shift: targets[1]?.pointer, threshold: targets[2]?.pointer,
          learnedEpsilon: targets[3]?.pointer, accumulates: accumulates), workspace: scratch)
      withExtendedLifetime((kept, workspace)) {}
    }
    return withExtendedLifetime((input, gradient, output, result, given, targets)) {
      NormalizationResults(y: output.values, gradInput: result.values, gradients: targets.compactMap { $0?.values })
    }
  }
}
