// What a file's architecture may say: what builders refuse, files are refused for, and nothing unknown is passed over.
import MartletTestSupport
import Testing

@testable import Martlet

/// A layer of every kind with all its options, on the input that it takes.
private let samples: [(layer: any BuildableLayer, input: [Int])] = [
  (Dense(2, weightInitializer: .normal(deviation: 0.5), biasInitializer: .constant(1)), [3]),
  (
    BatchNorm(
      debiased: true, singleValue: .skip, virtualBatchSize: 2, renormalization: BatchRenormalization()
    ), [4, 3]
  ),
  (Sigmoid(), [3]), (Tanh(), [3]), (ReLU(), [3]), (Softmax(), [3]), (Dropout(), [3]), (Flatten(), [2, 3]),
  (InputNormalization(), [3]), (Reshape([3, 2]), [2, 3]), (ChannelsLast(), [2, 3]), (ChannelsFirst(), [2, 3]),
  (Conv2D(4, kernelSize: 3, padding: .all(1), groups: 2, algorithm: .direct), [5, 5, 2]),
  (Conv1D(4, kernelSize: 3, padding: .explicit(left: 1, right: 2)), [5, 2]),
  (MaxPool2D(2, padding: .same), [4, 4, 2]), (MaxPool1D(2), [4, 2]), (AvgPool2D(2), [4, 4, 2]), (AvgPool1D(2), [4, 2]),
  (GlobalAvgPool2D(), [4, 4, 2]), (GlobalAvgPool1D(), [4, 2]), (ZeroPad2D(1), [4, 4, 2]), (Upsample2D(2), [4, 4, 2]),
  (LayerNorm(), [2, 3]), (RMSNorm(), [2, 3]), (GroupNorm(3), [2, 3]), (InstanceNorm(), [2, 3]), (FilterResponseNorm(), [2, 3]),
]

private typealias Options = [(key: String, value: JSON)]

@Suite struct ArchitectureTests {
  /// The architecture of one layer with such options.
  private func architecture(_ layer: any BuildableLayer, _ input: [Int], _ options: Options) throws -> ArchitectureText {
    ArchitectureText(input: input, [(type(of: layer).kind, try JSON.object(options).text())])
  }

  @Test func everyKindIsAmongTheSamples() {
    let kinds = Set(samples.map { type(of: $0.layer).kind })
    #expect(Set(LayerKinds.names).subtracting(kinds) == ["add", "concatenate"])
  }

  @Test(arguments: samples.indices) func optionsComeBackAndNoOthersAreTaken(_ index: Int) throws {
    let (layer, input) = samples[index]
    let options = layer.configuration
    let read = try architecture(layer, input, options).described().graph.layers[0].layer
    #expect(JSON.object(read.configuration) == .object(options))

    for name in ["unknown", "", "a/b", "units\u{0}", String(repeating: "\u{301}", count: 2_000)] {
      expectError(.corruptFile, "layer \"0\"", "the unknown option") {
        try architecture(layer, input, options + [(name, true)]).described()
      }
    }
    for (place, option) in options.enumerated() {
      var changed = options
      changed.remove(at: place)
      // Options that came later may be missing and have their default.
      if !["algorithm", "debiased", "single_value", "virtual_batch_size", "renormalization"].contains(option.key) {
        expectError(.corruptFile, "expected the option \"\(option.key)\"; it is missing") {
          try architecture(layer, input, changed).described()
        }
      }
      for wrong: JSON in [["x": 1], [["x"]], [[1, 2, 3], [4]], "x", [1, 2, 3]] where option.key != "shape" {
        changed = options
        changed[place].value = wrong
        expectError(.corruptFile, option.key.hasSuffix("initializer") ? "initializer" : "\(option.key)") {
          try architecture(layer, input, changed).described()
        }
      }
    }
  }

  /// Numbers that no layer takes are refused, and those that it takes make no trap: neither in shapes nor in sizes of tensors.
  @Test(arguments: samples.indices) func numbersOutOfRange(_ index: Int) throws {
    let (layer, input) = samples[index]
    let integers = [Int.min, -1 << 62, -1 << 32, -2, -1, 0, 1 << 31, 1 << 32, 1 << 40, 1 << 61, 1 << 62, Int.max]
    let numbers = [-1e308, -1, -1e-308, 0, 1e-308, 1, 1e39, 1e308]
    for (place, option) in layer.configuration.enumerated() {
      for changed in variants(option.value, integers, numbers) {
        var options = layer.configuration
        options[place].value = changed
        let fromFile = martletError { _ = try architecture(layer, input, options).described() }
        // The same layer through a builder says the same.
        let fromBuilder = martletError {
          let made = try type(of: layer).init(configuration: .object(options))
          var graph = Graph()
          _ = try graph.add(made, to: graph.input(input), name: "0")
        }
        #expect((fromFile == nil) == (fromBuilder == nil), "\(type(of: layer).kind), \(option.key): \(changed)")
        if let integer = changed.int, !(0...1 << 60).contains(integer), option.key != "virtual_batch_size" {
          #expect(fromFile != nil, "\(type(of: layer).kind), \(option.key): \(changed)")
        }
      }
    }
  }

