// A window that slides over images: its size, its steps, what surrounds the image.

/// A height and a width; an integer literal means both.
public struct Extent2D: Equatable, Sendable, ExpressibleByIntegerLiteral {
  public var height: Int
  public var width: Int

  public init(_ height: Int, _ width: Int) {
    self.height = height
    self.width = width
  }

  /// As high as wide.
  public init(_ side: Int) { self.init(side, side) }
  public init(integerLiteral value: Int) { self.init(value) }
}

/// What surrounds an image before a window slides over it: zeros for a convolution, nothing that counts for a pooling.
public enum Padding: Equatable, Sendable {
  /// Nothing: windows stay inside.
  case valid
  /// As much as makes ⌈length / stride⌉ windows; an odd one more at the bottom and the right.
  case same
  case explicit(top: Int, bottom: Int, left: Int, right: Int)

  /// As much on each of the four sides.
  public static func all(_ side: Int) -> Padding { .explicit(top: side, bottom: side, left: side, right: side) }
  /// Of a one-dimensional layer.
  public static func explicit(left: Int, right: Int) -> Padding { .explicit(top: 0, bottom: 0, left: left, right: right) }
}

/// One axis of a window on inputs of one length: where windows begin, and how many there are. All numbers fit 32 bits or describe
/// arrays that do exist, so that no sum of them overflows.
struct WindowAxis: Equatable {
  let length: Int
  let size: Int
  let stride: Int
  let dilation: Int
  let before: Int
  let after: Int
  /// Windows.
  let count: Int

  /// With what is around it.
  var paddedLength: Int { before + length + after }

  /// - Parameters:
  ///   - name: what messages call it: "height".
  ///   - pads: nil for ``Padding/same``.
  init(_ name: String, length: Int, size: Int, stride: Int, dilation: Int, pads: (before: Int, after: Int)?) throws {
    try Self.check(size, 1, "\(name) of the window")
    try Self.check(stride, 1, "strides: that of the \(name)")
    try Self.check(dilation, 1, "dilation: that of the \(name)")
    guard length > 0 else { throw MartletError.shapeMismatch("\(name): images of 1 or more are needed; the \(name) is 0.") }
    let span = (size - 1) * dilation + 1
    if let pads {
      try Self.check(pads.before, 0, "padding: that before the \(name)")
      try Self.check(pads.after, 0, "padding: that after the \(name)")
      (before, after) = pads
    } else {
      let total = max(((length - 1) / stride) * stride + span - length, 0)
      (before, after) = (total / 2, total - total / 2)
    }
    let padded = length + before + after
    guard span <= padded else {
      throw MartletError.shapeMismatch(
        "\(name): the window spans \(span)\(dilation > 1 ? " (\(size) with dilation \(dilation))" : ""), the input with its padding "
          + "only \(padded) (\(before) + \(length) + \(after)). Use a smaller window, more padding, or larger images.")
    }
    self.length = length
    self.size = size
    self.dilation = dilation
    // Beyond this every stride means a single window.
    self.stride = min(stride, padded - span + 1)
    count = (padded - span) / stride + 1
  }

  private static func check(_ value: Int, _ least: Int, _ what: String) throws {
    guard value >= least, value <= Int(Int32.max) else {
      throw MartletError.invalidArgument("\(what) must be in \(least)...\(Int32.max); \(value) came.")
    }
  }
}

/// What messages call a layer and its axes.
struct WindowNames: Equatable, Sendable {
  var kind: String
  var height = "height"
  var width = "width"
  var takes = "images [height, width, channels]"

  /// Of a layer on sequences, which are images one row high.
  static func sequence(_ kind: String) -> WindowNames {
    WindowNames(kind: kind, width: "length", takes: "sequences [length, channels]")
  }
}

/// A window on images `[height, width, channels]`.
struct Window2D: Equatable {
  let height: WindowAxis
  let width: WindowAxis
  let channels: Int

