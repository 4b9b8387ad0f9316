// Internal covariate shift, recorded: where layers' inputs lie over training, and how updates before them turn their gradients.
import MartletRuntime

/// Records, as a model trains, how the inputs of layers are distributed, and how updates before them turn their gradients.
///
/// Mean, deviation and percentiles are over all values of a layer's inputs (or those of one channel) on a batch in training:
/// the layers before normalise with the batch's own statistics. Source: Ioffe & Szegedy 2015, figure 1.
///
/// The change of the gradient is that of Santurkar et al. 2018, definition 2.1, on the batch of an update:
///
///     G  = the loss's gradient by the layer's parameters,     all parameters as before the update
///     G′ = the same,  the layers it depends on as updated,     all others as before
///     gradientChange = ‖G − G′‖₂
///
/// Everything is computed on copies: training goes on as without it, to the bit. Dropout in a copy drops the same elements
/// each time.
///
/// Cost: a record is a copy of the model and a pass; gradients are a copy and two passes, and as much again for each layer.
public final class ShiftRecorder {
  /// What was recorded of one layer at one time.
  public struct Record: Sendable {
    /// As the caller counts them.
    public let step: Int
    public let layer: String
    /// Of the layer's inputs.
    public let mean: Double
    /// Their standard deviation, divided by n.
    public let deviation: Double
    /// One for each of ``Options/percentiles``, between two values in proportion; NaN if an input is.
    public let percentiles: [Double]
    /// ‖G − G′‖₂ of the update that followed; NaN where it was not measured, or the layer has no parameters that train.
    public internal(set) var gradientChange = Double.nan
    /// The cosine between G and G′; NaN as above, and where one of them is 0.
    public internal(set) var gradientCosine = Double.nan
  }

  public struct Options: Sendable {
    /// In 0…100.
    public var percentiles: [Double] = [15, 50, 85]
    /// One channel (of the last axis) of the inputs; nil: all values.
    public var channel: Int?
    /// What the model is trained for.
    public var loss = Loss.crossEntropy
    public init() {}
  }

  /// A layer that is recorded.
  private struct Place {
    let name: String
    /// The node whose value it reads.
    let source: Int
    /// Its own parameters, and those of the layers it depends on: their places among the network's variables.
    let own: [Int]
    let preceding: [Int]
  }

  /// What was found before an update whose end is waited for.
  private struct Pending {
    let before: Model
    let records: [Record]
    let gradients: [Name: Storage]
  }

  public let model: Model
  public let options: Options
  public private(set) var records: [Record] = []
  package let exclusivity = Exclusivity("recorder")
  private let places: [Place]
  private var pending: Pending?

  /// - Parameter layers: by name; each of one input and in one place.
  /// - Throws: ``MartletError/Kind/invalidArgument`` for a layer that is not, or options out of range.
  public init(_ model: Model, layers: [String], _ options: Options = Options()) throws {
    guard !layers.isEmpty else { throw MartletError.invalidArgument("layers must name at least one layer; none came.") }
    for number in options.percentiles where !(number >= 0 && number <= 100) {
      throw MartletError.invalidArgument("percentiles must be in 0...100; \(number) came.")
    }
    var seen: Set<Double> = []
    for number in options.percentiles where !seen.insert(number).inserted {
      throw MartletError.invalidArgument(
        "percentiles: expected different numbers; got \(number) twice. Name each percentile once: each is a column.")
    }
    self.model = model
    self.options = options
    let network = model.network
    let variablePlaces = Dictionary(uniqueKeysWithValues: model.variables.enumerated().map { (ObjectIdentifier($1), $0) })
    func parameters(_ layers: [ModelLayer]) -> [Int] {
      layers.flatMap(\.variables).filter { $0.kind == .parameter }.compactMap { variablePlaces[ObjectIdentifier($0)] }
    }
    let order = network.nodesReaching(model.outputNodes)
    places = try layers.map { name in
      let layer = try model.layer(named: name)
      let nodes = order.filter { network.nodes[$0].layer === layer }
      guard nodes.count == 1 else {
        throw MartletError.invalidArgument("layers: \(excerpt(name)) stands in \(nodes.count) places; one place is needed.")
      }
      let sources = network.nodes[nodes[0]].inputs
      guard sources.count == 1 else {
        throw MartletError.invalidArgument(
          "layers: \(excerpt(name)) reads \(sources.count) values; one that reads one is needed.")
      }
      if let channel = options.channel {
        let channels = network.nodes[sources[0]].shape.last ?? 1
        guard (0..<channels).contains(channel) else {
          throw MartletError.invalidArgument("channel: \(channel) is not one of the \(channels) that \(excerpt(name)) reads.")
        }
      }
      let before = network.layers(of: network.nodesReaching(sources))
      return Place(name: name, source: sources[0], own: parameters([layer]), preceding: parameters(before))
    }
  }

