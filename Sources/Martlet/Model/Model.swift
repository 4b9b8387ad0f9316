// A model: what a network is, with its parameters and state.
import MartletRuntime

/// A network with parameters and state, made of a ``Graph`` or a list of layers.
///
/// Training or inference is said in every call; there is no mode. Calls that change nothing (``predict(_:batchSize:into:)``,
/// evaluations, ``check(on:targets:_:)``, ``save(to:)``, ``clone()``) may run on many threads at once; those that change the model or its
/// submodels need it alone, and throw ``MartletError/Kind/invalidState`` while another thread uses it, as others do meanwhile.
/// Callbacks may use the model on the thread on which they are called.
public final class Model: @unchecked Sendable {
  let network: Network
  let inputNodes: [Int]
  let outputNodes: [Int]
  /// The nodes that the outputs need, and the inputs, in order. Of a submodel they are a part of the network's.
  let nodes: [Int]
  /// Layers in the order they run: those that the outputs need.
  public let layers: [ModelLayer]
  /// Parameters and state in the layers' order.
  public let variables: [Variable]
  private let layerByName: [Name: ModelLayer]
  private let variableByName: [Name: Variable]
  /// Shapes of one row.
  public let inputShapes: [[Int]]
  public let outputShapes: [[Int]]
  public var inputCount: Int { inputNodes.count }
  public var outputCount: Int { outputNodes.count }
  /// The executors that inference may take; those in use are not here.
  let idleExecutors = ExecutorPool()
  /// Values of one row.
  let inputLengths: [Int]
  let outputLengths: [Int]
  /// The executor of loops by hand, and what may be done next with it.
  var handExecutor: Executor?
  var handPhase = HandPhase.none
  /// Seed and count of the batches run by hand in training: dropout's key.
  var handSeed: UInt64
  var handBatches: UInt64 = 0
  /// The input of the last forward by hand was uint8.
  var handInputIsBytes = false

