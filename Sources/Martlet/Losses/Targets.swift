// The targets of one output: their form is checked once, their values each time they are copied for a step.
import MartletRuntime

/// The targets of a whole data set for one output, in the caller's memory.
///
/// That memory may change between two steps of a fit, so nothing is concluded from it: what a step uses is copied first and checked where
/// the copy lies, and kernels index by the copy alone.
struct Targets {
  let array: ArrayView
  let loss: Loss
  /// Of one row of the output.
  let outputShape: [Int]
  /// Integer labels, one a row, rather than values of the output's shape.
  let areLabels: Bool
  private let name: String
  private let place: Int?

  var columns: Int { outputShape.reduce(1, *) }
  /// Bytes of a batch of targets as the loss reads it.
  func byteCount(rows: Int) -> Int { rows * columns * 4 }
  /// Between the first bytes of neighbouring rows there.
  var bytesPerRow: Int { areLabels ? 4 : columns * 4 }
  /// What messages call the array.
  var argument: String { place.map { "\(name)[\($0)]" } ?? name }

  /// Checks the form; the values are checked by ``load(from:count:into:)`` and ``checkValues()``. Allocates nothing unless it throws: each
  /// training step makes its own.
  ///
  /// - Parameters:
  ///   - argument: what messages call the targets.
  ///   - place: which of the targets; nil: there is one.
  /// - Throws: ``MartletError/Kind/shapeMismatch`` if the targets do not fit the output.
  init(_ array: ArrayView, _ loss: Loss, rows: Int, outputShape: [Int], argument: String, place: Int?) throws {
    self.array = array
    self.loss = loss
    self.outputShape = outputShape
    name = argument
    self.place = place
    let hasOutputShape = Targets.matches(array.shape, rows: rows, outputShape)
    areLabels = loss == .crossEntropy && array.dataType.isInteger && !hasOutputShape
    guard areLabels ? isColumn(rows) : hasOutputShape || isVectorForColumn(rows) else { throw wrongShape(rows) }
  }

  /// Whether `shape` is `[rows] + row`.
  private static func matches(_ shape: [Int], rows: Int, _ row: [Int]) -> Bool {
    guard shape.count == row.count + 1, shape[0] == rows else { return false }
    for axis in row.indices where shape[axis + 1] != row[axis] { return false }
    return true
  }

  /// `[rows]` or `[rows, 1]`.
  private func isColumn(_ rows: Int) -> Bool {
    array.shape.first == rows && (array.shape.count == 1 || array.shape.count == 2 && array.shape[1] == 1)
  }

  /// `[rows]` for an output `[rows, 1]`.
  private func isVectorForColumn(_ rows: Int) -> Bool {
    loss != .crossEntropy && outputShape.count == 1 && outputShape[0] == 1 && array.shape.count == 1 && array.shape[0] == rows
  }

  private func wrongShape(_ rows: Int) -> MartletError {
    let (whole, got) = (Shape.text([rows] + outputShape), "\(array.dataType.name) \(Shape.text(array.shape))")
    guard loss == .crossEntropy else {
      return .shapeMismatch(
        "\(argument): expected the output's shape \(whole)\(outputShape == [1] ? " or [\(rows)]" : "") for \(loss.name); got \(got)."
      )
    }
    return .shapeMismatch(
      "\(argument): expected integer labels [\(rows)] in 0..<\(columns), or probabilities \(whole), for cross_entropy; got \(got)."
        + (isColumn(rows) ? " Convert class numbers to an integer type." : ""))
  }
}

// MARK: - Copying for a step

extension Targets {
  /// Puts some rows where ``evaluate(_:_:rows:gradient:gradientScale:workspace:_:)`` reads them.
  ///
  /// - Throws: ``MartletError/Kind/invalidArgument`` with row and value if the loss does not take what was copied.
  func load(from first: Int, count: Int, into memory: UnsafeMutableRawPointer) throws {
    if areLabels {
      let labels = memory.assumingMemoryBound(to: Int32.self)
      for row in 0..<count { labels[row] = array.label(row: first + row) }
    } else {
      array.copyRows(from: first, count: count, into: memory.assumingMemoryBound(to: Float.self))
    }
    try check(memory, count: count) { first + $0 }
  }

  /// The same of the rows with these numbers.
  func load(_ rows: UnsafeBufferPointer<Int>, into memory: UnsafeMutableRawPointer, _ compute: Compute) throws {
    if areLabels {
      let labels = memory.assumingMemoryBound(to: Int32.self)
      for (place, row) in rows.enumerated() { labels[place] = array.label(row: row) }
    } else {
      array.copyRows(rows, into: memory.assumingMemoryBound(to: Float.self), compute)
    }
    try check(memory, count: rows.count) { rows[$0] }
  }

  /// Refuses what a step would refuse, before the first one; part by part, through a little memory.
  func checkValues(rows: Int) throws {
    let part = max(1, min(rows, (64 << 10) / max(columns, 1)))
    let memory = try Storage(byteCount: byteCount(rows: part), isZeroed: false)
    for first in stride(from: 0, to: rows, by: part) {
      try load(from: first, count: min(part, rows - first), into: memory.base)
    }
  }

  /// Sum of the loss over the rows, and its gradient by the output.
  func evaluate(
    _ output: UnsafePointer<Float>, _ memory: UnsafeMutableRawPointer, rows: Int, gradient: UnsafeMutablePointer<Float>?,
    gradientScale: Float, workspace: UnsafeMutableRawPointer, _ compute: Compute
  ) -> LossResult {
    let values = UnsafePointer(memory.assumingMemoryBound(to: Float.self))
    switch loss {
    case .crossEntropy:
      return compute.softmaxCrossEntropy(
        output, rows: rows, classes: columns,
        labels: areLabels ? UnsafePointer(memory.assumingMemoryBound(to: Int32.self)) : nil,
        probabilities: areLabels ? nil : values, gradient: gradient, gradientScale: gradientScale, workspace: workspace)
    case .meanSquaredError:
      return compute.meanSquaredError(
        output, targets: values, rows: rows, columns: columns, gradient: gradient, gradientScale: gradientScale,
        workspace: workspace)
    case .binaryCrossEntropy:
      return compute.binaryCrossEntropy(
        output, targets: values, rows: rows, columns: columns, gradient: gradient, gradientScale: gradientScale,
        workspace: workspace)
    }
  }
}
