import MartletTestSupport
import Testing

@testable import Martlet

/// Layers on images against PyTorch.
@Suite struct ImageGoldenTests {
  private struct Case {
    let golden: GoldenFile
    let name: String

    func floats(_ record: String) throws -> [Float] { try golden.floats("\(name)/\(record)") }
    func integers(_ record: String) throws -> [Int] { try golden("\(name)/\(record)").values.map { Int($0) } }
    func tensor(_ record: String) throws -> Tensor { try Tensor(floats(record), shape: golden("\(name)/\(record)").shape) }
    func extent(_ record: String) throws -> Extent2D { try Extent2D(integers(record)[0], integers(record)[1]) }
    var pads: (top: Int, bottom: Int, left: Int, right: Int) {
      get throws {
        let pads = try integers("pads")
        return (pads[0], pads[1], pads[2], pads[3])
      }
    }
    var padding: Padding {
      get throws {
        let pads = try pads
        return .explicit(top: pads.top, bottom: pads.bottom, left: pads.left, right: pads.right)
      }
    }

    /// terms: of a sum, with magnitudes a and b in each product.
    func expect(_ got: [Float], _ record: String, terms: Int, _ a: [Float], _ b: [Float]) throws {
      let magnitude = Double(terms) * largest(a) * largest(b) + 4
      expectClose(
        got, try golden("\(name)/\(record)").values, within: Tolerance.dotProduct(terms: terms, magnitude: magnitude),
        "\(name)/\(record)")
    }
  }

  private func cases(_ file: String) throws -> [Case] {
    let golden = try GoldenFile(file)
    let names = golden.names.filter { $0.hasSuffix("/x") }.map { String($0.dropLast(2)) }
    return names.map { Case(golden: golden, name: $0) }
  }

  @Test func convolutions() throws {
    let cases = try cases("convolution")
    #expect(cases.count == 14)
    for item in cases {
      let x = try item.tensor("x")
      let grad = try item.tensor("grad_output")
      let (w, kernel) = (try item.tensor("weight"), try item.extent("kernel"))
      let hasBias = item.golden.has("\(item.name)/bias")
      let layer = Conv2D(
        w.shape[0], kernelSize: kernel, strides: try item.extent("strides"), padding: try item.padding,
        dilation: try item.extent("dilation"), groups: try item.integers("groups")[0], bias: hasBias)
      let model = try Model.sequential([layer], inputShape: Array(x.shape.dropFirst()))
      try model.variable(named: "0.weight").set(w.values)
      if hasBias { try model.variable(named: "0.bias").set(item.floats("bias")) }
      let inputs = w.shape[1] * kernel.height * kernel.width + 1
      let outputs = w.shape[0] * kernel.height * kernel.width
      let positions = grad.shape[0] * grad.shape[1] * grad.shape[2]
      try item.expect(model.predict(x).values, "y", terms: inputs, x.values, w.values)
      try item.expect(model.forward(x, training: true).values, "y", terms: inputs, x.values, w.values)
      try item.expect(model.backward(grad).values, "grad_input", terms: outputs, grad.values, w.values)
      let gradient = try model.variable(named: "0.weight").gradientValues
      try item.expect(gradient, "grad_weight", terms: positions, grad.values, x.values)
      if hasBias {
        try item.expect(
          model.variable(named: "0.bias").gradientValues, "grad_bias", terms: positions, grad.values, [1])
      }
    }
  }

  @Test func poolings() throws {
    let cases = try cases("pooling")
    #expect(cases.count == 15)
    for item in cases {
      let (size, strides, padding, pads) = (
        try item.extent("size"), try item.extent("strides"), try item.padding, try item.pads
      )
      let layers: [any Layer] = [
        MaxPool2D(size, strides: strides, padding: padding), AvgPool2D(size, strides: strides, padding: padding),
        AvgPool2D(size, strides: strides, padding: padding, countIncludesPad: true), GlobalAvgPool2D(), Upsample2D(size),
        ZeroPad2D(top: pads.top, bottom: pads.bottom, left: pads.left, right: pads.right),
      ]
      let (x, grad) = (try item.tensor("x"), try item.tensor("grad_output"))
      let model = try Model.sequential([layers[item.integers("kind")[0]]], inputShape: Array(x.shape.dropFirst()))
      let terms = size.height * size.width + 1
      try item.expect(model.predict(x).values, "y", terms: terms, x.values, [1])
      try item.expect(model.forward(x, training: true).values, "y", terms: terms, x.values, [1])
      try item.expect(model.backward(grad).values, "grad_input", terms: terms, grad.values, [1])
    }
  }
}
