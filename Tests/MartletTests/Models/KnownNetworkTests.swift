// Well-known networks: sizes, first values, refusals. The comparison with another library's is in the Python tests.
import Martlet
import Testing

@Suite("Well-known networks")
struct KnownNetworkTests {
  @Test(
    "have the published numbers of parameters",
    arguments: [
      // He et al. 2015, table 6: 0.27, 0.46, 0.85 million.
      (KnownNetwork.resnet20, [32, 32, 3], 10, 269_722), (.resnet32, [32, 32, 3], 10, 464_154),
      (.resnet56, [32, 32, 3], 10, 853_018),
      // As torchvision's.
      (.resnet18, [224, 224, 3], 1000, 11_689_512),
      // Howard et al. 2017, table 8: 4.2 million.
      (.mobilenetV1, [224, 224, 3], 1000, 4_231_976),
      // LeNet-5's 61,706, with scale and shift for each of 226 biases.
      (.lenetBN, [28, 28, 1], 10, 61_932),
      (.mlp, [28, 28], 10, 784 * 100 + 2 * 100 * 100 + 3 * 200 + 1010),
    ] as [(KnownNetwork, [Int], Int, Int)])
  func sizes(network: KnownNetwork, shape: [Int], classes: Int, count: Int) throws {
    let model = try Model.build(network, inputShape: shape, classes: classes)
    #expect(model.parameterCount == count)
    #expect(model.outputShapes == [[classes]])
  }

  @Test("Inception has 69 batch norms and ends in 7×7 images")
  func inception() throws {
    let model = try Model.build(.bnInception, inputShape: [224, 224, 3], classes: 1000)
    #expect(model.layers.count { $0.kind == BatchNorm.kind } == 69)
    #expect(try model.submodel(outputs: ["inception_5b.1x1"]).outputShapes == [[7, 7, 352]])
  }

  @Test("a projection costs a convolution and a batch norm where the shape changes")
  func projection() throws {
    let model = try Model.build(
      .resnet20, inputShape: [32, 32, 3], classes: 10, options: NetworkOptions(shortcut: .projection))
    #expect(model.parameterCount == 269_722 + 16 * 32 + 32 * 64 + 2 * (32 + 64))
  }

  @Test("the last scale of every block starts at zero on request, and no other")
  func zeroLastScale() throws {
    for network in [KnownNetwork.resnet20, .resnet18] {
      let model = try Model.build(
        network, inputShape: [32, 32, 3], classes: 10, options: NetworkOptions(width: 0.25, zeroLastScale: true))
      for variable in model.variables where variable.name.contains("bn") && variable.name.hasSuffix(".weight") {
        let values = try variable.copyValues()
        #expect(values.values.allSatisfy { $0 == (variable.name.contains(".bn2.") ? 0 : 1) }, "\(variable.name)")
      }
    }
  }

  @Test("the recipe of residual networks includes the zero scales")
  func residualRecipe() throws {
    for shortcut in NetworkOptions.Shortcut.allCases {
      func build(_ options: NetworkOptions) throws -> Model {
        try Model.build(.resnet20, inputShape: [16, 16, 3], classes: 10, options: options, seed: 2)
      }
      let recipe = try build(NetworkOptions(width: 0.25, shortcut: shortcut, residualRecipe: true))
      let zeros = try build(NetworkOptions(width: 0.25, shortcut: shortcut, zeroLastScale: true))
      #expect(recipe.variables.map(\.name) == zeros.variables.map(\.name))
      for (one, other) in zip(recipe.variables, zeros.variables) {
        #expect(try one.copyValues().values == other.copyValues().values, "\(one.name)")
      }
    }
  }

  @Test("options that mean nothing to a network are refused, with the networks that take them")
  func refusals() throws {
    let options: [(NetworkOptions, KnownNetwork, String)] = [
      (NetworkOptions(width: 2), .mlp, "width"), (NetworkOptions(dropout: 0), .resnet20, "dropout"),
      (NetworkOptions(hidden: [3]), .cnn, "hidden"), (NetworkOptions(shortcut: .projection), .vggBN, "shortcut"),
      (NetworkOptions(zeroLastScale: true), .mobilenetV1, "zero_last_scale"),
      (NetworkOptions(residualRecipe: true), .vggBN, "residual_recipe"),
      (NetworkOptions(width: .nan), .cnn, "width"), (NetworkOptions(width: 64.5), .cnn, "width"),
      (NetworkOptions(dropout: 1), .mlp, "dropout"), (NetworkOptions(dropout: .nan), .mlp, "dropout"),
    ]
    for (options, network, word) in options {
      let error = try #require(throws: MartletError.self) {
        try Model.build(network, inputShape: [32, 32, 3], classes: 10, options: options)
      }
      #expect(error.kind == .invalidArgument)
      #expect(error.message.contains(word))
    }
  }

  @Test("images that do not fit are refused, never a trap", arguments: KnownNetwork.allCases)
  func shapes(network: KnownNetwork) {
    for shape in [[0, 32, 3], [32, 32, 0], [-1, 2, 3], [Int.max, 2, 3], [1 << 40, 1 << 40, 1 << 40], [4, 4, Int.max / 8]] {
      #expect(throws: MartletError.self) { try Model.build(network, inputShape: shape, classes: 10) }
    }
    #expect(throws: MartletError.self) { try Model.build(network, inputShape: [32, 32, 3], classes: 0) }
    #expect(throws: MartletError.self) { try Model.build(network, inputShape: [32, 32, 3], classes: .max) }
  }
}
