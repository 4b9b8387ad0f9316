// Structs of options: as many bytes as the caller's header knows, on top of the defaults.
import CMartlet
import Martlet

/// An options struct whose first field is struct_size. Every field of ABI 2 must be there; fields that a newer header
/// appended must be 0.
protocol SizedOptions {
  /// All fields zero.
  init()
  var struct_size: Int { get }
  /// Bytes that every caller's header has. What a shorter struct leaves out is 0, which such fields have as their default.
  static var leastSize: Int { get }
}

extension SizedOptions {
  static var leastSize: Int { MemoryLayout<Self>.size }
}

extension martlet_dense_options: SizedOptions {}
extension martlet_batch_norm_options: SizedOptions {}
extension martlet_normalization_options: SizedOptions {}
extension martlet_optimizer_options: SizedOptions {}
extension martlet_fit_options: SizedOptions {}
extension martlet_batch_norm_switches: SizedOptions {}
extension martlet_layer_info: SizedOptions {}
extension martlet_tensor_info: SizedOptions {}

extension martlet_batch_norm_options {
  static var leastSize: Int { MemoryLayout<Self>.offset(of: \.debiased) ?? MemoryLayout<Self>.size }
}

/// Reads what the caller gave; nil stays nil.
func options<Options: SizedOptions>(_ pointer: UnsafePointer<Options>?, _ argument: String) throws -> Options? {
  guard let pointer else { return nil }
  // Read once: what was checked is what counts, whatever the caller's memory holds by then.
  let given = UnsafeRawPointer(pointer).load(as: Int.self)
  try checkSize(given, of: Options.self, argument)
  let known = MemoryLayout<Options>.size
  for offset in known..<max(given, known) where UnsafeRawPointer(pointer).load(fromByteOffset: offset, as: UInt8.self) != 0 {
    throw MartletError(
      .unsupported,
      "\(argument): it holds an option that this library (ABI \(MARTLET_ABI_VERSION)) does not know. Use a newer library.")
  }
  var result = Options()
  withUnsafeMutableBytes(of: &result) { $0.copyMemory(from: UnsafeRawBufferPointer(start: pointer, count: min(given, known))) }
  return result
}

/// A struct that the library fills: struct_size must be set by the caller.
func checkSize<Options: SizedOptions>(_ size: Int, of _: Options.Type, _ argument: String) throws {
  let known = MemoryLayout<Options>.size
  guard size >= Options.leastSize, size <= known + 4096 else {
    throw MartletError(
      .invalidArgument,
      "\(argument): struct_size must be sizeof(\(Options.self)) = \(known); \(size) came. Start from the _INIT macro, or set struct_size."
    )
  }
}

extension Initializer {
  init(_ value: martlet_initializer, _ argument: String) throws {
    switch Int(value.kind) {
    case MARTLET_GLOROT_UNIFORM: self = .glorotUniform
    case MARTLET_GLOROT_NORMAL: self = .glorotNormal
    case MARTLET_HE_UNIFORM: self = .heUniform
    case MARTLET_HE_NORMAL: self = .heNormal
    case MARTLET_NORMAL: self = .normal(deviation: value.value)
    case MARTLET_ZEROS: self = .zeros
    case MARTLET_CONSTANT: self = .constant(value.value)
    default: throw MartletError(.invalidArgument, "\(argument): the kind must be in 0...6; \(value.kind) came.")
    }
  }
}

extension Dense {
  init(_ units: Int, _ pointer: UnsafePointer<martlet_dense_options>?) throws {
    self.init(units)
    guard let given = try options(pointer, "options") else { return }
    bias = try flag(given.bias, "options.bias")
    weightInitializer = try Initializer(given.weight_initializer, "options.weight_initializer")
    biasInitializer = try Initializer(given.bias_initializer, "options.bias_initializer")
  }
}

extension BatchNorm {
  init(_ pointer: UnsafePointer<martlet_batch_norm_options>?) throws {
    self.init()
    guard let given = try options(pointer, "options") else { return }
    epsilon = given.epsilon
    momentum = try flag(given.cumulative, "options.cumulative") ? nil : given.momentum
    scale = try flag(given.scale, "options.scale")
    shift = try flag(given.shift, "options.shift")
    biasedMovingVariance = try flag(given.biased_moving_variance, "options.biased_moving_variance")
    countsNonfiniteBatches = try flag(given.count_nonfinite_batches, "options.count_nonfinite_batches")
    normalizer = try choice(given.normalize_with, "options.normalize_with")
    updatesMoving = try flag(given.updates_moving, "options.updates_moving")
    trainsScaleShift = try flag(given.trains_scale_shift, "options.trains_scale_shift")
    debiased = try flag(given.debiased, "options.debiased")
    singleValue = try choice(given.single_value, "options.single_value")
    virtualBatchSize = given.virtual_batch_size == 0 ? nil : Int(given.virtual_batch_size)
    let correction = given.renormalization
    guard try flag(correction.enabled, "options.renormalization.enabled") else { return }
    renormalization = BatchRenormalization(
      maximumRatio: correction.r_max, maximumDistance: correction.d_max,
      ratioRamp: BatchRenormalization.Ramp(Int(correction.r_ramp_begin), Int(correction.r_ramp_end)),
      distanceRamp: BatchRenormalization.Ramp(Int(correction.d_ramp_begin), Int(correction.d_ramp_end)))
  }
}

extension OptimizerOptions {
  init(_ pointer: UnsafePointer<martlet_optimizer_options>?) throws {
    self = .sgd()
    guard let given = try options(pointer, "optimizer") else { return }
    kind = try choice(given.kind, "optimizer.kind")
    nesterov = try flag(given.nesterov, "optimizer.nesterov")
    learningRate = given.learning_rate
    momentum = given.momentum
    beta1 = given.beta1
    beta2 = given.beta2
    epsilon = given.epsilon
    weightDecay = given.weight_decay
    decaysScaleShiftBias = try flag(given.decays_scale_shift_bias, "optimizer.decays_scale_shift_bias")
  }
}