  /// A model of the graph's nodes between inputs and outputs.
  ///
  /// - Parameters:
  ///   - inputs: the graph's inputs, in the order in which data will be given.
  ///   - outputs: any nodes; at least one.
  ///   - seed: of the parameters' first values; the same seed gives the same model.
  /// - Throws: ``MartletError`` if a node is not of this graph, an input is needed that is not given, or an input is not one.
  public convenience init(_ graph: Graph, inputs: [Graph.Node], outputs: [Graph.Node], seed: UInt64 = 0) throws {
    let environment = FloatingPointEnvironment.enter()
    defer { environment.leave() }
    let reserve = try MemoryReserve(nodes: graph.nodes.count)
    defer { reserve.end() }
    guard !outputs.isEmpty else { throw MartletError.invalidArgument("outputs: a model needs at least one output.") }
    guard !inputs.isEmpty else { throw MartletError.invalidArgument("inputs: a model needs at least one input.") }
    try Model.check(count: outputs.count, Limits.outputCount, "outputs")
    try Model.check(count: inputs.count, Limits.inputCount, "inputs")
    for node in inputs where try graph.entry(node, "inputs").layer != nil {
      throw MartletError.invalidArgument(
        "inputs: node \(node.index) (\(excerpt(graph.name(of: node.index)))) is a layer, not an input.")
    }
    guard Set(inputs).count == inputs.count else { throw MartletError.invalidArgument("inputs: the same node came twice.") }
    for node in outputs { _ = try graph.entry(node, "outputs") }

    // The part of the graph that the outputs need, and the given inputs even if they are not needed.
    let given = Set(inputs.map(\.index))
    var needed = given
    var open = outputs.map(\.index)
    while let node = open.popLast() {
      if needed.insert(node).inserted { open.append(contentsOf: graph.nodes[node].inputs) }
    }
    let order = needed.sorted()
    for node in order where graph.nodes[node].layer == nil && !given.contains(node) {
      throw MartletError.invalidArgument(
        "inputs: the outputs need the input \(excerpt(graph.nodes[node].inputName)), which is not among them.")
    }
    let position = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($1, $0) })
    var layers: [Int: ModelLayer] = [:]
    var layerOrder: [ModelLayer] = []
    var places = Network.PlaceCounts()
    let nodes = try order.map { index -> Network.Node in
      let entry = graph.nodes[index]
      var layer: ModelLayer?
      if let number = entry.layer {
        if let known = layers[number] {
          layer = known
        } else {
          let description = graph.layers[number]
          let made = try ModelLayer(
            name: description.name, layer: description.layer,
            inputShapes: entry.inputs.map { graph.nodes[$0].shape }, outputShape: entry.shape)
          layers[number] = made
          layerOrder.append(made)
          layer = made
        }
      }
      return Network.Node(
        layer: layer, inputs: entry.inputs.compactMap { position[$0] }, shape: entry.shape,
        place: places.next(of: layer), inputName: entry.inputName)
    }
    let network = Network(nodes: nodes, layers: layerOrder)
    network.initialize(seed: seed)
    for (number, layer) in layers where graph.layers[number].startsWithScaleZero {
      guard let scale = layer.variable("weight") else { continue }
      scale.mutableFloats.update(repeating: 0, count: scale.count)
      scale.didWrite()
    }
    self.init(
      network, inputs: inputs.compactMap { position[$0.index] }, outputs: outputs.compactMap { position[$0.index] }, seed: seed)
  }

  init(_ network: Network, inputs: [Int], outputs: [Int], seed: UInt64) {
    self.network = network
    inputNodes = inputs
    outputNodes = outputs
    nodes = network.nodesReaching(outputs + inputs)
    layers = network.layers(of: nodes)
    variables = layers.flatMap(\.variables)
    layerByName = Dictionary(layers.map { (Name($0.name), $0) }, uniquingKeysWith: { first, _ in first })
    variableByName = Dictionary(variables.map { (Name($0.name), $0) }, uniquingKeysWith: { first, _ in first })
    inputShapes = inputs.map { network.nodes[$0].shape }
    outputShapes = outputs.map { network.nodes[$0].shape }
    inputLengths = inputShapes.map { $0.reduce(1, *) }
    outputLengths = outputShapes.map { $0.reduce(1, *) }
    handSeed = seed
  }

  private static func check(count: Int, _ limit: Int, _ argument: String) throws {
    guard count <= limit else {
      throw MartletError.invalidArgument("\(argument): expected at most \(limit) of a model; got \(count).")
    }
  }

  /// Another model of the same layers, whose outputs are those of the named layers ("dense_1/2": its second place). Parameters and
  /// state are shared, both ways; layers that these outputs do not need are not part of it.
  public func submodel(outputs names: [String]) throws -> Model {
    guard !names.isEmpty else { throw MartletError.invalidArgument("layer_names: a model needs at least one output.") }
    try Model.check(count: names.count, Limits.outputCount, "layer_names")
    var places = Dictionary(names.map { (Name($0), -1) }, uniquingKeysWith: { first, _ in first })
    for index in nodes.reversed() {
      let name = Name(network.nodes[index].name)
      if places[name] != nil { places[name] = index }
    }
    let outputs = try names.map { name in
      guard let node = places[Name(name)], node >= 0 else {
        _ = try layer(named: name)
        throw MartletError.invalidArgument("The layer \(excerpt(name)) has no place of its own in this model.")
      }
      return node
    }
    return Model(network, inputs: inputNodes, outputs: outputs, seed: handSeed)
  }

  /// An independent copy: parameters, state and switches. Of a submodel, of its own layers.
  public func clone() throws -> Model { try copy(of: nodes) }

  /// A copy of the whole network, with this model's inputs and outputs: nodes have the same numbers in it.
  func cloneWithWholeNetwork() throws -> Model { try copy(of: Array(network.nodes.indices)) }

  private func copy(of order: [Int]) throws -> Model { try network.exclusivity.reading { try uncheckedCopy(of: order) } }

  private func uncheckedCopy(of order: [Int]) throws -> Model {
    let reserve = try MemoryReserve(nodes: order.count)
    defer { reserve.end() }
    let (copy, position) = try network.copy(of: order)
    return Model(
      copy, inputs: inputNodes.compactMap { position[$0] }, outputs: outputNodes.compactMap { position[$0] }, seed: handSeed)
  }

  /// How inference keeps the weights of Dense layers; Float32 at first. Not part of a saved file. Submodels share it.
  public var inferenceWeights: InferenceWeights { network.inferenceWeights }

  /// - Throws: ``MartletError/Kind/invalidState`` while another thread uses the model.
  public func setInferenceWeights(_ format: InferenceWeights) throws {
    try network.exclusivity.changing { network.inferenceWeights = format }
  }

  /// Runs a body that only reads the model.
  package func reading<Result>(_ body: () throws -> Result) throws -> Result { try network.exclusivity.reading(body) }

  /// The tensor of that name.
  ///
  /// - Throws: ``MartletError/Kind/invalidArgument`` if the model has none.
  public func variable(named name: String) throws -> Variable {
    guard let variable = variableByName[Name(name)] else {
      throw MartletError.invalidArgument(
        "The model has no tensor \(excerpt(name)). Its \(variables.count) tensors: \(excerpts(variables.map(\.name), most: 12))."
      )
    }
    return variable
  }

  /// The layer of that name.
  ///
  /// - Throws: ``MartletError/Kind/invalidArgument`` if the model has none.
  public func layer(named name: String) throws -> ModelLayer {
    guard let layer = layerByName[Name(name)] else {
      let known = layers.prefix(12).map { "\(excerpt($0.name)) (\($0.kind))" }.joined(separator: ", ")
      let more = layers.count > 12 ? " and \(layers.count - 12) more" : ""
      throw MartletError.invalidArgument("The model has no layer \(excerpt(name)). Its layers: \(known)\(more).")
    }
    return layer
  }
  /// Numbers that training may change.
  public var parameterCount: Int { variables.filter { $0.kind == .parameter }.reduce(0) { $0 + $1.count } }
}

extension Network {
  /// First values of all variables, and state as at the start. Each variable draws from a stream of its own.
  func initialize(seed: UInt64) {
    for (number, variable) in layers.flatMap(\.variables).enumerated() {
      switch variable.dataType {
      case .float32:
        variable.initializer.fill(
          variable.mutableFloats, count: variable.count, fanIn: variable.fanIn, fanOut: variable.fanOut, seed: seed,
          stream: UInt64(number))
      case .float64:
        if case .constant(let value) = variable.initializer {
          variable.storage.doubles.update(repeating: value, count: variable.count)
        }
      default: break
      }
      variable.didWrite()
    }
  }
}
