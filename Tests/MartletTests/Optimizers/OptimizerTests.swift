import MartletTestSupport
import Testing

@testable import Martlet

/// Update rules against loops in Float64, through the model: which parameters move, and which decay.
@Suite struct OptimizerTests {
  static let options: [OptimizerOptions] = [
    .sgd(learningRate: 0.1), .sgd(learningRate: 0.1, momentum: 0.9), .sgd(learningRate: 0.05, momentum: 0.8, nesterov: true),
    .sgd(learningRate: 0.1, momentum: 0.5, weightDecay: 0.2), .adam(learningRate: 0.02),
    .adam(learningRate: 0.02, beta1: 0.5, beta2: 0.9, epsilon: 1e-3, weightDecay: 0.3),
    .adamW(learningRate: 0.02, weightDecay: 0.4),
  ]

  /// One parameter by the rule, in Float64.
  private struct Rule {
    let options: OptimizerOptions
    var decay: Double
    var p: [Double]
    var first: [Double]
    var second: [Double]
    var t = 0.0

    init(_ options: OptimizerOptions, decay: Double, _ p: [Float]) {
      self.options = options
      self.decay = decay
      self.p = p.map(Double.init)
      first = self.p.map { _ in 0 }
      second = first
    }

    mutating func step(_ gradient: [Double]) {
      t += 1
      let rate = options.learningRate
      var (power1, power2) = (1.0, 1.0)
      for _ in 0..<Int(t) { (power1, power2) = (power1 * options.beta1, power2 * options.beta2) }
      for i in p.indices {
        var g = gradient[i]
        switch options.kind {
        case .sgd:
          g += decay * p[i]
          first[i] = options.momentum * first[i] + g
          p[i] -= rate * (options.nesterov ? g + options.momentum * first[i] : first[i])
        case .adam, .adamW:
          if options.kind == .adam { g += decay * p[i] } else { p[i] -= rate * decay * p[i] }
          first[i] = options.beta1 * first[i] + (1 - options.beta1) * g
          second[i] = options.beta2 * second[i] + (1 - options.beta2) * g * g
          p[i] -= rate * (first[i] / (1 - power1)) / ((second[i] / (1 - power2)).squareRoot() + options.epsilon)
        }
      }
    }
  }

  @Test(arguments: options.indices, [false, true]) func rules(_ index: Int, _ decaysEverything: Bool) throws {
    var options = Self.options[index]
    options.decaysScaleShiftBias = decaysEverything
    let model = try Model.sequential([Dense(5), BatchNorm(), Dense(2)], inputShape: [3], seed: 3)
    randomiseAffine(model, seed: 4)
    try model.setTrainable("2.bias", false)
    let optimizer = try Optimizer(model, options)
    let parameters = model.variables.filter { $0.kind == .parameter }
    // By default, decay is for the weights alone; without a decay the flag says nothing.
    var rules = parameters.map { variable in
      let decays = decaysEverything || variable.name == "0.weight" || variable.name == "2.weight"
      return Rule(options, decay: decays ? options.weightDecay : 0, variable.values)
    }
    let frozen = try model.values("2.bias")
    var random = TestRandom(seed: 5)
    for step in 1...10 {
      for (place, variable) in parameters.enumerated() {
        let g = random.array(variable.count)
        variable.gradient?.update(from: g, count: g.count)
        rules[place].step(g.map(Double.init))
      }
      try optimizer.step()
      #expect(optimizer.stepCount == step)
    }
    for (place, variable) in parameters.enumerated() where variable.isTrainable {
      // Ten steps of at most ten roundings each, of terms below 2 in size.
      expectClose(variable.values, rules[place].p, within: Tolerance.steps(100) * 2, variable.name)
    }
    #expect(try model.values("2.bias") == frozen)
  }

