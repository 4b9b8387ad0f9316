import MartletRuntime
import MartletTestSupport
import Testing

/// A residual added in a tail: the bits of the steps one by one, tail, sum, activation.
@Suite struct ResidualTailTests {
  private func separately(_ compute: Compute, _ y: GuardedBuffer, _ residual: GuardedBuffer, _ activation: Activation)
    -> [Float]
  {
    compute.binary(
      .add, y.pointer, residual.pointer, rows: 1, columns: y.count, broadcast: .none, swapped: false, into: y.pointer)
    compute.activate(activation, y.pointer, count: y.count, into: y.pointer)
    return y.values
  }

  @Test(arguments: [
    ConvolutionTests.shape(2, (9, 8), (16, 33)), ConvolutionTests.shape(3, (7, 7), (32, 64)),
    ConvolutionTests.shape(2, (8, 8), (20, 40), groups: 2), ConvolutionTests.shape(2, (9, 9), (10, 10), groups: 10),
    ConvolutionTests.shape(3, (6, 5), (24, 37), kernel: (1, 1), pads: (0, 0, 0, 0)),
    ConvolutionTests.shape(1, (1, 1), (24, 37), kernel: (1, 1), pads: (0, 0, 0, 0)),
    ConvolutionTests.shape(40, (8, 8), (16, 16), stride: (2, 2)),
  ]) func convolutions(_ shape: ConvolutionShape) {
    for (name, computes) in EveryCompute.ofAllThreads {
      for algorithm in ConvolutionAlgorithm.allCases {
        for activation in Activation.allCases {
          let test = ConvolutionCase(shape: shape, tail: true, algorithm: algorithm)
          let o = test.makeOperands(seed: 31)
          let residual = GuardedBuffer(o.gradOutput)
          let wanted = separately(computes[0], GuardedBuffer(test.forward(computes[0], o)), residual, activation)
          for compute in computes {
            let got = forward(compute, test, o, residual, activation)
            #expect(got.bits == wanted.bits, "\(name) \(test.testDescription) \(algorithm) \(activation)")
          }
        }
      }
    }
  }

  private func forward(
    _ compute: Compute, _ test: ConvolutionCase, _ o: ConvolutionCase.Operands, _ residual: GuardedBuffer,
    _ activation: Activation
  ) -> [Float] {
    let (shape, algorithm) = (test.shape, test.algorithm)
    let packed = GuardedBuffer(compute.convolutionPackedByteCount(shape, algorithm: algorithm) / 4)
    let (weights, x) = (GuardedBuffer(o.weights), GuardedBuffer(o.x))
    compute.packConvolution(weights.pointer, shape, algorithm: algorithm, into: packed.pointer)
    let y = GuardedBuffer([Float](repeating: .nan, count: shape.outputCount))
    let (bias, multiplier, offset) = (GuardedBuffer(o.bias), GuardedBuffer(o.multiplier), GuardedBuffer(o.offset))
    let workspace = GuardedBuffer((compute.convolutionWorkspaceByteCount(shape, algorithm: algorithm) + 3) / 4)
    return withExtendedLifetime((weights, x, bias, multiplier, offset)) {
      compute.convolve(
        x.pointer, packed: packed.pointer, shape, algorithm: algorithm,
        tail: MatrixTail(
          bias: bias.pointer, multiplier: multiplier.pointer, offset: offset.pointer, activation: activation,
          residual: residual.pointer), into: y.pointer, workspace: workspace.pointer)
      return y.values
    }
  }

  /// Dense, packed or not, of one row and of many; without a multiplier too.
  @Test(arguments: [(1, 37, 20), (5, 100, 300), (300, 129, 17)]) func products(rows: Int, columns: Int, depth: Int) {
    var random = TestRandom(seed: 32)
    let (a, b) = (GuardedBuffer(random.array(rows * depth)), GuardedBuffer(random.array(depth * columns)))
    let (bias, residual) = (GuardedBuffer(random.array(columns)), GuardedBuffer(random.array(rows * columns)))
    for (name, compute) in EveryCompute.ofOneThread {
      let view = MatrixView(b.pointer, rowStride: columns, columnStride: 1)
      let panels = GuardedBuffer(compute.packedByteCount(columns: columns, depth: depth) / 4)
      compute.pack(view, columns: columns, depth: depth, into: panels.pointer)
      let workspace = GuardedBuffer(
        max(
          compute.packedMultiplyWorkspaceByteCount(rows: rows, columns: columns, depth: depth),
          compute.multiplyWorkspaceByteCount(rows: rows, columns: columns, depth: depth)) / 4)
      func product(_ tail: MatrixTail, packed: Bool) -> GuardedBuffer {
        let y = GuardedBuffer(rows * columns)
        let input = MatrixView(a.pointer, rowStride: depth, columnStride: 1)
        if packed {
          compute.multiply(
            rows: rows, input, PackedMatrix(panels: panels.pointer, columns: columns, depth: depth), into: y.pointer,
            rowStride: columns, tail: tail, workspace: workspace.pointer)
        } else {
          compute.multiply(
            rows: rows, columns: columns, depth: depth, input, view, into: y.pointer, rowStride: columns, tail: tail,
            workspace: workspace.pointer)
        }
        return y
      }
      for packed in [false, true] {
        for activation in Activation.allCases {
          for hasBias in [false, true] {
            let start = hasBias ? UnsafePointer(bias.pointer) : nil
            let wanted = separately(compute, product(MatrixTail(bias: start), packed: packed), residual, activation)
            let got = product(
              MatrixTail(bias: start, activation: activation, residual: residual.pointer), packed: packed)
            #expect(got.values.bits == wanted.bits, "\(name) \(rows)×\(columns) packed \(packed) \(activation)")
          }
        }
      }
    }
    withExtendedLifetime((a, b, bias, residual)) {}
  }

  /// Batch norm's map, in every layout, streaming or not, in place or not.
  @Test func channelMaps() {
    var random = TestRandom(seed: 33)
    for shape in [
      ChannelShape(outer: 70, channels: 5), ChannelShape(outer: 3, channels: 16), ChannelShape(outer: 301, channels: 64),
      ChannelShape(outer: 200, channels: 300), ChannelShape(outer: 4, channels: 3, inner: 50),
      ChannelShape(outer: 2000, channels: 16),
      ChannelShape(outer: 6, channels: 3, inner: 4),
    ] {
      let count = shape.channels * shape.valuesPerChannel
      let x = random.array(count)
      let residual = GuardedBuffer(random.array(count))
      let mean = (0..<shape.channels).map { Double($0) / 100 }
      let variance = (0..<shape.channels).map { 1 + Double($0) / 10 }
      for (name, computes) in EveryCompute.ofAllThreads + EveryCompute.ofTinyCache {
        for compute in computes {
          for activation in Activation.allCases {
            let map = compute.map(mean: mean, variance: variance, epsilon: 1e-5)
            let y = GuardedBuffer(x)
            compute.applyChannelMap(map.map, y.pointer, shape, activation: .identity, into: y.pointer)
            let wanted = separately(compute, y, residual, activation)
            let (input, apart, inPlace) = (GuardedBuffer(x), GuardedBuffer(count), GuardedBuffer(x))
            for (from, to) in [(input, apart), (inPlace, inPlace)] {
              compute.applyChannelMap(
                map.map, from.pointer, shape, residual: residual.pointer, activation: activation, into: to.pointer)
              #expect(to.values.bits == wanted.bits, "\(name) \(shape) \(activation)")
            }
            withExtendedLifetime((map, input)) {}
          }
        }
      }
    }
  }
}
