// What one batch runs, as text for people.
import MartletRuntime

extension Model {
  /// The steps of a batch: the layers that became one (joined by +), the shape of the output and its bytes, scratch (memory for the
  /// step alone; in training forward / backward; ", moments" behind the layers: as it writes, it gathers what the batch norm behind it
  /// needs of its output; and how a batch norm takes its statistics, where that is not over the whole batch), gradients that it writes to buffers of their own, and what stays for the backward
  /// pass or, at inference, from run to run; then the arena that holds all of it, and what it would take if no two buffers shared memory.
  ///
  /// Values have no step where they are another under a new name: Flatten, Reshape, Dropout at inference.
  ///
  /// - Throws: ``MartletError/Kind/invalidArgument`` unless batchSize ≥ 1.
  public func planDescription(batchSize: Int, training: Bool) throws -> String {
    guard batchSize >= 1 else { throw MartletError.invalidArgument("batch_size must be 1 or more; \(batchSize) came.") }
    return try network.exclusivity.reading { try describePlan(batchSize: batchSize, training: training) }
  }

  private func describePlan(batchSize: Int, training: Bool) throws -> String {
    let compute = try Compute.shared
    let plan = try Plan(
      network, inputs: inputNodes, outputs: outputNodes, capacity: batchSize, training: training, wantsInputGradient: false,
      compute: compute)
    var lines = [
      "\(training ? "training" : "inference"), \(batchSize) rows, \(compute.kernels.name): \(plan.steps.count) steps"
        + (training ? " forward, \(plan.backwardSteps.count) backward" : "")
    ]
    let heads = ["step", "output", "bytes", "scratch"] + (training ? ["gradients", "stays for backward"] : ["keeps"])
    lines += PlanTable.lines([heads] + plan.steps.map { PlanTable.row(of: $0, batchSize: batchSize) }, leftAligned: [0, 1, 5])
    let layout = plan.layout
    lines.append(
      "memory: \(grouped(layout.byteCount)) bytes in one arena (\(grouped(layout.unsharedByteCount)) without sharing), inputs of "
        + "\(grouped(inputLengths.reduce(0, +) * 4 * batchSize)) bytes among them; \(grouped(parameterCount)) parameters")
    return lines.joined(separator: "\n")
  }
}

private enum PlanTable {
  /// One step. Bytes are those of the largest batch.
  static func row(of step: PlanStep, batchSize: Int) -> [String] {
    func bytes(_ shape: [Int]) -> Int { 4 * batchSize * shape.reduce(1, *) }
    let site = step.site
    let scratch = grouped(step.forwardWorkspaceByteCount + (step.moments == nil ? 0 : step.momentsByteCount))
    let title = [step.title] + step.notes + (step.moments == nil ? [] : ["moments"])
    var row = [
      title.joined(separator: ", "), Shape.text([batchSize] + site.outputShape), grouped(bytes(site.outputShape)),
    ]
    guard site.isTraining else { return row + [scratch, grouped(step.keptByteCount + step.contextByteCount)] }
    guard step.gradOutput != nil else { return row + [scratch, "-", "nothing: no gradient is wanted"] }
    row.append(scratch + " / " + grouped(step.backwardWorkspaceByteCount))
    // A gradient that adds to another, or takes over the output's, has no buffer of its own.
    let gradients = zip(step.gradInputs, site.inputShapes).reduce(0) { sum, pair in
      guard let target = pair.0, !target.accumulates, target.buffer != step.gradOutput else { return sum }
      return sum + bytes(pair.1)
    }
    row.append(grouped(gradients))
    var kept: [String] = []
    if step.keepsInput {
      let inputs = site.inputShapes.indices.filter(step.keepsInput).reduce(0) { $0 + bytes(site.inputShapes[$1]) }
      kept.append("input \(grouped(inputs))")
    }
    if step.keepsOutput { kept.append("output \(grouped(bytes(site.outputShape)))") }
    if step.contextByteCount > 0 { kept.append("context \(grouped(step.contextByteCount))") }
    row.append(kept.isEmpty ? "nothing" : kept.joined(separator: ", "))
    return row
  }

  static func lines(_ rows: [[String]], leftAligned: Set<Int>) -> [String] {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      var line = ""
      for (column, cell) in row.enumerated() {
        let blanks = String(repeating: " ", count: widths[column] - cell.count)
        let isLast = column == row.count - 1
        line += "  " + (leftAligned.contains(column) ? cell + (isLast ? "" : blanks) : blanks + cell)
      }
      return line
    }
  }
}

/// 1234567 as "1,234,567".
private func grouped(_ number: Int) -> String {
  var text = String(number)
  var place = text.count - 3
  while place > 0 {
    text.insert(",", at: text.index(text.startIndex, offsetBy: place))
    place -= 3
  }
  return text
}
