// Someone else's array: any strides, any element type, read in place or converted on the way in.

/// An array in the caller's memory, which must outlive the call it is passed to.
///
/// Strides count elements and may be zero or negative. Nothing is checked against the memory's real size: that is the
/// caller's word.
public struct ArrayView {
  public let data: UnsafeMutableRawPointer?
  public let dataType: DataType
  public let shape: [Int]
  /// Nil: contiguous, which most arrays are; a list of its own would cost each call a block of memory.
  private let givenStrides: [Int]?
  /// Product of the shape.
  public let count: Int

  /// - Parameters:
  ///   - strides: steps between neighbours of each axis, in elements; nil: contiguous, last axis fastest.
  ///   - argument: what error messages call the array.
  /// - Throws: ``MartletError/Kind/shapeMismatch`` for negative dimensions, an overflowing product or strides of another
  ///   rank;
  ///   ``MartletError/Kind/invalidArgument`` if there are elements but no memory.
  public init(
    _ data: UnsafeMutableRawPointer?, _ dataType: DataType, shape: [Int], strides: [Int]? = nil, argument: String = "array"
  ) throws {
    count = try Shape.elementCount(shape, argument: argument)
    guard data != nil || count == 0 else {
      throw MartletError.invalidArgument("\(argument): data is NULL, though the shape \(Shape.text(shape)) has elements.")
    }
    if let strides, strides.count != shape.count {
      throw MartletError.shapeMismatch(
        "\(argument): as many strides as dimensions are needed; \(strides.count) came for the shape \(Shape.text(shape)).")
    }
    self.data = data
    self.dataType = dataType
    self.shape = shape
    givenStrides = strides
    guard let strides, count > 0 else { return }
    guard ArrayView.reach(strides, shape) != nil else {
      throw MartletError.shapeMismatch("\(argument): the strides \(Shape.text(strides)) reach beyond all memory.")
    }
  }

  /// Steps between neighbours of each axis, in elements. Makes a list where none was given; see ``stride(_:)``.
  public var strides: [Int] { givenStrides ?? Shape.contiguousStrides(shape) }

  /// The step between neighbours of one axis, in elements. Allocates nothing.
  func stride(_ axis: Int) -> Int {
    if let givenStrides { return givenStrides[axis] }
    var step = 1
    for inner in axis + 1..<shape.count { step &*= max(shape[inner], 1) }
    return step
  }

  /// The lowest and highest element's distance from the first, in elements; nil if that cannot be counted.
  private static func reach(_ strides: [Int], _ shape: [Int]) -> (low: Int, high: Int)? {
    var (low, high) = (0, 0)
    for (stride, dimension) in zip(strides, shape) where dimension > 1 {
      let (far, overflows) = stride.multipliedReportingOverflow(by: dimension - 1)
      guard !overflows, far.magnitude <= Shape.maximumElementCount.magnitude else { return nil }
      if far < 0 { low &+= far } else { high &+= far }
      guard low > -Shape.maximumElementCount, high < Shape.maximumElementCount else { return nil }
    }
    return (low, high)
  }

  /// The addresses it covers; nil if it has no elements.
  var addresses: Range<Int>? {
    guard count > 0, let data else { return nil }
    // Contiguous: the shape's product, which was counted.
    var (low, high) = (0, count &- 1)
    if let givenStrides {
      guard let reach = ArrayView.reach(givenStrides, shape) else { return nil }
      (low, high) = reach
    }
    let base = Int(bitPattern: data)
    return (base &+ low &* dataType.byteCount)..<(base &+ (high &+ 1) &* dataType.byteCount)
  }

  /// Whether the two share memory.
  func overlaps(_ other: ArrayView) -> Bool {
    guard let mine = addresses, let others = other.addresses else { return false }
    return mine.overlaps(others)
  }

  /// The very same elements at the very same place.
  func isSameMemory(as other: ArrayView) -> Bool {
    data == other.data && dataType == other.dataType && shape == other.shape && isContiguous && other.isContiguous
  }

  /// Refuses an output that shares memory with another argument, other than as that argument's exact place where that is
  /// allowed.
  public static func checkSeparate(
    _ output: ArrayView, _ name: String, from other: ArrayView, _ otherName: String, mayBeSame: Bool = false
  ) throws {
    guard output.overlaps(other), !(mayBeSame && output.isSameMemory(as: other)) else { return }
    throw MartletError.invalidArgument(
      "\(name) shares memory with \(otherName). Give it memory of its own\(mayBeSame ? ", or exactly that of \(otherName)" : "")."
    )
  }

  /// Refuses outputs that share memory with an input or with one another, in n·log n of their number.
  static func checkSeparate(_ outputs: [ArrayView], _ name: String, from inputs: [ArrayView], _ inputName: String) throws {
    // Of few, looking at every pair is the least work.
    if outputs.count * (inputs.count + outputs.count) > 64, !overlap(outputs, inputs) { return }
    for (place, output) in outputs.enumerated() {
      for (other, input) in inputs.enumerated() {
        try checkSeparate(output, "\(name)[\(place)]", from: input, "\(inputName)[\(other)]")
      }
      for other in 0..<place {
        try checkSeparate(output, "\(name)[\(place)]", from: outputs[other], "\(name)[\(other)]")
      }
    }
  }

  /// Whether an output shares memory with an input or another output.
  private static func overlap(_ outputs: [ArrayView], _ inputs: [ArrayView]) -> Bool {
    let spans =
      (outputs.compactMap(\.addresses).map { (addresses: $0, isOutput: true) }
      + inputs.compactMap(\.addresses).map { (addresses: $0, isOutput: false) })
      .sorted { $0.addresses.lowerBound < $1.addresses.lowerBound }
    // How far all spans so far reach, and the outputs among them.
    var (end, outputEnd) = (Int.min, Int.min)
    for (addresses, isOutput) in spans {
      if addresses.lowerBound < (isOutput ? end : outputEnd) { return true }
      end = max(end, addresses.upperBound)
      if isOutput { outputEnd = max(outputEnd, addresses.upperBound) }
    }
    return false
  }

  /// Elements side by side in row-major order. Axes of one element may have any stride.
  public var isContiguous: Bool { count == 0 || hasContiguousStrides }

  private var hasContiguousStrides: Bool {
    guard let strides = givenStrides else { return true }
    var expected = 1
    for axis in shape.indices.reversed() {
      if shape[axis] != 1 && strides[axis] != expected { return false }
      expected &*= shape[axis]
    }
    return true
  }

  /// The elements of each row (all axes but the first) side by side, rows any distance apart.
  var rowsAreContiguous: Bool {
    guard let strides = givenStrides else { return true }
    var expected = 1
    for axis in shape.indices.dropFirst().reversed() {
      if shape[axis] != 1 && strides[axis] != expected { return false }
      expected &*= shape[axis]
    }
    return true
  }

  /// The Float32 values where they lie, if they lie side by side.
  var contiguousFloats: UnsafeMutablePointer<Float>? {
    guard dataType == .float32, isContiguous, let data, Int(bitPattern: data) % 4 == 0 else { return nil }
    return data.assumingMemoryBound(to: Float.self)
  }
}

extension ArrayView {
  /// Contiguous memory of the library's own.
  init(unchecked data: UnsafeMutableRawPointer, _ dataType: DataType, shape: [Int], count: Int) {
    self.data = data
    self.dataType = dataType
    self.shape = shape
    givenStrides = nil
    self.count = count
  }
}
