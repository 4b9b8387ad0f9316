// Layers that make images larger.
import MartletRuntime

/// Zeros around each image.
///
/// Shapes: x `[rows, height, width, C]`, result `[rows, top + height + bottom, left + width + right, C]`.
public struct ZeroPad2D: Layer, Equatable {
  public static let kind = "zero_pad2d"
  /// ≥ 0 each.
  public var top: Int
  public var bottom: Int
  public var left: Int
  public var right: Int

  public init(top: Int = 0, bottom: Int = 0, left: Int = 0, right: Int = 0) {
    self.top = top
    self.bottom = bottom
    self.left = left
    self.right = right
  }

  /// As many on each side.
  public init(_ sides: Int) { self.init(top: sides, bottom: sides, left: sides, right: sides) }
}

extension ZeroPad2D: BuildableLayer {
  func outputShape(_ inputs: [[Int]]) throws -> [Int] {
    let names = WindowNames(kind: Self.kind)
    // A window of 1 stands at every place of the padded image.
    return try Window2D(
      names, on: Self.single(inputs), size: 1, strides: 1,
      padding: .explicit(top: top, bottom: bottom, left: left, right: right)
    ).pooledShape
  }
  func makeStep(_ site: StepSite) -> PlanStep? {
    (top, bottom, left, right) == (0, 0, 0, 0) ? nil : ZeroPadStep(site, self)
  }
  var configuration: [(key: String, value: JSON)] {
    [("padding", Padding.explicit(top: top, bottom: bottom, left: left, right: right).configuration)]
  }
  init(configuration reader: ConfigurationReader) throws {
    let padding = try reader.padding("padding")
    guard case .explicit(let top, let bottom, let left, let right) = padding else {
      throw MartletError.corruptFile("\(Self.kind): the padding should be [[top, bottom], [left, right]]")
    }
    self.init(top: top, bottom: bottom, left: left, right: right)
  }
}

/// Each pixel becomes a rectangle of its value: the nearest neighbour.
///
/// Shapes: x `[rows, height, width, C]`, result `[rows, height·factor, width·factor, C]`.
public struct Upsample2D: Layer, Equatable {
  public static let kind = "upsample2d"
  /// ≥ 1 each.
  public var factor: Extent2D
  public init(_ factor: Extent2D) { self.factor = factor }
}

extension Upsample2D: BuildableLayer {
  func outputShape(_ inputs: [[Int]]) throws -> [Int] {
    let image = try Window2D.image(WindowNames(kind: Self.kind), Self.single(inputs))
    var shape = [image.height, image.width, image.channels]
    for (axis, factor) in [(0, factor.height), (1, factor.width)] {
      guard factor >= 1 else { throw MartletError.invalidArgument("factor must be 1 or more; \(factor) came.") }
      let (size, overflows) = shape[axis].multipliedReportingOverflow(by: factor)
      guard !overflows else {
        throw MartletError.shapeMismatch("factor: \(factor) times the \(shape[axis]) of \(Shape.text(inputs[0])) is too large.")
      }
      shape[axis] = size
    }
    return shape
  }
  func makeStep(_ site: StepSite) -> PlanStep? { factor == 1 ? nil : UpsampleStep(site, factor) }
  var configuration: [(key: String, value: JSON)] { [("factor", factor.configuration)] }
  init(configuration reader: ConfigurationReader) throws {
    try self.init(reader.extent("factor"))
  }
}

// MARK: - Steps

final class ZeroPadStep: PlanStep {
  /// Of the largest batch.
  private let shape: PaddingShape

  init(_ site: StepSite, _ pad: ZeroPad2D) {
    let image = site.inputShapes[0]
    shape = PaddingShape(
      samples: site.capacity, height: image[0], width: image[1], channels: image[2], padTop: pad.top, padBottom: pad.bottom,
      padLeft: pad.left, padRight: pad.right)
    super.init(site)
  }

  private func shape(_ run: Executor) -> PaddingShape {
    var shape = shape
    shape.samples = run.rows
    return shape
  }

  override func forward(_ run: Executor) {
    run.compute.zeroPad(run.floats(inputs[0]), shape(run), into: run.floats(output))
  }

  override func backward(_ run: Executor) {
    guard let grad = gradOutput.map(run.floats), let target = gradInputs[0] else { return }
    run.compute.zeroPadGradInput(grad, shape(run), into: run.floats(target.buffer), accumulate: target.accumulates)
  }
}

final class UpsampleStep: PlanStep {
  private let factor: Extent2D
  private var image: [Int] { site.inputShapes[0] }

  init(_ site: StepSite, _ factor: Extent2D) {
    self.factor = factor
    super.init(site)
  }

  override func forward(_ run: Executor) {
    run.compute.upsampleNearest(
      run.floats(inputs[0]), samples: run.rows, height: image[0], width: image[1], channels: image[2],
      scaleHeight: factor.height, scaleWidth: factor.width, into: run.floats(output))
  }

  override func backward(_ run: Executor) {
    guard let grad = gradOutput.map(run.floats), let target = gradInputs[0] else { return }
    run.compute.upsampleNearestGradInput(
      grad, samples: run.rows, height: image[0], width: image[1], channels: image[2], scaleHeight: factor.height,
      scaleWidth: factor.width, into: run.floats(target.buffer), accumulate: target.accumulates)
  }
}
