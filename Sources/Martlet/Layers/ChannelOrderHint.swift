// What error messages add where a shape looks like that of images in the other order of axes.

/// Advice for images whose channels are the first axis where the last one is expected, or the other way round.
enum ChannelOrderHint {
  /// For a row that a layer on images [height, width, channels] refuses; empty unless it looks like [channels, height, width].
  static func forRow(_ row: [Int]) -> String {
    guard row.count == 3, (1...4).contains(row[0]), row[1] > 4, row[2] > 4 else { return "" }
    return " The row \(Shape.text(row)) looks like [channels, height, width], and the last axis counts the channels: give the "
      + "input the shape \(Shape.text([row[1], row[2], row[0]])), or bring channels-first data to that order behind the input "
      + "(ChannelsLast; Input(..., layout=\"channels_first\") in Python)."
  }

  /// For a batch whose shape is not that of a model's rows; empty unless its axes are in the other order, or the batch
  /// axis is missing.
  static func forBatch(_ batch: [Int], row: [Int]) -> String {
    if batch == row, !row.isEmpty {
      return " It looks like a single row: give it as a batch of shape \(Shape.text([1] + row))."
    }
    guard row.count >= 2, batch.count == row.count + 1 else { return "" }
    let given = Array(batch.dropFirst())
    if given == Array(row.suffix(1)) + Array(row.dropLast()) {
      return " It looks like channels-first data, and the last axis counts the channels: move axis 1 to the end, or make the "
        + "model with a channels-first input (ChannelsLast; Input(..., layout=\"channels_first\") in Python)."
    }
    if given == Array(row.dropFirst()) + Array(row.prefix(1)) {
      return " It looks like channels-last data, and this input takes channels first: move the last axis to axis 1."
    }
    return ""
  }
}