  /// Records the distributions as they are now, on a batch of inputs.
  ///
  /// - Throws: as a forward pass in training; nothing is recorded then.
  public func record(step: Int, _ inputs: [ArrayView]) throws {
    try exclusivity.changing { records += try distributions(model.cloneWithWholeNetwork(), step: step, inputs) }
  }

  /// To be called before an update from this batch: finds the distributions, on the probe or on the batch itself, and the
  /// gradients.
  ///
  /// ``afterUpdate(_:_:)`` records them. Without it they are forgotten at the next call.
  ///
  /// - Parameter step: updates done so far, or as the caller counts.
  public func beforeUpdate(step: Int, _ inputs: [ArrayView], _ targets: [ArrayView], probe: [ArrayView]? = nil) throws {
    try exclusivity.changing { try measureBefore(step: step, inputs, targets, probe: probe) }
  }

  private func measureBefore(step: Int, _ inputs: [ArrayView], _ targets: [ArrayView], probe: [ArrayView]?) throws {
    pending = nil
    let before = try model.cloneWithWholeNetwork()
    let gradients = try gradients(before.cloneWithWholeNetwork(), inputs, targets, of: places)
    let found = try distributions(before.cloneWithWholeNetwork(), step: step, probe ?? inputs)
    pending = Pending(before: before, records: found, gradients: gradients)
  }

  /// To be called after the update, with the same batch.
  ///
  /// - Throws: ``MartletError/Kind/invalidState`` without a ``beforeUpdate(step:_:_:probe:)``.
  public func afterUpdate(_ inputs: [ArrayView], _ targets: [ArrayView]) throws {
    try exclusivity.changing { try measureAfter(inputs, targets) }
  }

  private func measureAfter(_ inputs: [ArrayView], _ targets: [ArrayView]) throws {
    guard let pending else { throw MartletError.invalidState("after_update needs a before_update first.") }
    var found = pending.records
    for (number, place) in places.enumerated() {
      guard let old = pending.gradients[Name(place.name)] else { continue }
      let mixed = try pending.before.cloneWithWholeNetwork()
      for index in place.preceding { mixed.variables[index].copyValues(from: model.variables[index]) }
      guard let new = try gradients(mixed, inputs, targets, of: [place])[Name(place.name)] else { continue }
      var (distance, product, oldSize, newSize) = (0.0, 0.0, 0.0, 0.0)
      for i in 0..<old.byteCount / MemoryLayout<Double>.size {
        let (g, h) = (old.doubles[i], new.doubles[i])
        distance += (g - h) * (g - h)
        product += g * h
        oldSize += g * g
        newSize += h * h
      }
      found[number].gradientChange = distance.squareRoot()
      let sizes = oldSize.squareRoot() * newSize.squareRoot()
      found[number].gradientCosine = sizes > 0 ? product / sizes : .nan
    }
    records += found
    self.pending = nil
  }

  /// One step of a trainer of this model, recorded.
  @discardableResult
  public func step(
    _ trainer: Trainer, step: Int, _ inputs: [ArrayView], _ targets: [ArrayView], probe: [ArrayView]? = nil
  ) throws -> TrainingResult {
    try beforeUpdate(step: step, inputs, targets, probe: probe)
    let result = try trainer.step(inputs, targets)
    try afterUpdate(inputs, targets)
    return result
  }

  /// One step on the data of one input, one class a row, recorded.
  @discardableResult
  public func step(_ trainer: Trainer, step: Int, _ x: Tensor, labels: [Int32]) throws -> TrainingResult {
    try MartletError.naming(["inputs[0]": "x", "targets[0]": "labels"]) {
      try withExtendedLifetime(x) {
        try labels.withUnsafeBufferPointer { buffer in
          let memory = UnsafeMutableRawPointer(mutating: buffer.baseAddress)
          let view = try ArrayView(memory, .int32, shape: [buffer.count], argument: "labels")
          return try self.step(trainer, step: step, [x.view("x")], [view])
        }
      }
    }
  }

