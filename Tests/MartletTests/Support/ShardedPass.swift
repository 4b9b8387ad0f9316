// Forward and backward over shards of a batch, held against the whole batch.
import MartletTestSupport
import Synchronization
import Testing

@testable import Martlet

enum ShardedPass {
  /// What the threads found; each writes its own place.
  private final class Found: @unchecked Sendable {
    var outputs: [[Float]]
    var gradients: [[Float]]
    var errors: [(any Error)?]
    init(_ count: Int) {
      outputs = Array(repeating: [], count: count)
      gradients = outputs
      errors = Array(repeating: nil, count: count)
    }
  }
  private struct Shards: @unchecked Sendable {
    var models: [Model]
    var inputs: [[Tensor]]
    var grads: [Tensor]
    let found: Found
  }

  /// Forward and backward of the whole batch and of its shards agree; returns the sizes of the exchanges and the shards' models.
  @discardableResult
  static func compare(
    _ make: () throws -> Model, _ inputs: [Tensor], grad: Tensor, _ cut: [Range<Int>], tolerance: Double
  ) throws -> (counts: [Int], shards: [Model]) {
    let whole = try make()
    let (y, dx) = try pass(whole, inputs, grad)
    let communicator = ShardCommunicator(shards: cut.count)
    let found = Found(cut.count)
    let shards = Shards(
      models: try cut.map { _ in try make() }, inputs: try cut.map { rows in try inputs.map { try $0.rows(rows) } },
      grads: try cut.map { try grad.rows($0) }, found: found)
    for (shard, model) in shards.models.enumerated() {
      try model.setAllReduce { try communicator.allReduce($0, shard: shard) }
    }
    let lock = Mutex(())
    Threads.run(cut.count) { shard in
      do {
        let (y, dx) = try pass(shards.models[shard], shards.inputs[shard], shards.grads[shard])
        lock.withLock { _ in (shards.found.outputs[shard], shards.found.gradients[shard]) = (y, dx) }
      } catch {
        communicator.leave()
        lock.withLock { _ in shards.found.errors[shard] = error }
      }
    }
    for error in found.errors { #expect(error == nil) }
    expectClose(found.outputs.flatMap { $0 }, y.map(Double.init), within: tolerance, "y")
    expectClose(found.gradients.flatMap { $0 }, dx.map(Double.init), within: tolerance, "dx")
    for (number, variable) in whole.variables.enumerated() {
      let own = shards.models.map { $0.variables[number] }
      if variable.kind == .state {
        for one in own {
          #expect(one.values.bits == own[0].values.bits, "\(variable.name)")
          expectClose(one.values, variable.values.map(Double.init), within: tolerance, variable.name)
        }
      } else {
        var sum = [Double](repeating: 0, count: variable.count)
        for one in own { for (i, value) in one.gradientValues.enumerated() { sum[i] += Double(value) } }
        expectClose(variable.gradientValues, sum, within: tolerance, variable.name)
      }
    }
    return (communicator.counts, shards.models)
  }

  private static func pass(_ model: Model, _ inputs: [Tensor], _ grad: Tensor) throws -> (y: [Float], dx: [Float]) {
    try withExtendedLifetime((inputs, grad)) {
      try model.forward(inputs.map { try $0.view() }, training: true)
      let y = try Tensor(copying: model.output(0)).values
      try model.backward([grad.view()])
      return (y, try Tensor(copying: model.inputGradient(0)).values)
    }
  }
}
