// Findings about numbers that are not numbers: tensors with NaN or infinity, and input normalizations without statistics.

extension StructureCheck {
  /// Each tensor, of the layers that the outputs need, that holds NaN or infinity.
  func nonfiniteTensors() -> [Finding] {
    layers((any BuildableLayer).self).flatMap { layer, _ in
      layer.variables.compactMap { variable -> Finding? in
        let count = variable.nonfiniteCount
        guard count > 0 else { return nil }
        let channels = variable.nonfiniteChannels
        let place = channels.isEmpty ? "" : ", in channels \(list(channels))"
        let isParameter = variable.kind == .parameter
        return Finding(
          isParameter ? .nonfiniteParameter : .nonfiniteStatistic, .error, layer.name,
          "\(count) of \(variable.count) values of \"\(variable.name)\" (\(layer.kind)) are NaN or infinite\(place): every output "
            + "that depends on them is not finite either.",
          advice: isParameter
            ? "Load the weights of an earlier state, or make the model anew; then look for NaN or infinity in the training data, or "
              + "train with a lower learning rate."
            : "Load the statistics of an earlier state, or update the population statistics on finite data.",
          value: Double(count), channels: channels)
      }
    }
  }

  /// Each input normalization that was never fitted.
  func unfittedInputs() -> [Finding] {
    layers(InputNormalization.self).compactMap { layer, _ in
      guard let count = layer.variable("count"), count.storage.integers.pointee == 0 else { return nil }
      return Finding(
        .inputNormalizationNotFitted, .error, layer.name,
        "\"\(layer.name)\" (input_normalization) was not fitted: the model can neither train nor predict.",
        advice: "Fit it on the training data: fit_input_normalization.", value: 0)
    }
  }
}

extension DataCheck {
  /// Each output with rows that are not finite, of data that is.
  func nonfiniteOutputs() -> [Finding] {
    measures.nonfiniteRows.enumerated().compactMap { place, found in
      guard found.count > 0 else { return nil }
      return Finding(
        .nonfiniteOutput, .error, "",
        "output \(place) is NaN or infinite for \(found.count) of \(measures.rows) rows of finite data, first for row "
          + "\(found.first).",
        advice:
          "Look at the tensors with NaN or infinity, if there are any; else values overflow on their way: bring the data to the "
          + "scale of the training's, and look for very large weights.",
        value: Double(found.count))
    }
  }
}

extension Variable {
  /// The indices along the first axis (the units of a Dense, the filters of a convolution, the channels of a norm) with a NaN or an
  /// infinity.
  fileprivate var nonfiniteChannels: [Int] {
    guard let channels = shape.first, channels > 0 else { return [] }
    let length = count / channels
    return (0..<channels).filter { channel in
      (channel * length..<(channel + 1) * length).contains { i in
        dataType == .float64 ? !storage.doubles[i].isFinite : !storage.floats[i].isFinite
      }
    }
  }
}
