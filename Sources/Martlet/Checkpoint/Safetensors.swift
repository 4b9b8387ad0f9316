// The safetensors format: what it is, its data types, and the bounds within which files are read and written.
import CMartletShims

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Reading and writing of safetensors files, the format in which Martlet keeps models.
///
///     8 bytes        n, the header's length, little-endian
///     n bytes        JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, …}, from `{` on;
///                    spaces may follow; an optional member "__metadata__" maps strings to strings
///     the rest       the tensors' values, little-endian, row-major, without gaps; offsets count from here
///
/// Source: the format's description in the README of github.com/huggingface/safetensors.
enum Safetensors {
  /// The name in the header that is not a tensor's.
  static let metadataKey = "__metadata__"
  /// The bytes before the header.
  static let prefixLength = 8

  /// Whether a text can be the name of a data type, known here or not: capitals, digits and underscores.
  static func isDtypeName(_ text: String) -> Bool {
    let bytes = text.utf8
    return (1...32).contains(bytes.count)
      && bytes.allSatisfy { (0x41...0x5A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F }
  }

  /// Data types by the format's names. Tensors of other types (F4, F6, the FNUZ variants of F8, and what may come) are passed over.
  enum Dtype: String, CaseIterable, Sendable {
    case f64 = "F64"
    case f32 = "F32"
    case f16 = "F16"
    case bf16 = "BF16"
    case i64 = "I64"
    case i32 = "I32"
    case i16 = "I16"
    case i8 = "I8"
    case u64 = "U64"
    case u32 = "U32"
    case u16 = "U16"
    case u8 = "U8"
    case bool = "BOOL"
    case c64 = "C64"
    case f8e5m2 = "F8_E5M2"
    case f8e4m3 = "F8_E4M3"
    case f8e8m0 = "F8_E8M0"

    /// Bytes per value.
    var size: Int {
      switch self {
      case .f64, .i64, .u64, .c64: 8
      case .f32, .i32, .u32: 4
      case .f16, .bf16, .i16, .u16: 2
      case .i8, .u8, .bool, .f8e5m2, .f8e4m3, .f8e8m0: 1
      }
    }
  }

  /// Bytes of a tensor, or nil if the shape is not one that any code can count in: a negative dimension, a rank over
  /// ``Limits/rank``, or a product past Int.
  ///
  /// The product leaves zeros out when it looks for overflow: `[0, 2⁶², 2⁶²]` holds no value, and its strides overflow all
  /// the
  /// same in whoever computes them.
  static func byteCount(shape: [Int], dtype: Dtype) -> Int? { byteCount(shape: shape, valueSize: dtype.size) }

  static func byteCount(shape: [Int], valueSize: Int) -> Int? {
    guard shape.count <= Limits.rank else { return nil }
    var bytes = valueSize
    var isEmpty = false
    for dimension in shape {
      guard dimension >= 0 else { return nil }
      if dimension == 0 {
        isEmpty = true
        continue
      }
      let (product, overflow) = bytes.multipliedReportingOverflow(by: dimension)
      guard !overflow else { return nil }
      bytes = product
    }
    return isEmpty ? 0 : bytes
  }
}

/// A named tensor: to be written, or as it stands in a file that was read.
struct SafetensorsTensor {
  var name: String
  var dtype: Safetensors.Dtype
  var shape: [Int]
  /// The values, little-endian, row-major. They may stand at any address; the copying functions below are safe for all.
  var bytes: UnsafeRawBufferPointer
  /// What keeps `bytes` alive; nil where the caller does. Whoever uses `bytes` directly keeps the tensor alive meanwhile,
  /// with
  /// `withExtendedLifetime`.
  private(set) var owner: SafetensorsFile.Data?

  init(
    name: String, dtype: Safetensors.Dtype, shape: [Int], bytes: UnsafeRawBufferPointer, owner: SafetensorsFile.Data? = nil
  ) {
    self.name = name
    self.dtype = dtype
    self.shape = shape
    self.bytes = bytes
    self.owner = owner
  }
}

/// A file that was read whole: what its header says, and the tensors' bytes.
///
/// Tensors borrow from the file and keep its bytes alive by themselves.
final class SafetensorsFile {
  let header: SafetensorsHeader
  private let data: Data

  /// The tensors of a checked header over data of the length it describes.
  init(header: SafetensorsHeader, data: Data) {
    self.header = header
    self.data = data
  }

  /// The tensors in the header's order, but for those of types that are not read.
  var tensors: [SafetensorsTensor] {
    header.entries.compactMap { entry in entry.dtype.map { tensor(entry, $0) } }
  }

  var metadata: [(key: String, value: String)] { header.metadata }

  /// The tensor of that name; nil if the file has none.
  ///
  /// - Throws: ``MartletError/Kind/unsupported`` for one of a type that is not read.
  func tensor(named name: String) throws(MartletError) -> SafetensorsTensor? {
    guard let entry = header.entry(named: name) else { return nil }
    return tensor(entry, try entry.readableDtype())
  }

  func metadata(named key: String) -> String? { header.metadata(named: key) }

  private func tensor(_ entry: SafetensorsHeader.Entry, _ dtype: Safetensors.Dtype) -> SafetensorsTensor {
    SafetensorsTensor(
      name: entry.name, dtype: dtype, shape: entry.shape,
      bytes: UnsafeRawBufferPointer(rebasing: data.bytes[entry.range]), owner: data)
  }

  /// The memory of all tensors of a file.
  final class Data {
    let bytes: UnsafeMutableRawBufferPointer

    /// - Throws: ``MartletError/Kind/outOfMemory``.
    init(count: Int, source: String) throws(MartletError) {
      guard let memory = martlet_shims_allocate(max(count, 1), Safetensors.dataAlignment) else {
        throw MartletError(.outOfMemory, "\(source): no memory for \(count) bytes of it. Free memory, or use a smaller model.")
      }
      bytes = UnsafeMutableRawBufferPointer(start: memory, count: count)
    }

    deinit { free(bytes.baseAddress) }
  }
}