  /// The records as a table with a heading: step,layer,mean,deviation,p15,…,gradient_change,gradient_cosine. NaN is empty.
  public var csv: String {
    let heads = options.percentiles.map { number in
      // All digits: 99.95 and 99.96 are two columns. "15", not "15.0".
      let text = "\(number)"
      return "p" + (text.hasSuffix(".0") ? String(text.dropLast(2)) : text)
    }
    let columns = ["step", "layer", "mean", "deviation"] + heads + ["gradient_change", "gradient_cosine"]
    var lines = [columns.joined(separator: ",")]
    for record in records {
      let numbers = [record.mean, record.deviation] + record.percentiles + [record.gradientChange, record.gradientCosine]
      let isPlain = !record.layer.contains { $0 == "," || $0 == "\"" || $0.isNewline }
      let quoted = "\"" + record.layer.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
      let cells = ["\(record.step)", isPlain ? record.layer : quoted] + numbers.map { $0.isNaN ? "" : "\($0)" }
      lines.append(cells.joined(separator: ","))
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

// MARK: - Measuring

extension ShiftRecorder {
  /// - Parameter copy: is run.
  private func distributions(_ copy: Model, step: Int, _ inputs: [ArrayView]) throws -> [Record] {
    let seen = Model(copy.network, inputs: copy.inputNodes, outputs: places.map(\.source), seed: copy.handSeed)
    try seen.forward(inputs, training: true)
    return try places.enumerated().map { number, place in
      let view = try seen.output(number)
      var values = try Tensor(copying: view)
      var count = values.count
      if let channel = options.channel {
        let channels = max(view.shape.last ?? 1, 1)
        count /= channels
        try values.withMutableFloats { values in for i in 0..<count { values[i] = values[i * channels + channel] } }
      }
      return try values.withMutableFloats { values in
        record(of: UnsafeMutableBufferPointer(rebasing: values[..<count]), step: step, place.name)
      }
    }
  }

  /// - Parameter values: are sorted in place.
  private func record(of values: UnsafeMutableBufferPointer<Float>, step: Int, _ name: String) -> Record {
    let n = Double(values.count)
    let mean = values.reduce(0.0) { $0 + Double($1) } / n
    let squares = values.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) }
    let hasOrder = !values.isEmpty && !values.contains(where: \.isNaN)
    if hasOrder { sortInPlace(values) }
    let percentiles = options.percentiles.map { number -> Double in
      guard hasOrder else { return .nan }
      let position = number / 100 * Double(values.count - 1)
      let below = min(Int(position), values.count - 1)
      let share = position - Double(below)
      let low = Double(values[below])
      // At a share of 0 the next value has no part in it, though it may be infinite.
      return share == 0 ? low : low + (Double(values[min(below + 1, values.count - 1)]) - low) * share
    }
    return Record(step: step, layer: name, mean: mean, deviation: (squares / n).squareRoot(), percentiles: percentiles)
  }

  /// The gradients of the layers that have parameters that train, each as one row of numbers.
  ///
  /// - Parameter copy: is run.
  private func gradients(
    _ copy: Model, _ inputs: [ArrayView], _ targets: [ArrayView], of places: [Place]
  ) throws -> [Name: Storage] {
    try Trainer.checkOutputs(copy, options.loss)
    let run = Trainer.lossModel(copy, options.loss)
    guard targets.count == run.outputCount else {
      throw MartletError.shapeMismatch(
        "targets: one for each of the model's \(run.outputCount) outputs is needed; \(targets.count) came.")
    }
    try run.forward(inputs, training: true)
    let gradients = try targets.enumerated().map { place, target in
      let output = try run.output(place)
      let gradient = try Tensor(shape: output.shape)
      try withExtendedLifetime(gradient) {
        _ = try options.loss.evaluate(
          output, target, gradient: gradient.view("gradient"), argument: "targets", place: place)
      }
      return gradient
    }
    try withExtendedLifetime(gradients) { try run.backward(gradients.map { try $0.view("gradient") }) }
    var found: [Name: Storage] = [:]
    for place in places {
      let own = place.own.map { copy.variables[$0] }.filter(\.isTrainable)
      guard !own.isEmpty else { continue }
      let row = try Storage(byteCount: own.reduce(0) { $0 + $1.count } * MemoryLayout<Double>.size, isZeroed: false)
      var next = row.doubles
      for variable in own {
        for i in 0..<variable.count { next[i] = Double(variable.gradient?[i] ?? 0) }
        next += variable.count
      }
      found[Name(place.name)] = row
    }
    return found
  }
}

/// Heapsort: no memory beside the values, unlike the standard library's stable sort, which takes half as much again.
private func sortInPlace(_ values: UnsafeMutableBufferPointer<Float>) {
  /// Lets the value at `root` sink below larger children, among the first `count` values.
  func sink(_ start: Int, _ count: Int) {
    var root = start
    while 2 * root + 1 < count {
      var child = 2 * root + 1
      if child + 1 < count, values[child] < values[child + 1] { child += 1 }
      guard values[root] < values[child] else { return }
      values.swapAt(root, child)
      root = child
    }
  }
  for root in stride(from: values.count / 2 - 1, through: 0, by: -1) { sink(root, values.count) }
  for end in stride(from: values.count - 1, to: 0, by: -1) {
    values.swapAt(0, end)
    sink(0, end)
  }
}
