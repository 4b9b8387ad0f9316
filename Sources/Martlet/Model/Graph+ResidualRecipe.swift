// The usual preparation of a residual network, done to a graph before a model is made of it.

/// What ``Graph/applyResidualRecipe()`` changed; names of layers, in the graph's order.
public struct ResidualRecipe: Equatable, Sendable {
  /// Layers that lost their bias.
  public var withoutBias: [String] = []
  /// Batch norms whose scale starts at 0 instead of 1.
  public var zeroScales: [String] = []
}

extension Graph {
  /// Prepares the residual network that stands in the graph so far: three habits that go together.
  ///
  /// 1. **The last scale of each residual branch starts at 0.** Where nodes meet in an ``Add``, the one with the fewest layers behind it is
  ///    the shortcut; every other one that is a batch norm's, read by nothing else, starts with γ = 0. So each block starts as its shortcut, and
  ///    a deep network as a shallow one (Goyal et al. 2017, section 5.1). Inputs equally deep: there is no telling, and nothing changes.
  /// 2. **No bias before batch norm.** A dense or convolutional layer that only batch norms of the batch's own statistics read loses
  ///    its bias: their mean takes it out again, whatever it is.
  /// 3. **No weight decay on scale and shift.** Optimizers spare them anyway, unless ``OptimizerOptions/decaysScaleShiftBias``; a decay would
  ///    pull γ, and so the layer's output, to 0.
  ///
  /// Apply it when the graph is complete: nodes added later may read a layer that lost its bias. An output of the model that shows
  /// such a layer shows it without the bias. A layer shared by several places changes if all of them agree. Applying it twice changes
  /// nothing more.
  ///
  ///     let recipe = graph.applyResidualRecipe()
  ///     print(recipe.zeroScales)  // ["bn2"]
  @discardableResult
  public mutating func applyResidualRecipe() -> ResidualRecipe {
    var recipe = ResidualRecipe()
    let places = Dictionary(grouping: nodes.indices) { nodes[$0].layer ?? -1 }
    let readers = self.readers
    let branchEnds = residualBranchEnds(readers)
    for number in layers.indices {
      guard let places = places[number], !places.isEmpty else { continue }
      if var layer = layers[number].layer as? any FoldableLayer, layer.bias,
        places.allSatisfy({ readers[$0].count > 0 && readers[$0].allSatisfy(takesMeanOut) })
      {
        layer.bias = false
        replaceLayer(number, by: layer)
        recipe.withoutBias.append(layers[number].name)
      }
      if let norm = layers[number].layer as? BatchNorm, norm.scale, places.allSatisfy(branchEnds.contains),
        startWithScaleZero(number)
      {
        recipe.zeroScales.append(layers[number].name)
      }
    }
    return recipe
  }

  /// The nodes that read each node, one entry for each time.
  private var readers: [[Int]] {
    var readers = [[Int]](repeating: [], count: nodes.count)
    for node in nodes.indices { for input in nodes[node].inputs { readers[input].append(node) } }
    return readers
  }

  /// A batch norm that takes the mean of what it reads out, whatever that is.
  private func takesMeanOut(_ node: Int) -> Bool {
    guard let number = nodes[node].layer, let norm = layers[number].layer as? BatchNorm else { return false }
    return norm.takesMeanOut
  }

  /// Nodes that reach a sum as the end of a residual branch.
  private func residualBranchEnds(_ readers: [[Int]]) -> Set<Int> {
    var depths: [Int] = []
    for node in nodes { depths.append((node.inputs.map { depths[$0] }.max() ?? -1) + 1) }
    var ends: Set<Int> = []
    for node in nodes {
      guard let number = node.layer, layers[number].layer is Add else { continue }
      let inputDepths = node.inputs.map { depths[$0] }
      guard let least = inputDepths.min(), inputDepths.count(where: { $0 == least }) == 1 else { continue }
      ends.formUnion(node.inputs.filter { depths[$0] > least && readers[$0].count == 1 })
    }
    return ends
  }
}
