// The options of a batch norm in files.

extension BatchNorm {
  /// Options that came later only where they were chosen: files of others read as they did before there was a choice.
  var configuration: [(key: String, value: JSON)] {
    var list: [(key: String, value: JSON)] = [
      ("epsilon", .number(epsilon)), ("momentum", momentum.map { .number($0) } ?? .null),
      ("scale", .bool(scale)), ("shift", .bool(shift)), ("biased_moving_variance", .bool(biasedMovingVariance)),
      ("count_nonfinite_batches", .bool(countsNonfiniteBatches)),
      ("normalize_with", .string(normalizer == .batch ? "batch" : "moving")),
      ("updates_moving", .bool(updatesMoving)), ("trains_scale_shift", .bool(trainsScaleShift)),
    ]
    if debiased { list.append(("debiased", .bool(true))) }
    if singleValue != .error { list.append(("single_value", .string(singleValue.name))) }
    if let virtualBatchSize { list.append(("virtual_batch_size", .integer(Int64(virtualBatchSize)))) }
    if let renormalization { list.append(("renormalization", renormalization.configuration)) }
    return list
  }

  init(configuration reader: ConfigurationReader) throws {
    try self.init(
      epsilon: reader.double("epsilon"), momentum: reader.optionalDouble("momentum"), scale: reader.bool("scale"),
      shift: reader.bool("shift"), biasedMovingVariance: reader.bool("biased_moving_variance"),
      countsNonfiniteBatches: reader.bool("count_nonfinite_batches"),
      normalizer: reader.choice("normalize_with", [("batch", .batch), ("moving", .moving)]),
      updatesMoving: reader.bool("updates_moving"), trainsScaleShift: reader.bool("trains_scale_shift"))
    if reader.optional("debiased") != nil { debiased = try reader.bool("debiased") }
    if reader.optional("single_value") != nil {
      singleValue = try reader.choice("single_value", SingleValue.allCases.map { ($0.name, $0) })
    }
    if reader.optional("virtual_batch_size") != nil { virtualBatchSize = try reader.int("virtual_batch_size") }
    renormalization = try reader.optional("renormalization").map(BatchRenormalization.init(configuration:))
  }
}

extension BatchNorm.SingleValue {
  /// As files and Python say it.
  var name: String {
    switch self {
    case .error: "error"
    case .moving: "moving"
    case .skip: "skip"
    }
  }
}