  @Test func learningRate() throws {
    let model = try Model.sequential([Dense(1, bias: false)], inputShape: [1])
    let optimizer = try Optimizer(model, .sgd(learningRate: 0.25))
    let weight = try model.variable(named: "0.weight")
    weight.set([1])
    weight.gradient?.pointee = 1
    try optimizer.step()
    #expect(weight.values == [0.75])
    try optimizer.setLearningRate(0.5)
    #expect(optimizer.learningRate == 0.5)
    try optimizer.step()
    #expect(weight.values == [0.25])
    expectError(.invalidArgument, "learning_rate", "-1") { try optimizer.setLearningRate(-1) }
    #expect(optimizer.learningRate == 0.5)
    try optimizer.setLearningRate(0)
    try optimizer.step()
    #expect(weight.values == [0.25])
  }

  @Test func optionErrors() throws {
    let model = try Model.sequential([Dense(1)], inputShape: [1])
    func expect(_ name: String, _ options: OptimizerOptions) {
      expectError(.invalidArgument, name) { _ = try Optimizer(model, options) }
    }
    for rate in [-0.1, .nan, .infinity] { expect("learning_rate", .sgd(learningRate: rate)) }
    for momentum in [-0.1, 1, .nan] { expect("momentum", .sgd(momentum: momentum)) }
    for decay in [-0.1, .nan, .infinity] { expect("weight_decay", .adamW(weightDecay: decay)) }
    for beta in [-0.1, 1, .nan] {
      expect("beta1", .adam(beta1: beta))
      expect("beta2", .adam(beta2: beta))
    }
    for epsilon in [0, -1, .nan] { expect("epsilon", .adam(epsilon: epsilon)) }
    expect("nesterov needs SGD with a momentum above 0", .sgd(nesterov: true))
  }

  static let goldens = ["sgd", "sgd_momentum", "sgd_nesterov_decay", "sgd_decay_everywhere", "adam", "adam_decay", "adamw"]

  /// Ten steps of training a small network, against PyTorch in Float64.
  @Test(arguments: goldens) func trainingGoldens(_ name: String) throws {
    let golden = try GoldenFile("optimizers")
    func number(_ field: String) throws -> Double { try golden.number("\(name)/\(field)") }
    var options = OptimizerOptions(
      try #require(OptimizerOptions.Kind(rawValue: Int32(number("kind")))), learningRate: try number("learning_rate"))
    options.momentum = try number("momentum")
    options.nesterov = try number("nesterov") != 0
    options.beta1 = try number("beta1")
    options.beta2 = try number("beta2")
    options.epsilon = try number("epsilon")
    options.weightDecay = try number("weight_decay")
    options.decaysScaleShiftBias = try number("decays_scale_shift_bias") != 0
    var graph = Graph()
    let input = try graph.input([5])
    var last = try graph.add(Dense(7, bias: false), to: input, name: "dense1")
    last = try graph.add(BatchNorm(), to: last, name: "norm1")
    last = try graph.add(Tanh(), to: last, name: "tanh1")
    last = try graph.add(Dense(3), to: last, name: "dense2")
    let model = try Model(graph, inputs: [input], outputs: [last])
    for weight in ["dense1.weight", "dense2.weight"] {
      try model.variable(named: weight).set(golden.floats("start/\(weight)"))
    }
    let trainer = try Trainer(model, loss: .crossEntropy, optimizer: options)
    let x = try Tensor(golden.floats("x"), shape: [8, 5])
    let labels = try golden("labels").values.map { Int32($0) }
    for want in try golden("\(name)/losses").values {
      #expect(abs(try trainer.step(x, labels: labels).loss - want) <= Tolerance.afterTraining)
    }
    for variable in model.variables where variable.localName != "num_batches_skipped" {
      let want = try golden("\(name)/end/\(variable.name)").values
      if variable.dataType == .int64 {
        #expect([Double(variable.integer)] == want)
      } else {
        expectClose(variable.values, want, within: Tolerance.afterTraining, variable.name)
      }
    }
  }
}
