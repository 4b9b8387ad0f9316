// Runs a plan: the arena, and what changes from run to run.
import MartletRuntime

/// One arena with a plan laid out in it. Running allocates nothing.
///
/// Not for several threads at once: each thread takes an executor of its own.
final class Executor: @unchecked Sendable {
  let plan: Plan
  let compute: Compute
  private let memory: Storage
  /// Of each buffer from the arena's start, in bytes: the plan's, but for inputs and outputs that lie elsewhere.
  private let offsets: UnsafeMutablePointer<Int>
  /// Of each input whether the plan's ``Plan/sourceSteps`` have run on the caller's array.
  private let sourcesTaken: UnsafeMutablePointer<Bool>
  /// Rows of the present batch, at most the plan's capacity.
  private(set) var rows = 0
  /// Of the present batch's dropout.
  var randomKey: UInt64 = 0
  /// Where the batch norms of a measuring plan put their inputs' statistics.
  var population: PopulationCollector?
  /// Whether backward adds to the gradients that are there.
  var accumulatesGradients = false

  /// Why the present run cannot go on.
  private(set) var failure: (any Error)?
  func fail(_ error: any Error) { failure = failure ?? error }
  func clearFailure() { failure = nil }

  init(_ plan: Plan, _ compute: Compute) throws {
    self.plan = plan
    self.compute = compute
    memory = try Storage(byteCount: plan.layout.byteCount)
    offsets = .allocate(capacity: plan.layout.offsets.count)
    for (index, offset) in plan.layout.offsets.enumerated() { (offsets + index).initialize(to: offset) }
    sourcesTaken = .allocate(capacity: max(plan.inputs.count, 1))
    sourcesTaken.initialize(repeating: false, count: max(plan.inputs.count, 1))
  }

  deinit {
    offsets.deallocate()
    sourcesTaken.deallocate()
  }

  func pointer(_ buffer: BufferID) -> UnsafeMutableRawPointer { memory.base + offsets[buffer.index] }
  func floats(_ buffer: BufferID) -> UnsafeMutablePointer<Float> { pointer(buffer).assumingMemoryBound(to: Float.self) }

  /// Has an input read where it lies, at a multiple of 4 bytes, rather than in the arena; nil: in the arena again.
  ///
  /// No two buffers of a plan are one (a layer without a step gives its input another name, not another buffer), so the
  /// whole plan follows.
  func readInput(_ index: Int, at place: UnsafeMutableRawPointer?) {
    move(plan.inputs[index], to: place)
    sourcesTaken[index] = false
  }

  /// Runs the steps that read an input in the caller's array, if that holds numbers that Float32 rounds.
  ///
  /// - Parameters:
  ///   - row: the first of the batch's rows that come from this array.
  ///   - isPart: whether other rows of the batch come from other arrays; the steps then run on all of them here, whatever their types.
  func takeSource(_ index: Int, _ source: ArrayView, _ rows: SourceRows, at row: Int, isPart: Bool) {
    sourcesTaken[index] = isPart || source.dataType.exceedsFloat32
    guard sourcesTaken[index] else { return }
    for step in plan.sourceSteps[index] { step.takeSource(self, source, rows, at: row) }
  }

  /// The steps behind an input read the copy.
  func forgetSource(_ index: Int) { sourcesTaken[index] = false }

  /// Whether the steps behind an input that read the caller's array have run.
  func hasTakenSource(_ index: Int?) -> Bool { index.map { sourcesTaken[$0] } ?? false }

  /// Has an output written where it is wanted, at a multiple of 4 bytes, rather than to the arena; nil: to the arena again.
  ///
  /// - Returns: false for an output that is an input, or an earlier output, under another name: it stays where that one is.
  func writeOutput(_ index: Int, at place: UnsafeMutableRawPointer?) -> Bool {
    guard plan.ownsOutput[index] else { return false }
    move(plan.outputs[index], to: place)
    return true
  }

  private func move(_ buffer: BufferID, to place: UnsafeMutableRawPointer?) {
    offsets[buffer.index] =
      place.map { Int(bitPattern: $0) &- Int(bitPattern: memory.base) } ?? plan.layout.offsets[buffer.index]
  }

  func inputFloats(_ index: Int) -> UnsafeMutablePointer<Float> { floats(plan.inputs[index]) }
  func outputFloats(_ index: Int) -> UnsafeMutablePointer<Float> { floats(plan.outputs[index]) }
  /// Where the gradient of an output is handed in before ``backward()``; nil if nothing wants it.
  func outputGradient(_ index: Int) -> UnsafeMutablePointer<Float>? { plan.outputGradients[index].map(floats) }
  func inputGradient(_ index: Int) -> UnsafeMutablePointer<Float>? { plan.inputGradients[index].map(floats) }

  /// Sets the batch's size and checks that every step is defined for it; nothing has changed after a throw.
  func prepare(rows: Int) throws {
    if rows > 0 { for step in plan.steps { try step.check(rows: rows) } }
    self.rows = rows
  }

  func forward() {
    guard rows > 0 else { return }
    for step in plan.steps { step.forward(self) }
    for variable in plan.movedVariables { variable.didWrite() }
  }

  func backward() {
    guard rows > 0 else {
      if !accumulatesGradients { for step in plan.backwardSteps { step.clearGradients() } }
      return
    }
    for step in plan.backwardSteps { step.backward(self) }
  }
}
