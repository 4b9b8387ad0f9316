// Ghost batches: statistics over a few consecutive rows of the batch at a time.

/// How the rows of a batch are cut into virtual batches, each of which has statistics of its own.
///
/// Consecutive rows, `size` of them; the last has what is left. What is left and has fewer than two values per channel joins the batch
/// before it.
struct VirtualBatches {
  /// Rows of one; nil: all rows are one.
  let size: Int?
  /// Values of one channel in each row.
  let inner: Int

  /// How many virtual batches so many rows are. It never falls when the rows become more.
  func count(rows: Int) -> Int {
    guard rows > 0 else { return 0 }
    guard let size, rows > size else { return 1 }
    return rows / size + (rows % size * inner >= 2 ? 1 : 0)
  }

  func range(_ number: Int, rows: Int) -> Range<Int> {
    guard let size else { return 0..<rows }
    return number * size..<(number == count(rows: rows) - 1 ? rows : (number + 1) * size)
  }

  /// The most rows that one has in a batch of at most `rows`: one row may join.
  func mostRows(rows: Int) -> Int {
    guard let size, size < rows else { return rows }
    return min(rows, size + 1)
  }
}
