// What training makes small.
import MartletRuntime

/// A loss: the mean over the rows of a batch. The numbers are the C API's.
public enum Loss: Int32, Sendable, CaseIterable {
  /// −Σ t·log softmax(x) of logits `[rows, classes]`; targets: integer labels `[rows]`, or probabilities `[rows, classes]`.
  case crossEntropy = 0
  /// Mean of (x − t)² over all elements; targets have the output's shape.
  case meanSquaredError = 1
  /// Mean over all elements of −t·log σ(x) − (1 − t)·log(1 − σ(x)) of logits x; targets in 0…1 of the output's shape.
  case binaryCrossEntropy = 2

  public var name: String {
    switch self {
    case .crossEntropy: "cross_entropy"
    case .meanSquaredError: "mse"
    case .binaryCrossEntropy: "bce"
    }
  }
}

/// What came of some rows.
public struct TrainingResult: Equatable, Sendable {
  /// Mean over the rows; 0 if there were none.
  public var loss: Double
  /// Rows predicted right (0 for mean squared error, which does not know).
  public var correct: Int
  public var rows: Int

  public init(loss: Double = 0, correct: Int = 0, rows: Int = 0) {
    self.loss = loss
    self.correct = correct
    self.rows = rows
  }

  /// Share of rows predicted right.
  public var accuracy: Double { rows == 0 ? 0 : Double(correct) / Double(rows) }
}

/// The targets of a whole data set for one output, checked once.
struct Targets {
  let array: ArrayView
  let loss: Loss
  /// Of one row of the output.
  let outputShape: [Int]

  /// Integer labels, one a row, rather than values of the output's shape.
  let areLabels: Bool

  var columns: Int { outputShape.reduce(1, *) }
  /// Bytes of a batch of targets as the loss reads it.
  func byteCount(rows: Int) -> Int { rows * columns * 4 }
  /// Between the first bytes of neighbouring rows there.
  var bytesPerRow: Int { areLabels ? 4 : columns * 4 }

  /// Allocates nothing unless it throws: each training step makes its own.
  ///
  /// - Throws: ``MartletError`` if the targets do not fit the output or hold values the loss is not defined for.
  init(_ array: ArrayView, _ loss: Loss, rows: Int, outputShape: [Int], argument: @autoclosure () -> String) throws {
    self.array = array
    self.loss = loss
    self.outputShape = outputShape
    let hasOutputShape = Targets.matches(array.shape, rows: rows, outputShape)
    areLabels = loss == .crossEntropy && array.dataType.isInteger && !hasOutputShape
    if loss == .crossEntropy && outputShape.count != 1 {
      throw MartletError.shapeMismatch(
        "cross_entropy takes outputs [rows, classes]; a row of the output has the shape \(Shape.text(outputShape)).")
    }
    if areLabels {
      guard array.shape.first == rows, array.shape.count == 1 || array.shape.count == 2 && array.shape[1] == 1 else {
        throw MartletError.shapeMismatch(
          "\(argument()): labels [\(rows)] of integers, or probabilities \(Shape.text([rows] + outputShape)), are needed; "
            + "\(array.dataType.name) \(Shape.text(array.shape)) came.")
      }
      for row in 0..<rows {
        let label = array.label(row: row)
        guard label >= 0, label < columns else {
          throw MartletError.invalidArgument(
            "\(argument()): labels are in 0..<\(columns), the number of classes; row \(row) has \(label == .min ? "another value" : "\(label)")."
          )
        }
      }
    } else {
      guard hasOutputShape else {
        throw MartletError.shapeMismatch(
          "\(argument()): \(loss.name) needs targets of the output's shape \(Shape.text([rows] + outputShape))"
            + (loss == .crossEntropy ? ", or integer labels [\(rows)]" : "")
            + "; \(array.dataType.name) \(Shape.text(array.shape)) came.")
      }
      if loss == .binaryCrossEntropy, let wrong = array.firstElement(where: { !($0 >= 0 && $0 <= 1) }) {
        throw MartletError.invalidArgument("\(argument()): \(loss.name) takes targets in 0...1; \(wrong) came.")
      }
    }
  }

  /// Whether `shape` is `[rows] + row`.
  private static func matches(_ shape: [Int], rows: Int, _ row: [Int]) -> Bool {
    guard shape.count == row.count + 1, shape[0] == rows else { return false }
    for axis in row.indices where shape[axis + 1] != row[axis] { return false }
    return true
  }

  /// Puts some rows where ``evaluate(_:_:rows:gradient:gradientScale:workspace:_:)`` reads them.
  func load(from first: Int, count: Int, into memory: UnsafeMutableRawPointer) {
    if areLabels {
      let labels = memory.assumingMemoryBound(to: Int32.self)
      for row in 0..<count { labels[row] = array.label(row: first + row) }
    } else {
      array.copyRows(from: first, count: count, into: memory.assumingMemoryBound(to: Float.self))
    }
  }

  func load(_ rows: UnsafeBufferPointer<Int>, into memory: UnsafeMutableRawPointer, _ compute: Compute) {
    if areLabels {
      let labels = memory.assumingMemoryBound(to: Int32.self)
      for (place, row) in rows.enumerated() { labels[place] = array.label(row: row) }
    } else {
      array.copyRows(rows, into: memory.assumingMemoryBound(to: Float.self), compute)
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

extension Loss {
  /// The loss of given outputs, and optionally its gradient by them.
  ///
  /// - Parameter gradient: contiguous Float32 of the output's shape, or nil.
  public func callAsFunction(_ output: ArrayView, _ target: ArrayView, gradient: ArrayView? = nil) throws -> TrainingResult {
    let compute = try Compute.shared
    guard let rows = output.shape.first else {
      throw MartletError.shapeMismatch("output: [rows, ...] is needed; a single number came.")
    }
    let targets = try Targets(target, self, rows: rows, outputShape: Array(output.shape.dropFirst()), argument: "target")
    if let gradient {
      guard gradient.shape == output.shape else {
        throw MartletError.shapeMismatch(
          "gradient: the output's shape \(Shape.text(output.shape)) is needed; \(Shape.text(gradient.shape)) came.")
      }
      guard gradient.contiguousFloats != nil || gradient.count == 0 else {
        throw MartletError.invalidArgument("gradient: contiguous float32 memory is needed; \(gradient.dataType.name) came.")
      }
    }
    guard output.count > 0 else { return TrainingResult(loss: 0, correct: 0, rows: rows) }
    let values = try Tensor(copying: output)
    let memory = try Storage(byteCount: targets.byteCount(rows: rows), isZeroed: false)
    targets.load(from: 0, count: rows, into: memory.base)
    let workspace = try Storage(
      byteCount: compute.lossWorkspaceByteCount(rows: rows, columns: targets.columns), isZeroed: false)
    let result = targets.evaluate(
      values.storage.floats, memory.base, rows: rows, gradient: gradient?.contiguousFloats, gradientScale: 1 / Float(rows),
      workspace: workspace.base, compute)
    return TrainingResult(loss: result.sum / Double(rows), correct: result.correct, rows: rows)
  }
}
