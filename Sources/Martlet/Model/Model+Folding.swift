// A model for inference with its batch norms folded into the weights beside them, for good.

extension Model {
  /// A model of fewer layers with the same outputs at inference: batch norms become part of the weights beside them, dropouts vanish.
  ///
  ///     behind Dense, Conv2D, Conv1D:   w′ = w·multiplier,   b′ = (b − mean)·multiplier + shift
  ///     before them:                    w′ = w·multiplier,   b′ = b + Σ w·(shift − mean·multiplier)
  ///
  /// A norm goes into the layer before it, else into the one behind it; Flatten and Reshape may lie between, where they keep channels
  /// apart. A missing bias is made. What stays, with the reason in the certificate: norms beside no such layer, those whose value or
  /// whose layer's value somebody else reads or is an output, and norms before a convolution that pads (its zeros would be shifted).
  ///
  /// The arithmetic is Float64; each weight is rounded once. The result shares nothing with this model, which is unchanged; training it
  /// trains a network without these norms.
  ///
  /// - Parameter data: as for ``predict(_:batchSize:into:)``, finite. On it both models are compared, layer by layer, with weights in
  ///   Float32; nil: not compared.
  /// - Throws: ``MartletError/Kind/shapeMismatch`` for data that does not fit; ``MartletError/Kind/invalidArgument`` for no rows or values
  ///   that are not finite.
  ///
  /// Edge cases: a norm whose folding would leave Float32's range stays.
  /// Cost: a copy of the weights in Float64; two inference passes over the data.
  /// Source: Jacob et al. 2018, §3.2, for the norm behind.
  public func folded(checkedOn data: [ArrayView]? = nil) throws -> (model: Model, certificate: FoldingCertificate) {
    let reserve = try MemoryReserve(channelsOf: network)
    defer { reserve.end() }
    let rows = try data.map { try checkInputs($0, what: "data") }
    if rows == 0 { throw MartletError.invalidArgument("data: a comparison needs 1 or more rows; 0 came.") }
    return try network.exclusivity.reading { try fold(checkedOn: data, rows: rows) }
  }

  private func fold(checkedOn data: [ArrayView]?, rows: Int?) throws -> (model: Model, certificate: FoldingCertificate) {
    let rewrite = try FoldingRewrite(network, inputs: inputNodes, outputs: outputNodes)
    let (model, position) = try rebuilt(rewrite)
    var certificate = FoldingCertificate(layers: rewrite.report, outputs: nil)
    certificate.nonfiniteTensors = variables.filter { $0.nonfiniteCount > 0 }.map(\.name)
    if let data, let rows {
      try FoldingCheck(self, model, rewrite, position).run(data, rows: rows, into: &certificate)
    }
    model.network.inferenceWeights = inferenceWeights
    return (model, certificate)
  }

  /// Folds, and compares on one input's data.
  public func folded(checkedOn data: Tensor) throws -> (model: Model, certificate: FoldingCertificate) {
    try MartletError.naming(["data[0]": "data"]) {
      try withExtendedLifetime(data) { try folded(checkedOn: [data.view("data")]) }
    }
  }

  /// The model that is left, and where each node that is left stands in it.
  private func rebuilt(_ rewrite: FoldingRewrite) throws -> (Model, [Int: Int]) {
    let left = rewrite.order.filter { !rewrite.hasVanished($0) }
    let position = Dictionary(uniqueKeysWithValues: left.enumerated().map { ($1, $0) })
    var copies: [ObjectIdentifier: ModelLayer] = [:]
    var layers: [ModelLayer] = []
    var places = Network.PlaceCounts()
    let nodes = try left.map { index -> Network.Node in
      let node = network.nodes[index]
      let inputs = rewrite.inputs(index).compactMap { position[$0] }
      guard let original = node.layer else {
        return Network.Node(layer: nil, inputs: inputs, shape: node.shape, place: 1, inputName: node.inputName)
      }
      let id = ObjectIdentifier(original)
      let copy = try copies[id] ?? original.copied(with: rewrite.weights[id])
      if copies[id] == nil {
        copies[id] = copy
        layers.append(copy)
      }
      return Network.Node(layer: copy, inputs: inputs, shape: node.shape, place: places.next(of: copy), inputName: "")
    }
    let copy = Network(nodes: nodes, layers: layers)
    copy.imageNormalizer = network.imageNormalizer
    let model = Model(
      copy, inputs: inputNodes.compactMap { position[$0] },
      outputs: outputNodes.compactMap { position[rewrite.heir($0)] }, seed: handSeed)
    return (model, position)
  }
}

extension ModelLayer {
  /// An independent copy, with folded weights and a bias in place of its own.
  fileprivate func copied(with folded: FoldingWeights?) throws -> ModelLayer {
    var options = layer
    if folded != nil, var withBias = layer as? any FoldableLayer {
      withBias.bias = true
      options = withBias
    }
    let copy = try ModelLayer(name: name, layer: options, inputShapes: inputShapes, outputShape: outputShape)
    for variable in copy.variables { if let source = self.variable(variable.localName) { variable.copyValues(from: source) } }
    if let folded, let weight = copy.variable("weight"), let bias = copy.variable("bias") {
      // A bias that was not there trains as the weights do.
      if variable("bias") == nil { bias.isTrainable = weight.isTrainable }
      folded.store(weight, bias)
    }
    return copy
  }
}

extension FoldingRewrite {
  /// What became of each layer.
  var report: [FoldingCertificate.Layer] {
    network.layers(of: order).map { layer in
      let id = ObjectIdentifier(layer)
      var (outcome, detail) = outcomes[id] ?? (.unchanged, "as it was")
      if let norms = takenIn[id] {
        (outcome, detail) = (.changed, "took in " + norms.map { excerpt($0) }.joined(separator: ", "))
      }
      let nonfinite = layer.variables.filter { $0.nonfiniteCount > 0 }.map(\.localName)
      if !nonfinite.isEmpty { detail += "; NaN or infinity in " + nonfinite.joined(separator: ", ") }
      return FoldingCertificate.Layer(name: layer.name, kind: layer.kind, outcome: outcome, detail: detail)
    }
  }
}
