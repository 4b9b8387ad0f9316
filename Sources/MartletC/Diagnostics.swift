// Header section: checking.
import CMartlet
import Martlet

extension martlet_check_options: SizedOptions {}
extension martlet_finding: SizedOptions {}

/// Findings with their texts as C strings and their channels in memory that stays.
final class FindingsHandle {
  let findings: [Finding]
  let codes: CStrings
  let layers: CStrings
  let messages: CStrings
  let advice: CStrings
  /// Of each finding, its channels.
  let channels: [UnsafeMutablePointer<Int64>?]

  init(_ findings: [Finding]) {
    self.findings = findings
    codes = CStrings(findings.map(\.code.rawValue))
    layers = CStrings(findings.map(\.layer))
    messages = CStrings(findings.map(\.message))
    advice = CStrings(findings.map(\.advice))
    channels = findings.map { finding in
      guard !finding.channels.isEmpty else { return nil }
      let memory = UnsafeMutablePointer<Int64>.allocate(capacity: finding.channels.count)
      for (place, channel) in finding.channels.enumerated() { memory[place] = Int64(channel) }
      return memory
    }
  }

  deinit { for memory in channels { memory?.deallocate() } }
}

@_cdecl("martlet_model_check") @implementation
public func martlet_model_check(
  _ out: UnsafeMutablePointer<OpaquePointer?>!, _ handle: OpaquePointer!, _ data: UnsafePointer<martlet_array>!,
  _ data_count: Int32, _ pointer: UnsafePointer<martlet_check_options>!
) -> martlet_status {
  boundary {
    let model = try model(handle)
    _ = try require(out, "out")
    let given = try options(pointer, "options")
    var wanted = CheckOptions()
    var targets: [ArrayView]?
    if let given {
      guard given.batch_size >= 0 else {
        throw MartletError(.invalidArgument, "options.batch_size must be 1 or more, or 0: unknown; \(given.batch_size) came.")
      }
      wanted.batchSize = given.batch_size == 0 ? nil : Int(given.batch_size)
      wanted.optimizer = try given.optimizer.map { try OptimizerOptions($0) }
      wanted.loss = try choice(given.loss, "options.loss")
      if given.targets != nil || given.target_count != 0 {
        targets = try ArrayView.list(given.targets, given.target_count, of: model.outputCount, "options.targets")
      }
    }
    let arrays = data == nil && data_count == 0 ? nil : try ArrayView.list(data, data_count, of: model.inputCount, "data")
    try create(out) { FindingsHandle(try model.check(on: arrays, targets: targets, wanted)) }
  }
}

@_cdecl("martlet_findings_destroy") @implementation
public func martlet_findings_destroy(_ findings: OpaquePointer!) { destroy(findings, as: FindingsHandle.self) }

@_cdecl("martlet_findings_count") @implementation
public func martlet_findings_count(_ findings: OpaquePointer!) -> Int32 {
  (try? object(findings, "findings", as: FindingsHandle.self)).map { Int32($0.findings.count) } ?? 0
}

@_cdecl("martlet_findings_at") @implementation
public func martlet_findings_at(
  _ findings: OpaquePointer!, _ index: Int32, _ info: UnsafeMutablePointer<martlet_finding>!
) -> martlet_status {
  boundary {
    let holder = try object(findings, "findings", as: FindingsHandle.self)
    let info = try require(info, "info")
    try checkSize(info.pointee.struct_size, of: martlet_finding.self, "info")
    guard holder.findings.indices.contains(Int(index)) else {
      throw MartletError(.invalidArgument, "index must be in 0..<\(holder.findings.count); \(index) came.")
    }
    let finding = holder.findings[Int(index)]
    var filled = martlet_finding()
    filled.struct_size = info.pointee.struct_size
    filled.code = holder.codes[Int(index)]
    filled.layer = holder.layers[Int(index)]
    filled.message = holder.messages[Int(index)]
    filled.advice = holder.advice[Int(index)]
    filled.channels = holder.channels[Int(index)].map { UnsafePointer($0) }
    filled.channel_count = Int64(finding.channels.count)
    filled.value = finding.value
    filled.severity = finding.severity.rawValue
    info.pointee = filled
  }
}

@_cdecl("martlet_findings_text") @implementation
public func martlet_findings_text(
  _ findings: OpaquePointer!, _ buffer: UnsafeMutablePointer<CChar>!, _ capacity: Int, _ out_length: UnsafeMutablePointer<Int>!
) -> martlet_status {
  boundary {
    let holder = try object(findings, "findings", as: FindingsHandle.self)
    try write(Finding.text(holder.findings), buffer, capacity, out_length)
  }
}
