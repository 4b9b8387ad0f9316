// Structs of options of layers on images and sequences.
import CMartlet
import Martlet

extension martlet_convolution_options: SizedOptions {}
extension martlet_pooling_options: SizedOptions {}

extension Extent2D {
  init(_ pair: (Int64, Int64)) { self.init(Int(pair.0), Int(pair.1)) }
}

extension Padding {
  init(_ code: Int32, _ pads: (Int64, Int64, Int64, Int64)) throws {
    switch Int(code) {
    case MARTLET_PADDING_VALID: self = .valid
    case MARTLET_PADDING_SAME: self = .same
    case MARTLET_PADDING_EXPLICIT:
      self = .explicit(top: Int(pads.0), bottom: Int(pads.1), left: Int(pads.2), right: Int(pads.3))
    default:
      throw MartletError(
        .invalidArgument,
        "options.padding must be MARTLET_PADDING_VALID (0), MARTLET_PADDING_SAME (1) or MARTLET_PADDING_EXPLICIT (2); "
          + "\(code) came.")
    }
    guard Int(code) == MARTLET_PADDING_EXPLICIT || pads == (0, 0, 0, 0) else {
      throw MartletError(
        .invalidArgument, "options.pads count with MARTLET_PADDING_EXPLICIT alone; with another padding they must be 0.")
    }
  }
}

/// Of a sequence, the horizontal of a pair; the vertical one must be as it was.
func horizontal(_ pair: (Int64, Int64), default value: Int64, _ argument: String) throws -> Int {
  guard pair.0 == value else {
    throw MartletError(
      .invalidArgument, "\(argument)[0] is for images; of a sequence it must be \(value), its default; \(pair.0) came.")
  }
  return Int(pair.1)
}

extension ConvolutionAlgorithm {
  init(_ options: martlet_convolution_options) throws {
    guard options.reserved == 0 else {
      throw MartletError(.invalidArgument, "options.reserved must be 0; \(options.reserved) came.")
    }
    guard let algorithm = Self(rawValue: options.algorithm) else {
      throw MartletError(
        .invalidArgument,
        "options.algorithm must be MARTLET_CONVOLUTION_AUTOMATIC (0), MARTLET_CONVOLUTION_DIRECT (1) or "
          + "MARTLET_CONVOLUTION_WINOGRAD (2); \(options.algorithm) came.")
    }
    self = algorithm
  }
}

extension Conv2D {
  init(_ filters: Int, _ kernelSize: Extent2D, _ pointer: UnsafePointer<martlet_convolution_options>?) throws {
    self.init(filters, kernelSize: kernelSize)
    guard let given = try options(pointer, "options") else { return }
    strides = Extent2D(given.strides)
    padding = try Padding(given.padding, given.pads)
    dilation = Extent2D(given.dilation)
    groups = Int(given.groups)
    bias = try flag(given.bias, "options.bias")
    weightInitializer = try Initializer(given.weight_initializer, "options.weight_initializer")
    biasInitializer = try Initializer(given.bias_initializer, "options.bias_initializer")
    algorithm = try ConvolutionAlgorithm(given)
  }
}

extension Conv1D {
  init(_ filters: Int, _ kernelSize: Int, _ pointer: UnsafePointer<martlet_convolution_options>?) throws {
    self.init(filters, kernelSize: kernelSize)
    guard let given = try options(pointer, "options") else { return }
    strides = try horizontal(given.strides, default: 1, "options.strides")
    padding = try Padding(given.padding, given.pads)
    dilation = try horizontal(given.dilation, default: 1, "options.dilation")
    groups = Int(given.groups)
    bias = try flag(given.bias, "options.bias")
    weightInitializer = try Initializer(given.weight_initializer, "options.weight_initializer")
    biasInitializer = try Initializer(given.bias_initializer, "options.bias_initializer")
    guard try ConvolutionAlgorithm(given) == .automatic else {
      throw MartletError(
        .invalidArgument,
        "options.algorithm is for images; of a sequence it must be MARTLET_CONVOLUTION_AUTOMATIC (0); \(given.algorithm) came.")
    }
  }
}

/// What the poolings share.
struct PoolingOptions {
  var padding = Padding.valid
  var countIncludesPad = false
  private var given: (Int64, Int64) = (0, 0)

  init(_ pointer: UnsafePointer<martlet_pooling_options>?) throws {
    guard let options = try options(pointer, "options") else { return }
    given = options.strides
    padding = try Padding(options.padding, options.pads)
    countIncludesPad = try flag(options.count_includes_pad, "options.count_includes_pad")
  }

  /// 0 stands for the window's size.
  func strides(or size: Extent2D) -> Extent2D {
    Extent2D(given.0 == 0 ? size.height : Int(given.0), given.1 == 0 ? size.width : Int(given.1))
  }

  func sequenceStrides(or size: Int) throws -> Int {
    let stride = try horizontal(given, default: 0, "options.strides")
    return stride == 0 ? size : stride
  }
}
