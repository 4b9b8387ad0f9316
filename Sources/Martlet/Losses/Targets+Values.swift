// Which values each loss takes as targets, and what is said of others.
import MartletRuntime

extension Targets {
  /// How far the sum of a row of probabilities may be from 1: twice what rounding every one of them to half precision can make of it
  /// (2⁻¹¹ of each, and so of the sum). Rows that count twice, or sums of weights, are farther off.
  static let sumTolerance = 1e-3

  /// Refuses values that the loss is not defined for, in the copy that a step reads.
  ///
  /// - Parameter row: the number of a row in the caller's array.
  func check(_ memory: UnsafeMutableRawPointer, count: Int, row: (Int) -> Int) throws {
    if areLabels {
      let labels = UnsafePointer(memory.assumingMemoryBound(to: Int32.self))
      let classes = Int32(clamping: columns)
      guard !Compute.areLabels(labels, count: count, classes: classes),
        let wrong = (0..<count).first(where: { labels[$0] < 0 || labels[$0] >= classes })
      else { return }
      throw wrongLabel(row(wrong), labels[wrong])
    }
    let values = UnsafePointer(memory.assumingMemoryBound(to: Float.self))
    let (columns, total) = (columns, count * columns)
    switch loss {
    case .meanSquaredError:
      guard !Compute.areFinite(values, count: total), let wrong = (0..<total).first(where: { !values[$0].isFinite })
      else { return }
      throw wrongValue("finite values", row(wrong / columns), wrong % columns, values[wrong])
    case .binaryCrossEntropy:
      guard !Compute.areWithin(values, count: total, largest: 1),
        let wrong = (0..<total).first(where: { !(values[$0] >= 0 && values[$0] <= 1) })
      else { return }
      throw wrongValue("values in 0...1", row(wrong / columns), wrong % columns, values[wrong])
    case .crossEntropy:
      if !Compute.areWithin(values, count: total, largest: 2),
        let wrong = (0..<total).first(where: { !(values[$0] >= 0 && values[$0].isFinite) })
      {
        throw wrongValue("probabilities, 0 or more", row(wrong / columns), wrong % columns, values[wrong])
      }
      for place in 0..<count {
        let sum = Compute.rowSum(values + place * columns, count: columns)
        if !(abs(sum - 1) <= Self.sumTolerance) { throw wrongSum(row(place), sum) }
      }
    }
  }

  private func wrongLabel(_ row: Int, _ label: Int32) -> MartletError {
    // What does not fit an Int32 is copied as its least number.
    let found = label == .min ? array.integer(row: row) : Int64(label)
    return .invalidArgument(
      "\(argument): expected labels in 0..<\(columns), the number of classes; got \(found) in row \(row). "
        + "Number the classes from 0, or give the output a column for each.")
  }

  private func wrongValue(_ expected: String, _ row: Int, _ column: Int, _ value: Float) -> MartletError {
    // A number that Float32 cannot hold is told as it came.
    let given = value.isInfinite ? array.number(row: row, column: column) : Double(value)
    let got = given.isFinite && value.isInfinite ? "\(given), which float32 cannot hold," : "\(value)"
    return .invalidArgument(
      "\(argument): expected \(expected) for \(loss.name); got \(got) in row \(row), column \(column). \(remedy)")
  }

  private var remedy: String {
    switch loss {
    case .crossEntropy: "For other numbers use another loss, such as mse."
    case .meanSquaredError: "Leave such rows out, or fill them in."
    case .binaryCrossEntropy: "For other numbers use another loss, such as mse."
    }
  }

  private func wrongSum(_ row: Int, _ sum: Double) -> MartletError {
    let kind = array.dataType.isInteger ? "one-hot rows (integers of the output's shape)" : "probabilities"
    return .invalidArgument(
      "\(argument): expected \(kind) whose sum is 1 in each row for cross_entropy; got a sum of \(sum.short) in row \(row). "
        + "Divide each row by its sum; class numbers come as integers [\(array.rowCount)]; weights of rows or classes are not taken."
    )
  }
}

extension ArrayView {
  /// An integer element (rank 1 or [n, 1]) of a row.
  fileprivate func integer(row: Int) -> Int64 {
    guard let data, dataType == .int64 else { return Int64(label(row: row)) }
    return data.loadUnaligned(fromByteOffset: row &* (shape.isEmpty ? 0 : stride(0)) &* 8, as: Int64.self)
  }

  /// An element by its row and its number there.
  fileprivate func number(row: Int, column: Int) -> Double {
    guard let data else { return .nan }
    var offset = shape.isEmpty ? 0 : row &* stride(0)
    var rest = column
    for axis in shape.indices.dropFirst().reversed() where shape[axis] > 0 {
      offset &+= rest % shape[axis] &* stride(axis)
      rest /= shape[axis]
    }
    switch dataType {
    case .float32: return Double(data.loadUnaligned(fromByteOffset: offset &* 4, as: Float.self))
    case .float64: return data.loadUnaligned(fromByteOffset: offset &* 8, as: Double.self)
    case .int32: return Double(data.loadUnaligned(fromByteOffset: offset &* 4, as: Int32.self))
    case .int64: return Double(data.loadUnaligned(fromByteOffset: offset &* 8, as: Int64.self))
    case .uint8: return Double(data.loadUnaligned(fromByteOffset: offset, as: UInt8.self))
    }
  }
}
