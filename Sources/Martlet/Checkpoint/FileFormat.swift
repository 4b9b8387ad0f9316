// Other formats in which people keep networks: recognised by their first bytes or by a path's ending, with the way out.

/// A format that is not safetensors.
struct FileFormat {
  /// With an article: "an HDF5 file (Keras .h5)".
  let name: String
  /// What to do with such a file instead.
  let remedy: String

  /// Bytes from a file's start that tell the formats apart.
  static let prefixLength = 64

  private static let stateDictRemedy =
    "Read it with the library that wrote it, and hand the arrays to the model by name (load_state_dict in Python, "
    + "martlet_model_set_tensors in C), or save them as safetensors."
  private static let fetchRemedy = "Fetch the file itself."

  private static let zip = FileFormat(
    name: "a zip archive (torch.save's .pt or .pth, Keras' .keras, NumPy's .npz)", remedy: stateDictRemedy)
  private static let pickle = FileFormat(name: "a Python pickle (torch.save's old format)", remedy: stateDictRemedy)
  private static let hdf5 = FileFormat(name: "an HDF5 file (Keras' .h5)", remedy: stateDictRemedy)
  private static let numpy = FileFormat(name: "a NumPy array (.npy)", remedy: stateDictRemedy)
  private static let gguf = FileFormat(name: "a GGUF file", remedy: stateDictRemedy)
  private static let tflite = FileFormat(name: "a TensorFlow Lite model", remedy: stateDictRemedy)
  private static let onnx = FileFormat(name: "an ONNX model", remedy: stateDictRemedy)
  private static let gzip = FileFormat(name: "a gzip archive", remedy: "Decompress it first (gunzip).")
  private static let json = FileFormat(
    name: "a JSON text, such as the index of weights in several files (shards)",
    remedy: "Load the safetensors files that it names one after the other, with strict off.")
  private static let lfs = FileFormat(
    name: "a Git LFS pointer, which stands for a file that was not fetched", remedy: "Fetch the file itself (git lfs pull).")
  private static let page = FileFormat(
    name: "a web page", remedy: "The download gave a page in place of the file. " + fetchRemedy)

  private static let signatures: [(bytes: [UInt8], offset: Int, format: FileFormat)] = [
    (Array("PK\u{3}\u{4}".utf8), 0, zip), (Array("PK\u{5}\u{6}".utf8), 0, zip),
    ([0x89] + Array("HDF\r\n\u{1A}\n".utf8), 0, hdf5), ([0x93] + Array("NUMPY".utf8), 0, numpy),
    ([0x1F, 0x8B], 0, gzip), (Array("GGUF".utf8), 0, gguf), (Array("TFL3".utf8), 4, tflite),
    ([0x80, 2], 0, pickle), ([0x80, 3], 0, pickle), ([0x80, 4], 0, pickle), ([0x80, 5], 0, pickle),
    (Array("version https://git-lfs".utf8), 0, lfs),
    (Array("<!DOCTYPE".utf8), 0, page), (Array("<!doctype".utf8), 0, page), (Array("<html".utf8), 0, page),
    (Array("<HTML".utf8), 0, page),
  ]

  /// The format that a file's first bytes are of; nil if it is none of those known. To be asked about bytes that no safetensors file
  /// begins with: as its length they are too large.
  static func of(_ prefix: UnsafeRawBufferPointer) -> FileFormat? {
    for signature in signatures
    where prefix.count >= signature.offset + signature.bytes.count
      && signature.bytes.indices.allSatisfy({ prefix[signature.offset + $0] == signature.bytes[$0] })
    {
      return signature.format
    }
    // ONNX: field 1 (the version, one byte), then field 2, the producer's name.
    if prefix.count >= 4, prefix[0] == 0x08, prefix[1] < 0x80, prefix[2] == 0x12, prefix[3] < 64 { return onnx }
    let text = prefix.drop { $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }
    guard let first = text.first, first == UInt8(ascii: "{") || first == UInt8(ascii: "[") else { return nil }
    return json
  }

  private static let endings: [(ending: String, format: FileFormat)] = [
    (".h5", hdf5), (".hdf5", hdf5), (".keras", zip), (".npz", zip), (".npy", numpy), (".pt", zip), (".pth", zip),
    (".pkl", pickle),
    (".pickle", pickle), (".onnx", onnx), (".gguf", gguf), (".tflite", tflite),
  ]

  /// Refuses to write a safetensors file under a name that readers take for another format's.
  static func checkEnding(of path: String) throws(MartletError) {
    let bytes = path.utf8
    for (ending, format) in endings where bytes.count >= ending.utf8.count {
      let last = bytes.suffix(ending.utf8.count).map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
      guard last.elementsEqual(ending.utf8) else { continue }
      throw .invalidArgument(
        "path: expected a name for a safetensors file, the one format that models are saved in; got \(excerpt(path, limit: 400)), whose "
          + "ending is that of \(format.name). Give it the ending .safetensors, or none.")
    }
  }
}