  /// The value with each of its numbers replaced.
  private func variants(_ value: JSON, _ integers: [Int], _ numbers: [Double]) -> [JSON] {
    switch value {
    case .integer: integers.map { .integer(Int64($0)) } + [1.0, .number(0x1p62)]
    case .number: numbers.map { .number($0) } + [.integer(-1)]
    case .array(let elements):
      elements.indices.flatMap { place in
        variants(elements[place], integers, numbers).map { changed in
          var copy = elements
          copy[place] = changed
          return .array(copy)
        }
      }
    case .object(let members):
      members.indices.flatMap { place in
        variants(members[place].value, integers, numbers).map { changed in
          var copy = members
          copy[place].value = changed
          return .object(copy)
        }
      } + [.object(members + [("unknown", 1)])]
    default: []
    }
  }

  @Test func integersAreWrittenAsIntegers() throws {
    for units in ["2.0", "2e0", "1e400", "-0", "9223372036854775808", "\"2\"", "null", "true"] {
      let options = "{\"units\":\(units),\"bias\":true,\"weight_initializer\":\"zeros\",\"bias_initializer\":\"zeros\"}"
      expectError(.corruptFile) { try ArchitectureText(input: [3], [("dense", options)]).described() }
    }
  }

  private let good = ArchitectureText(input: [3], [("relu", "{}"), ("batch_norm", BatchNorm.defaultText)])

  @Test func unknownMembersAreNamed() throws {
    try good.described()
    var text = good
    text.more = ",\"precision\":\"half\""
    expectError(.corruptFile, "the architecture", "the unknown member \"precision\"") { try text.described() }
    text = good
    text.layers[0] = "{\"name\":\"0\",\"kind\":\"relu\",\"options\":{},\"quantized\":true}"
    expectError(.corruptFile, "layer 0", "the unknown member \"quantized\"") { try text.described() }
    text = good
    text.nodes[1] = "{\"layer\":0,\"from\":[0],\"when\":1}"
    expectError(.corruptFile, "node 1", "the unknown member \"when\"") { try text.described() }
    text = good
    text.nodes[0] = "{\"input\":[3],\"name\":\"input\",\"layout\":\"channels_first\"}"
    expectError(.corruptFile, "node 0", "the unknown member \"layout\"") { try text.described() }
  }

  @Test func nodesAreEitherInputsOrLayers() throws {
    for node in [
      "{\"input\":[3],\"name\":\"a\",\"layer\":0,\"from\":[0]}", "{\"input\":[3],\"layer\":0,\"from\":[0]}", "{}", "[]", "1",
      "{\"input\":3,\"name\":\"a\"}", "{\"input\":[3.0],\"name\":\"a\"}", "{\"input\":[3],\"name\":1}", "{\"input\":[3]}",
      "{\"layer\":0}", "{\"layer\":2,\"from\":[0]}", "{\"layer\":-1,\"from\":[0]}", "{\"layer\":0,\"from\":[0.5]}",
      "{\"layer\":9223372036854775807,\"from\":[0]}",
    ] {
      var text = good
      text.nodes[1] = node
      expectError(.corruptFile, "node 1") { try text.described() }
    }
  }

  @Test func whatNothingUsesIsRefused() throws {
    var text = good
    text.layers.append("{\"name\":\"extra\",\"kind\":\"relu\",\"options\":{}}")
    expectError(.corruptFile, "layer \"extra\" stands at none") { try text.described() }
    text = good
    text.nodes.append("{\"input\":[3],\"name\":\"lost\"}")
    expectError(.corruptFile, "node 3 (\"lost\") is read by none") { try text.described() }
    text = good
    text.outputs = "[1]"
    expectError(.corruptFile, "node 2 (\"1\") is read by none") { try text.described() }
  }

  @Test func listsAreWhatTheyShouldBe() throws {
    let directory = try ScratchDirectory()
    func refuses(_ words: String, _ change: (inout ArchitectureText) -> Void) throws {
      var text = ArchitectureText(input: [3], [("relu", "{}")])
      change(&text)
      try writePlainly(text.file(), to: directory("x"))
      expectError(.corruptFile, words) { _ = try Model.load(from: directory("x")) }
    }
    for list in ["null", "{}", "\"0\"", "[\"0\"]", "[0.0]", "[[0]]", "[]", "[7]", "[-1]", "[9223372036854775807]"] {
      try refuses("inputs") { $0.inputs = list }
      try refuses("outputs") { $0.outputs = list }
    }
    try refuses("inputs") { $0.inputs = "[0,0]" }
    try refuses("is a layer, not an input") { $0.inputs = "[0,1]" }
    for list in ["null", "{}", "\"0\"", "[1]", "[null]", "[\"0.weight\",1]"] { try refuses("frozen") { $0.frozen = list } }
    try refuses("no tensor \"0.weight\"") { $0.frozen = "[\"0.weight\"]" }
    for version in ["0", "2", "1.0", "\"1\"", "null"] { try refuses("version") { $0.version = version } }
    for format in ["\"other\"", "null", "1"] { try refuses("format") { $0.format = format } }
    let whole = good.text
    for member in ["format", "version", "layers", "nodes", "inputs", "outputs", "frozen"] {
      let without = whole.replacing("\"\(member)\":", with: "\"x\(member)\":")
      expectError(.corruptFile, "expected the member \"\(member)\"; it is missing") {
        _ = try ArchitectureDescription(JSON.parse(without, source: "test"))
      }
    }
  }
}

extension BatchNorm {
  fileprivate static var defaultText: String { (try? JSON.object(BatchNorm().configuration).text()) ?? "" }
}
