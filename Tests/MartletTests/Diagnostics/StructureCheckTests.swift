import MartletTestSupport
import Testing

@testable import Martlet

/// Findings that need no data: each is found where it is, and not beside.
@Suite struct StructureCheckTests {
  private func findings(_ model: Model, _ code: Finding.Code, _ options: CheckOptions = .init()) throws -> [Finding] {
    try model.check(options).filter { $0.code == code }
  }

  private func layers(_ list: [any Layer], _ code: Finding.Code, input: [Int] = [4]) throws -> [String] {
    try findings(.sequential(list, inputShape: input), code).map(\.layer)
  }

  @Test func dropoutBeforeBatchNorm() throws {
    let code = Finding.Code.dropoutBeforeBatchNorm
    #expect(try layers([Dropout(0.25), Dense(3), ReLU(), BatchNorm(), BatchNorm()], code) == ["0"])
    #expect(try layers([Dense(3), BatchNorm(), Dropout(0.25), Dense(2)], code) == [])
    #expect(try layers([Dropout(0), BatchNorm()], code) == [])
    #expect(try layers([Dropout(0.1), BatchNorm(normalizer: .moving, updatesMoving: false)], code) == [])
    // Both dropouts reach a norm of their own.
    #expect(try layers([Dropout(0.1), BatchNorm(), Dropout(0.5), Dense(2), BatchNorm()], code) == ["0", "2"])
    let found = try findings(.sequential([Dropout(0.25), BatchNorm()], inputShape: [4]), code)
    #expect(found.count == 1)
    #expect(found[0].value == 0.25 && found[0].severity == .warning)
    #expect(found[0].message.contains("\"1\" (batch_norm)") && found[0].message.contains("1.33 times"))
    #expect(!found[0].advice.isEmpty)
  }

  @Test func biasBeforeBatchNorm() throws {
    let code = Finding.Code.biasBeforeBatchNorm
    #expect(try layers([Dense(3), BatchNorm()], code) == ["0"])
    #expect(try layers([Conv2D(3, kernelSize: 1), BatchNorm(shift: false)], code, input: [2, 2, 1]) == ["0"])
    #expect(try layers([Dense(3, bias: false), BatchNorm()], code) == [])
    #expect(try layers([Dense(3), ReLU(), BatchNorm()], code) == [])
    #expect(try layers([Dense(3), BatchNorm(normalizer: .moving)], code) == [], "there it is not taken out again")
    #expect(try layers([Dense(3), BatchNorm(singleValue: .moving)], code) == [], "nor there, for a single row")
    #expect(try layers([Dense(3), BatchNorm(renormalization: BatchRenormalization())], code) == [], "nor wholly there")
    // Another reader sees the bias; an output shows it.
    var graph = Graph()
    let x = try graph.input([4])
    let dense = try graph.add(Dense(3), to: x)
    let norm = try graph.add(BatchNorm(), to: dense)
    let sum = try graph.add(Add(), to: [dense, norm])
    #expect(try findings(Model(graph, inputs: [x], outputs: [sum]), code).isEmpty)
    #expect(try findings(Model(graph, inputs: [x], outputs: [norm, dense]), code).isEmpty)
    let found = try findings(Model(graph, inputs: [x], outputs: [norm]), code)
    #expect(found.map(\.layer) == ["dense_1"])
    #expect(found[0].severity == .note && found[0].value == 3)
    #expect(found[0].message.contains("its shift takes the bias's place"))
  }

  @Test func weightDecayOnScale() throws {
    let model = try Model.sequential([Dense(3), BatchNorm(), Dense(2), BatchNorm()], inputShape: [4])
    var optimizer = OptimizerOptions.sgd(weightDecay: 0.01)
    func found() throws -> [Finding] { try findings(model, .weightDecayOnScale, .init(optimizer: optimizer)) }
    #expect(try found().isEmpty, "it spares them by default")
    #expect(try findings(model, .weightDecayOnScale).isEmpty)
    optimizer.decaysScaleShiftBias = true
    #expect(try found().map(\.layer) == ["1"])
    #expect(try found()[0].message.contains("2 batch norms (\"1\", \"3\")") && found()[0].value == 0.01)
    optimizer.weightDecay = 0
    #expect(try found().isEmpty)
    optimizer.weightDecay = 0.01
    try model.setBatchNormSwitches(layer: nil, .frozen)
    #expect(try found().isEmpty)
    optimizer.weightDecay = -1
    expectError(.invalidArgument, "weight_decay") { _ = try found() }
  }

  @Test func statisticsNeverUpdated() throws {
    let code = Finding.Code.statisticsNeverUpdated
    let model = try Model.sequential([BatchNorm(), Dense(3), BatchNorm()], inputShape: [4])
    #expect(try findings(model, code).map(\.layer) == ["0", "2"])
    // Statistics of elsewhere come without a counter.
    try model.variable(named: "0.running_mean").set([0, 0, 1, 0])
    #expect(try findings(model, code).map(\.layer) == ["2"])
    _ = try model.forward(randomTensor([5, 4], seed: 1), training: true)
    #expect(try findings(model, code).isEmpty)
  }

