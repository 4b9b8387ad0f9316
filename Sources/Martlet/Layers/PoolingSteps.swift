// Poolings in a plan.
import MartletRuntime

/// Base of the poolings with windows.
class WindowPoolStep: PlanStep {
  /// Of the largest batch.
  private let shape: PoolingShape

  init(_ site: StepSite, _ window: Window2D) {
    let (height, width) = (window.height, window.width)
    shape = PoolingShape(
      samples: site.capacity, height: height.length, width: width.length, channels: window.channels, kernelHeight: height.size,
      kernelWidth: width.size, strideHeight: height.stride, strideWidth: width.stride, padTop: height.before,
      padBottom: height.after, padLeft: width.before, padRight: width.after)
    super.init(site)
  }

  final override var valuesPerRow: Int {
    (shape.padTop + shape.height + shape.padBottom) * (shape.padLeft + shape.width + shape.padRight) * shape.channels
  }

  final func shape(_ run: Executor) -> PoolingShape {
    var shape = shape
    shape.samples = run.rows
    return shape
  }
}

/// The gradient's places are found again from input and output.
final class MaxPoolStep: WindowPoolStep {
  override var keepsInput: Bool { true }
  override var readsBackwardInputs: Bool { true }
  override var keepsOutput: Bool { true }

  override func forward(_ run: Executor) {
    run.compute.maxPool(run.floats(inputs[0]), shape(run), into: run.floats(output))
  }

  override func backward(_ run: Executor) {
    guard let grad = gradOutput.map(run.floats), let target = gradInputs[0] else { return }
    run.compute.maxPoolGradInput(
      grad, x: run.floats(backwardInputs[0]), y: run.floats(output), shape(run), into: run.floats(target.buffer),
      accumulate: target.accumulates)
  }
}

final class AveragePoolStep: WindowPoolStep {
  private let countIncludesPad: Bool

  init(_ site: StepSite, _ window: Window2D, countIncludesPad: Bool) {
    self.countIncludesPad = countIncludesPad
    super.init(site, window)
  }

  override func forward(_ run: Executor) {
    run.compute.averagePool(
      run.floats(inputs[0]), shape(run), countIncludesPad: countIncludesPad, into: run.floats(output))
  }

  override func backward(_ run: Executor) {
    guard let grad = gradOutput.map(run.floats), let target = gradInputs[0] else { return }
    run.compute.averagePoolGradInput(
      grad, shape(run), countIncludesPad: countIncludesPad, into: run.floats(target.buffer), accumulate: target.accumulates)
  }
}

/// Images and sequences alike: `[positions, channels]` a row.
final class GlobalAveragePoolStep: PlanStep {
  private let channels: Int
  private let positions: Int

  override init(_ site: StepSite) {
    channels = site.outputLength
    positions = site.inputLength / max(channels, 1)
    super.init(site)
  }

  override var forwardWorkspaceByteCount: Int {
    site.compute.globalAveragePoolWorkspaceByteCount(samples: site.capacity, positions: positions, channels: channels)
  }

  override func forward(_ run: Executor) {
    // What needs no workspace gets none, and does not look at it.
    let workspace = forwardWorkspace.map(run.pointer) ?? UnsafeMutableRawPointer(run.floats(output))
    run.compute.globalAveragePool(
      run.floats(inputs[0]), samples: run.rows, positions: positions, channels: channels, into: run.floats(output),
      workspace: workspace)
  }

  override func backward(_ run: Executor) {
    guard let grad = gradOutput.map(run.floats), let target = gradInputs[0] else { return }
    run.compute.globalAveragePoolGradInput(
      grad, samples: run.rows, positions: positions, channels: channels, into: run.floats(target.buffer),
      accumulate: target.accumulates)
  }
}
