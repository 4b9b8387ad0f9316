// Findings about activations at the outputs, beside what the loss does itself.

/// The activations that outputs end in, and softmaxes elsewhere.
struct OutputCheck {
  private let network: Network
  private let outputs: [Int]
  /// What the outputs' targets are for; nil: unknown.
  private let loss: Loss?

  init(_ model: Model, loss: Loss?) {
    network = model.network
    outputs = model.outputNodes
    self.loss = loss
  }

  func findings() -> [Finding] { lastActivations() + softmaxesInside() }

  /// Losses with an activation of their own read logits: numbers of any size, which another activation does not give.
  private func lastActivations() -> [Finding] {
    guard let loss, let own = loss.activation else { return [] }
    return outputs.compactMap { output in
      guard let layer = network.nodes[output].layer, layer.layer is any ActivationLayer || layer.layer is Softmax,
        type(of: layer.layer) != own
      else { return nil }
      return Finding(
        .lastActivation, .warning, layer.name,
        "an output ends in \"\(layer.name)\" (\(layer.kind)), and \(loss.name) reads logits, numbers of any size: it applies a "
          + "\(own.kind) of its own to the values of \"\(layer.name)\".",
        advice: "Leave the layer out, or put a \(own.kind) in its place: that one is taken together with the loss.")
    }
  }

  private func softmaxesInside() -> [Finding] {
    var found: [Finding] = []
    var seen: Set<ObjectIdentifier> = []
    for node in network.nodesReaching(outputs) {
      for input in network.nodes[node].inputs {
        guard let layer = network.nodes[input].layer, layer.layer is Softmax, let reader = network.nodes[node].layer,
          seen.insert(ObjectIdentifier(layer)).inserted
        else { continue }
        found.append(
          Finding(
            .softmaxInside, .note, layer.name,
            "\"\(reader.name)\" (\(reader.kind)) reads the values of \"\(layer.name)\" (softmax), which are between 0 and 1 and have "
              + "small gradients where one of them is near 1.",
            advice: "Between layers use an activation of each value, such as ReLU; a softmax belongs at an output."))
      }
    }
    return found
  }
}