  @Test func oneValuePerChannel() throws {
    let code = Finding.Code.oneValuePerChannel
    let dense = try Model.sequential([Dense(3), BatchNorm()], inputShape: [4])
    let images = try Model.sequential([BatchNorm()], inputShape: [2, 1, 3])
    let x = try randomTensor([33, 4], seed: 1)
    func codes(_ model: Model, _ size: Int?, rows: Int? = nil) throws -> [String] {
      let data = try rows.map { try x.rows(0..<$0) }
      return try withExtendedLifetime(data) {
        try model.check(on: data.map { [try $0.view("data")] }, CheckOptions(batchSize: size)).filter { $0.code == code }
          .map(\.message)
      }
    }
    #expect(try codes(dense, 1).count == 1 && codes(dense, 2).isEmpty && codes(dense, nil).isEmpty)
    #expect(try codes(images, 1).isEmpty, "two values a channel in one image")
    #expect(try codes(dense, nil, rows: 1).count == 1 && codes(dense, nil, rows: 2).isEmpty)
    #expect(try codes(dense, 16, rows: 33)[0].contains("the last of 33 rows in batches of 16"))
    #expect(try codes(dense, 16, rows: 32).isEmpty && codes(dense, 40, rows: 33).isEmpty)
    #expect(try dense.check(CheckOptions(batchSize: 1))[0].severity == .error, "errors come first")
    try dense.setBatchNormSwitches(layer: nil, .frozen)
    #expect(try codes(dense, 1).isEmpty)
    expectError(.invalidArgument, "batch_size must be 1 or more; 0") { _ = try codes(dense, 0) }
  }

  @Test func statisticsMoveInFrozenLayer() throws {
    let code = Finding.Code.statisticsMoveInFrozenLayer
    let model = try Model.sequential([Dense(3), BatchNorm(), Dense(2)], inputShape: [4])
    func words(_ switches: BatchNormSwitches) throws -> [String] {
      try model.setBatchNormSwitches(layer: nil, switches)
      return try findings(model, code).map(\.message)
    }
    #expect(try words(.learning).isEmpty && words(.frozen).isEmpty)
    var switches = BatchNormSwitches(normalizer: .batch, updatesMoving: true, trainsScaleShift: false)
    #expect(try words(switches).first?.contains("does not train its scale and shift") == true)
    switches = BatchNormSwitches(normalizer: .moving, updatesMoving: true, trainsScaleShift: true)
    #expect(try words(switches).first?.contains("normalises with the moving statistics") == true)
    switches.updatesMoving = false
    #expect(try words(switches).isEmpty)
    // Nothing at all trains: then moving the statistics is what it is for.
    switches = BatchNormSwitches(normalizer: .batch, updatesMoving: true, trainsScaleShift: false)
    for name in ["0.weight", "0.bias", "2.weight", "2.bias"] { try model.setTrainable(name, false) }
    #expect(try words(switches).isEmpty)

    let plain = try Model.sequential([Dense(3), BatchNorm(scale: false, shift: false), Dense(2)], inputShape: [4])
    #expect(try findings(plain, code).isEmpty)
    for name in ["0.weight", "0.bias"] { try plain.setTrainable(name, false) }
    let found = try findings(plain, code)
    #expect(found.map(\.layer) == ["1"] && found[0].message.contains("stands behind weights that do not train"))
  }

  @Test func scaleNearZero() throws {
    let model = try Model.sequential([BatchNorm()], inputShape: [4])
    #expect(try findings(model, .scaleNearZero).isEmpty)
    try model.variable(named: "0.weight").set([1, -0.0009, 0.002, 0])
    let found = try findings(model, .scaleNearZero)
    #expect(found.count == 1 && found[0].channels == [3, 1] && found[0].value == 2 && found[0].severity == .note)
    #expect(found[0].message.contains("2 of 4 scales"))
  }

  /// Layers that a submodel's outputs do not need are not its own.
  @Test func submodels() throws {
    let model = try Model.sequential([Dense(3), ReLU(), Dropout(0.5), BatchNorm()], inputShape: [4])
    #expect(try Set(model.check().map(\.code)) == [.dropoutBeforeBatchNorm, .statisticsNeverUpdated])
    #expect(try model.submodel(outputs: ["1"]).check().isEmpty)
    #expect(Finding.text([]) == "nothing found")
    // Many findings of one kind are one, with the first few layers.
    let deep = try Model.sequential((0..<60).map { _ in BatchNorm() as any Layer }, inputShape: [4])
    let text = try Finding.text(deep.check())
    #expect(try deep.check().count >= 60 && text.count < 1000)
    #expect(text.contains("The same for 59 more layers: \"1\", \"2\", \"3\", \"4\", \"5\", and 54 more."))
    #expect(try Finding.text(model.check()).hasPrefix("warning dropout_before_batch_norm: \"2\" (dropout, rate 0.5) comes"))
  }

  @Test func numbersForPeople() {
    let texts: [(Double, String)] = [
      (0, "0"), (1, "1"), (0.5, "0.5"), (1 / 3, "0.333"), (4 / 3, "1.33"), (99.95, "100"), (1234, "1230"), (-0.01, "-0.01"),
      (0.000123, "0.000123"), (1.5e-7, "1.5e-07"), (123_456_789, "1.23e+08"), (999_600, "1e+06"), (12.34, "12.3"),
      (.infinity, "inf"),
    ]
    for (value, text) in texts { #expect(value.short == text) }
  }
}
