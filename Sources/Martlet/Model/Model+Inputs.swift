// Checking the arrays a caller hands in against what a model expects.
import MartletRuntime

extension Model {
  /// The number of rows of a batch.
  ///
  /// - Throws: ``MartletError/Kind/shapeMismatch`` naming the input that does not fit.
  func checkInputs(_ arrays: [ArrayView], what: String = "inputs") throws -> Int {
    try Model.check(arrays, shapes: inputShapes, what: what)
  }

  func checkOutputArrays(_ arrays: [ArrayView], rows: Int, what: String) throws {
    let found = try Model.check(arrays, shapes: outputShapes, what: what)
    guard found == rows else {
      throw MartletError.shapeMismatch("\(what): \(rows) rows are needed, as many as the inputs have; \(found) came.")
    }
  }

  private static func check(_ arrays: [ArrayView], shapes: [[Int]], what: String) throws -> Int {
    guard arrays.count == shapes.count else {
      throw MartletError.shapeMismatch("\(what): the model has \(shapes.count); \(arrays.count) came.")
    }
    var rows: Int?
    for (place, (array, shape)) in zip(arrays, shapes).enumerated() {
      guard let found = array.shape.first, matches(array.shape, shape) else {
        let expected = "[rows" + shape.map { ", \($0)" }.joined() + "]"
        throw MartletError.shapeMismatch(
          "\(what)[\(place)]: the shape \(expected) is needed (the first axis is the batch); \(Shape.text(array.shape)) came."
            + ChannelOrderHint.forBatch(array.shape, row: shape))
      }
      if let rows, rows != found {
        throw MartletError.shapeMismatch(
          "\(what)[\(place)]: all must have as many rows; the first has \(rows), this one \(found).")
      }
      rows = found
    }
    for (place, array) in arrays.enumerated() { try array.checkFloat32Range("\(what)[\(place)]") }
    return rows ?? 0
  }

  private static func matches(_ array: [Int], _ row: [Int]) -> Bool {
    guard array.count == row.count + 1 else { return false }
    for axis in row.indices where array[axis + 1] != row[axis] { return false }
    return true
  }
}

extension Executor {
  /// Has rows of the caller's arrays read where they lie, if they lie side by side in Float32; copies others to where the plan
  /// reads them. For the run that follows: ``releaseInputs()`` after it.
  ///
  /// - Throws: ``MartletError/Kind/invalidArgument`` for a finite number that Float32 cannot hold, as the other loads do. ``Model/checkInputs(_:what:)``
  ///   has refused such arrays already, but the caller may have written to them since.
  func load(_ arrays: [ArrayView], from first: Int, count: Int) throws {
    for (place, array) in arrays.enumerated() {
      if let floats = array.contiguousFloats, plan.network.imageNormalizer == nil {
        readInput(place, at: floats + first &* plan.inputLengths[place])
      } else {
        readInput(place, at: nil)
        try copy(place, array, .range(first: first, count: count))
      }
    }
  }

  /// Copies rows of an array to where the plan reads them, behind `row` others.
  private func copy(_ place: Int, _ array: ArrayView, _ rows: SourceRows, at row: Int = 0, isPart: Bool = false) throws {
    let target = inputFloats(place) + row * plan.inputLengths[place]
    switch rows {
    case .range(let first, let count): try array.copyRows(from: first, count: count, into: target, "inputs[\(place)]")
    case .numbers(let numbers): try array.copyRows(numbers, into: target, compute, "inputs[\(place)]")
    }
    if let normalizer = plan.network.imageNormalizer {
      // What the layers read is what came out of the normalization, not the caller's array.
      forgetSource(place)
      normalizer.apply(target, count: rows.count * plan.inputLengths[place], areBytes: array.dataType == .uint8)
    } else {
      takeSource(place, array, rows, at: row, isPart: isPart)
    }
  }

  /// The caller's arrays are the caller's alone again.
  func releaseInputs() {
    for place in plan.inputs.indices { readInput(place, at: nil) }
  }

  /// Copies the rows that are asked for to where the plan reads them.
  func load(_ arrays: [ArrayView], rows: UnsafeBufferPointer<Int>) throws {
    for (place, array) in arrays.enumerated() { try copy(place, array, .numbers(rows)) }
  }

  /// Copies rows to where the plan keeps them for a backward pass that runs in another call.
  func loadCopies(_ arrays: [ArrayView], count: Int) throws {
    for (place, array) in arrays.enumerated() { try copy(place, array, .range(first: 0, count: count)) }
  }

  /// Copies the first rows of arrays behind `row` others that the plan will read.
  func load(_ arrays: [ArrayView], count: Int, at row: Int) throws {
    for (place, array) in arrays.enumerated() { try copy(place, array, .range(first: 0, count: count), at: row, isPart: true) }
  }
}
