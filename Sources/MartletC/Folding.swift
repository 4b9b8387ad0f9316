// Header section: folding.
import CMartlet
import Martlet

extension martlet_folding_layer: SizedOptions {}

/// A certificate with its texts as C strings.
final class FoldingHandle {
  let certificate: FoldingCertificate
  let outputCount: Int
  let names: CStrings
  let kinds: CStrings
  let details: CStrings

  init(_ certificate: FoldingCertificate, outputCount: Int) {
    self.certificate = certificate
    self.outputCount = outputCount
    names = CStrings(certificate.layers.map(\.name))
    kinds = CStrings(certificate.layers.map(\.kind))
    details = CStrings(certificate.layers.map(\.detail))
  }
}

@_cdecl("martlet_model_fold") @implementation
public func martlet_model_fold(
  _ out: UnsafeMutablePointer<OpaquePointer?>!, _ out_folding: UnsafeMutablePointer<OpaquePointer?>!, _ handle: OpaquePointer!,
  _ data: UnsafePointer<martlet_array>!, _ data_count: Int32
) -> martlet_status {
  boundary {
    let model = try model(handle)
    _ = try require(out, "out")
    let isCompared = data != nil || data_count != 0
    let arrays = isCompared ? try ArrayView.list(data, data_count, of: model.inputCount, "data") : nil
    let (folded, certificate) = try model.folded(checkedOn: arrays)
    try create(out) { ModelHandle(folded) }
    if let out_folding { try create(out_folding) { FoldingHandle(certificate, outputCount: model.outputCount) } }
  }
}

@_cdecl("martlet_folding_destroy") @implementation
public func martlet_folding_destroy(_ folding: OpaquePointer!) { destroy(folding, as: FoldingHandle.self) }

@_cdecl("martlet_folding_layer_count") @implementation
public func martlet_folding_layer_count(_ folding: OpaquePointer!) -> Int32 {
  (try? object(folding, "folding", as: FoldingHandle.self)).map { Int32($0.certificate.layers.count) } ?? 0
}

@_cdecl("martlet_folding_output_count") @implementation
public func martlet_folding_output_count(_ folding: OpaquePointer!) -> Int32 {
  (try? object(folding, "folding", as: FoldingHandle.self)).map { Int32($0.outputCount) } ?? 0
}

extension martlet_folding_difference {
  fileprivate init(_ difference: FoldingCertificate.Difference?) {
    self.init()
    is_within_bound = 1
    guard let difference else { return }
    (absolute, relative, bound) = (difference.absolute, difference.relative, difference.bound)
    is_measured = 1
    is_within_bound = difference.isWithinBound ? 1 : 0
  }
}

@_cdecl("martlet_folding_layer_at") @implementation
public func martlet_folding_layer_at(
  _ folding: OpaquePointer!, _ index: Int32, _ info: UnsafeMutablePointer<martlet_folding_layer>!
) -> martlet_status {
  boundary {
    let holder = try object(folding, "folding", as: FoldingHandle.self)
    let info = try require(info, "info")
    try checkSize(info.pointee.struct_size, of: martlet_folding_layer.self, "info")
    let layers = holder.certificate.layers
    guard layers.indices.contains(Int(index)) else {
      throw MartletError(.invalidArgument, "index must be in 0..<\(layers.count); \(index) came.")
    }
    let layer = layers[Int(index)]
    var filled = martlet_folding_layer()
    filled.struct_size = info.pointee.struct_size
    filled.name = holder.names[Int(index)]
    filled.kind = holder.kinds[Int(index)]
    filled.detail = holder.details[Int(index)]
    filled.outcome = layer.outcome.rawValue
    filled.difference = martlet_folding_difference(layer.difference)
    info.pointee = filled
  }
}

@_cdecl("martlet_folding_output_at") @implementation
public func martlet_folding_output_at(
  _ folding: OpaquePointer!, _ index: Int32, _ out: UnsafeMutablePointer<martlet_folding_difference>!
) -> martlet_status {
  boundary {
    let holder = try object(folding, "folding", as: FoldingHandle.self)
    let out = try require(out, "out")
    guard (0..<holder.outputCount).contains(Int(index)) else {
      throw MartletError(.invalidArgument, "index must be in 0..<\(holder.outputCount); \(index) came.")
    }
    out.pointee = martlet_folding_difference(holder.certificate.outputs?[Int(index)])
  }
}

@_cdecl("martlet_folding_text") @implementation
public func martlet_folding_text(
  _ folding: OpaquePointer!, _ buffer: UnsafeMutablePointer<CChar>!, _ capacity: Int, _ out_length: UnsafeMutablePointer<Int>!
) -> martlet_status {
  boundary {
    let holder = try object(folding, "folding", as: FoldingHandle.self)
    try write(holder.certificate.description, buffer, capacity, out_length)
  }
}