  init(
    _ names: WindowNames, on image: [Int], size: Extent2D, strides: Extent2D, dilation: Extent2D = 1, padding: Padding
  ) throws {
    let (rows, columns): ((Int, Int)?, (Int, Int)?)
    switch padding {
    case .valid: (rows, columns) = ((0, 0), (0, 0))
    case .same: (rows, columns) = (nil, nil)
    case .explicit(let top, let bottom, let left, let right): (rows, columns) = ((top, bottom), (left, right))
    }
    let shape = try Window2D.image(names, image)
    channels = shape.channels
    do {
      height = try WindowAxis(
        names.height, length: shape.height, size: size.height, stride: strides.height, dilation: dilation.height, pads: rows)
      width = try WindowAxis(
        names.width, length: shape.width, size: size.width, stride: strides.width, dilation: dilation.width, pads: columns)
    } catch let error as MartletError where error.kind == .shapeMismatch {
      throw MartletError.shapeMismatch(error.message + ChannelOrderHint.forRow(image))
    }
    let padded = [height.paddedLength, width.paddedLength, channels]
    guard let count = try? Shape.elementCount(padded, argument: ""), count <= Window2D.mostPaddedValues else {
      throw MartletError.shapeMismatch(
        "padding: an image with what is around it, \(Shape.text(padded)), has more elements than memory can hold.")
    }
  }

  /// Of one image with its padding, of which kernels copy a few: what they count of them in bytes stays an Int.
  private static let mostPaddedValues = 1 << 40

  /// The parts of an image's shape.
  static func image(_ names: WindowNames, _ shape: [Int]) throws -> (height: Int, width: Int, channels: Int) {
    guard shape.count == 3 else {
      throw MartletError.shapeMismatch(
        "\(names.kind) takes \(names.takes); a row of its input has the shape \(Shape.text(shape)). Put a Reshape before it.")
    }
    guard shape[2] > 0 else {
      throw MartletError.shapeMismatch(
        "\(names.kind) needs 1 or more channels (the last axis); a row of its input has the shape \(Shape.text(shape)).")
    }
    return (shape[0], shape[1], shape[2])
  }

  /// Refuses windows that could lie in the padding alone.
  func checkEachMeetsImage(_ names: WindowNames) throws {
    for (name, axis) in [(names.height, height), (names.width, width)] where max(axis.before, axis.after) >= axis.size {
      throw MartletError.invalidArgument(
        "padding: less than the window's \(axis.size) is needed on either side of the \(name), for each window to meet the image; "
          + "\(max(axis.before, axis.after)) came.")
    }
  }
}

// MARK: - Files

extension Extent2D {
  var configuration: JSON { .array([.integer(Int64(height)), .integer(Int64(width))]) }
}

extension Padding {
  var configuration: JSON {
    func pair(_ a: Int, _ b: Int) -> JSON { .array([.integer(Int64(a)), .integer(Int64(b))]) }
    return switch self {
    case .valid: .string("valid")
    case .same: .string("same")
    case .explicit(let top, let bottom, let left, let right): .array([pair(top, bottom), pair(left, right)])
    }
  }
}

extension ConfigurationReader {
  func extent(_ key: String) throws -> Extent2D {
    let list = try ints(key)
    guard list.count == 2 else {
      throw MartletError.corruptFile("the option \"\(key)\": expected a height and a width; got \(list.count) integers.")
    }
    return Extent2D(list[0], list[1])
  }

  func padding(_ key: String) throws -> Padding {
    let json = try value(key)
    if json.isText("valid") { return .valid }
    if json.isText("same") { return .same }
    let pairs = (json.array ?? []).map { ($0.array ?? []).map(\.int) }
    guard pairs.count == 2, pairs[0].count == 2, pairs[1].count == 2, let top = pairs[0][0], let bottom = pairs[0][1],
      let left = pairs[1][0], let right = pairs[1][1]
    else {
      throw MartletError.corruptFile(
        "the option \"\(key)\": expected \"valid\", \"same\" or [[top, bottom], [left, right]]; got \(json.kindName).")
    }
    return .explicit(top: top, bottom: bottom, left: left, right: right)
  }
}
