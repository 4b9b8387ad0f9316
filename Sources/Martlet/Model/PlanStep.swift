// One step of a plan: a kernel call forward, and its counterpart backward.
import MartletRuntime

/// Where a step stands: what it reads and how large it may be.
struct StepSite {
  /// The layer and its variables.
  let layer: ModelLayer
  /// The node's name: the layer's, with a number where it stands in several places.
  let name: String
  /// Nil where inference packs the weights in every run.
  let packed: PackedCopies?
  /// A batch norm folded into this step's tail (inference).
  var norm: ModelLayer?
  /// An activation applied in the same pass.
  var activation: Activation = .identity
  /// The last input is added before the activation.
  var hasResidual = false
  /// Shapes of one row.
  var inputShapes: [[Int]]
  var outputShape: [Int]
  /// The most rows a batch will have.
  let capacity: Int
  let isTraining: Bool
  /// Batch norms normalise as in training, tell ``Executor/population`` what they find and move nothing; all else is inference.
  var isMeasuring = false
  var inferenceWeights = InferenceWeights.float32
  /// In training as one shard of a larger batch.
  var allReduce: AllReduce?
  let compute: Compute

  var inputLength: Int { inputShapes[0].reduce(1, *) }
  var outputLength: Int { outputShape.reduce(1, *) }
}

/// Where a step puts the gradient of one of its inputs.
struct GradientTarget {
  let buffer: BufferID
  /// Another step has already written there: add.
  let accumulates: Bool
}

/// Base of all steps. A step is made once per plan; what changes from run to run lies in the ``Executor``.
class PlanStep {
  /// Layer names and kinds, joined by + where several became one: "0 dense + 1 batch_norm + 2 relu".
  var title = ""
  var inputs: [BufferID] = []
  /// Where the backward pass finds the inputs: `inputs`, or what ``Recomputation`` made of them again.
  var backwardInputs: [BufferID] = []
  var output = BufferID(index: 0)
  var context: BufferID?
  var kept: BufferID?
  /// Where it leaves the moments of its output for the batch norms behind it, and where a batch norm finds those of its input.
  var moments: BufferID?
  var inputMoments: BufferID?
  var forwardWorkspace: BufferID?
  var backwardWorkspace: BufferID?
  /// Nil if nothing before this step, nor the step itself, wants a gradient.
  var gradOutput: BufferID?
  var gradInputs: [GradientTarget?] = []
  /// An earlier step of the backward pass wrote the gradients of the same variables (a shared layer).
  var addsToGradients = false

  let site: StepSite
  init(_ site: StepSite) { self.site = site }

  /// What it does beyond its layers' names, for people.
  var notes: [String] { [] }
  /// Values of one row that it counts with at once: of its largest input or output, with what is added around it.
  var valuesPerRow: Int { max(site.inputShapes.map { $0.reduce(1, *) }.max() ?? 0, site.outputLength) }
  /// What must survive from the forward to the backward pass.
  var keepsInput: Bool { false }
  var keepsOutput: Bool { false }
  /// Whether backward reads its inputs from `backwardInputs`, so that they need not lie where forward found them.
  var readsBackwardInputs: Bool { false }
  /// Whether ``recompute(_:from:into:)`` can make the output again from the inputs and the context alone.
  var recomputesOutput: Bool { false }
  /// Whether backward reads an input.
  func keepsInput(_ index: Int) -> Bool { keepsInput }
  /// Inputs whose gradient is that of the output (the activation's derivative applied in place): one of them may take over its buffer.
  var gradientHeirs: Range<Int> { 0..<0 }
  /// The channels whose moments it can gather as it writes its output; nil: it cannot.
  var momentChannels: Int? { nil }
  /// 0 where the largest batch's are not gathered.
  var momentsByteCount: Int { 0 }
  var contextByteCount: Int { 0 }
  /// What is kept from run to run, zeros before the first.
  var keptByteCount: Int { 0 }
  var forwardWorkspaceByteCount: Int { 0 }
  var backwardWorkspaceByteCount: Int { 0 }

  /// What is added before the activation.
  func residual(_ run: Executor) -> UnsafePointer<Float>? {
    site.hasResidual ? inputs.last.map { UnsafePointer(run.floats($0)) } : nil
  }

  /// Whether it can run as its input is loaded, on the caller's array of a type that Float32 would round.
  var takesSources: Bool { false }
  /// Of a step that takes sources: the place of the model's input that it reads; nil where it reads another value.
  var inputPlace: Int?
  /// Runs on rows of the caller's array, which become the batch's rows from `row` on. Those of a type that Float32 holds have been
  /// copied to the input already.
  func takeSource(_ run: Executor, _ source: ArrayView, _ rows: SourceRows, at row: Int) {}

  /// Whether this step changes trainable variables.
  var hasTrainableVariables: Bool { site.layer.variables.contains { $0.isTrainable } }

  /// Whether it tells other shards of the batch something, which an empty shard does as well.
  var exchanges: Bool { false }

  /// Refuses a batch that the step is not defined for; nothing has run yet.
  func check(rows: Int) throws {}

  func forward(_ run: Executor) {}
  func backward(_ run: Executor) {}
  /// The output again, with the bits that forward gave it; moves nothing else.
  func recompute(_ run: Executor, from inputs: [BufferID], into output: BufferID) {}

  /// The gradients of a batch without values.
  func clearGradients() {
    for variable in site.layer.variables where variable.isTrainable {
      variable.gradient?.update(repeating: 0, count: variable.count)
    }
  }
}
