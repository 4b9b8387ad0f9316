// Tensors between the order of this library and that of libraries whose images are channels first.

extension Model {
  /// Puts the values of a tensor in another order, in place: those that follow a flattened image, which is `[H, W, C]` here and
  /// `[C, H, W]` in PyTorch. Tensors that are alike in both are left as they are.
  ///
  /// - Parameters:
  ///   - values: contiguous, of the tensor's shape in the order `from`.
  ///   - from: the order of the values; nil if that is not known.
  /// - Returns: the tensor's shape in the order `to`: the same, but for a ``LayerNorm`` over whole images.
  /// - Throws: ``MartletError/Kind/invalidArgument`` for a name that is not there; where the orders differ and `from` is nil, or it
  ///   cannot be told what the other order is (with the layer's name); ``MartletError/Kind/shapeMismatch``. Nothing was written then.
  @discardableResult
  public func reorder(_ values: ArrayView, ofTensor name: String, from: FlattenOrder?, to: FlattenOrder) throws -> [Int] {
    let variable = try variable(named: name)
    if from == to { return values.shape }
    guard let tensor = try FlattenedTensors(self).tensor(variable, from: from, to: to) else { return variable.shape }
    guard values.shape == tensor.shapeBefore else {
      throw MartletError.shapeMismatch(
        "values: expected the shape \(Shape.text(tensor.shapeBefore)) of \"\(name)\"; got \(Shape.text(values.shape)).")
    }
    guard values.isContiguous else {
      throw MartletError.invalidArgument("values: expected contiguous memory; got strides \(Shape.text(values.strides)).")
    }
    let scratch = try Storage(byteCount: tensor.scratchCount * values.dataType.byteCount)
    if let memory = values.data { tensor.move(memory, scratch.base, values.dataType.byteCount) }
    return tensor.shapeAfter
  }
}

/// The tensors of a model that follow flattened images.
struct FlattenedTensors {
  private var readings: [ObjectIdentifier: (ModelLayer, FlattenedReading)] = [:]

  init(_ model: Model) {
    let found = model.network.flattenedReadings()
    for layer in model.network.layers {
      guard let reading = found[ObjectIdentifier(layer)] else { continue }
      for variable in layer.variables { readings[ObjectIdentifier(variable)] = (layer, reading) }
    }
  }

  /// How a tensor gets from one order into another; nil: it is alike in both.
  func tensor(_ variable: Variable, from: FlattenOrder?, to: FlattenOrder) throws(MartletError) -> FlattenedTensor? {
    guard from != to, let (layer, reading) = readings[ObjectIdentifier(variable)] else { return nil }
    let parts: [FlattenedReading.Part]
    var shape: [Int]?
    switch reading {
    case .alike: return nil
    case .image(let image):
      guard variable.shape == image else { return nil }
      parts = [FlattenedReading.Part(count: variable.count, image: image)]
      shape = Array(image.suffix(1) + image.dropLast())
    case .flattened(let own):
      let count = own.reduce(0) { $0 + $1.count }
      // A dense layer's bias is as long as its output, whatever it reads.
      guard variable.shape.last == count, !(layer.layer is Dense) || variable.shape.count == 2 else { return nil }
      parts = own
    case .unknown: parts = []
    }
    guard let from else {
      throw MartletError.invalidArgument(
        "flatten_order: expected the order of flattened images to be stated; got none, and layer \"\(layer.name)\" (\(layer.kind)) "
          + "\(reading.reason). State channels_first for PyTorch's tensors, which are then rearranged, or channels_last for "
          + "tensors in the order of this library and of Keras.")
    }
    guard !parts.isEmpty else {
      throw MartletError.invalidArgument(
        "flatten_order: expected an order that this model can be brought from or to; got channels_first, but layer "
          + "\"\(layer.name)\" (\(layer.kind)) \(reading.reason).")
    }
    let other = shape ?? variable.shape
    return FlattenedTensor(
      parts: parts, toLast: from == .channelsFirst, rows: variable.count / max(parts.reduce(0) { $0 + $1.count }, 1),
      shapeBefore: from == .channelsFirst ? other : variable.shape, shapeAfter: from == .channelsFirst ? variable.shape : other)
  }
}

/// The way of one tensor's values from one order into the other.
struct FlattenedTensor {
  fileprivate let parts: [FlattenedReading.Part]
  fileprivate let toLast: Bool
  fileprivate let rows: Int
  let shapeBefore: [Int]
  let shapeAfter: [Int]

  /// Elements of memory that ``move(_:_:_:)`` needs.
  var scratchCount: Int { parts.map(\.count).max() ?? 0 }

  /// Moves the values, which lie side by side, each of so many bytes.
  func move(_ memory: UnsafeMutableRawPointer, _ scratch: UnsafeMutableRawPointer, _ byteCount: Int) {
    var start = 0
    for _ in 0..<rows {
      for part in parts {
        if let image = part.image, part.count > 0 {
          let values = memory + start * byteCount
          scratch.copyMemory(from: values, byteCount: part.count * byteCount)
          let channels = image.last ?? 1
          let positions = part.count / channels
          // The matrix [height, width] transposed: [channels, positions] into [positions, channels], or back.
          let (height, width) = toLast ? (channels, positions) : (positions, channels)
          for row in 0..<height {
            for column in 0..<width {
              (values + (column * height + row) * byteCount).copyMemory(
                from: scratch + (row * width + column) * byteCount, byteCount: byteCount)
            }
          }
        }
        start += part.count
      }
    }
  }
}
