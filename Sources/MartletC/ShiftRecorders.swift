// Header section: internal covariate shift.
import CMartlet
import Martlet
import Synchronization

extension martlet_shift_options: SizedOptions {}
extension martlet_shift_record: SizedOptions {}

/// A recorder with its records' layers and percentiles in memory that stays.
final class ShiftRecorderHandle {
  let recorder: ShiftRecorder
  private let names: [String]
  private let texts: CStrings
  private var percentiles: [UnsafeMutablePointer<Double>] = []
  /// As of the last record; readable while another thread records.
  let count = Atomic<Int>(0)

  init(_ recorder: ShiftRecorder, layers: [String]) {
    self.recorder = recorder
    names = layers
    texts = CStrings(layers)
  }

  deinit { for memory in percentiles { memory.deallocate() } }

  func name(_ layer: String) -> UnsafePointer<CChar>? { names.firstIndex(of: layer).flatMap { texts[$0] } }

  /// Of each record; to be called after something was recorded.
  func keepPercentiles() {
    for record in recorder.records.dropFirst(percentiles.count) {
      let memory = UnsafeMutablePointer<Double>.allocate(capacity: max(record.percentiles.count, 1))
      for (place, value) in record.percentiles.enumerated() { memory[place] = value }
      percentiles.append(memory)
    }
    count.store(percentiles.count, ordering: .releasing)
  }

  func percentiles(of index: Int) -> UnsafePointer<Double>? {
    percentiles.indices.contains(index) ? UnsafePointer(percentiles[index]) : nil
  }
}

private func handle(_ recorder: OpaquePointer?) throws -> ShiftRecorderHandle { try object(recorder, "recorder") }

extension ShiftRecorder.Options {
  fileprivate init(_ pointer: UnsafePointer<martlet_shift_options>?) throws {
    self.init()
    guard let given = try options(pointer, "options") else { return }
    guard given.percentile_count >= 0, given.percentile_count <= Limits.percentileCount else {
      throw MartletError(
        .invalidArgument,
        "options.percentile_count: expected 0...\(Limits.percentileCount); got \(given.percentile_count).")
    }
    if given.percentiles != nil || given.percentile_count > 0 {
      let numbers = try require(given.percentiles, "options.percentiles")
      percentiles = (0..<Int(given.percentile_count)).map { numbers[$0] }
    }
    guard given.channel >= -1 else {
      throw MartletError(.invalidArgument, "options.channel must be 0 or more, or -1 for all; \(given.channel) came.")
    }
    channel = given.channel < 0 ? nil : Int(given.channel)
    loss = try choice(given.loss, "options.loss")
  }
}

@_cdecl("martlet_shift_recorder_create") @implementation
public func martlet_shift_recorder_create(
  _ out: UnsafeMutablePointer<OpaquePointer?>!, _ handle: OpaquePointer!, _ layer_names: UnsafePointer<UnsafePointer<CChar>?>!,
  _ layer_count: Int32, _ options: UnsafePointer<martlet_shift_options>!
) -> martlet_status {
  boundary {
    try create(out) {
      let layers = try names(layer_names, layer_count, "layer_names", limit: Limits.nodeCount)
      return ShiftRecorderHandle(
        try ShiftRecorder(model(handle), layers: layers, ShiftRecorder.Options(options)), layers: layers)
    }
  }
}

@_cdecl("martlet_shift_recorder_destroy") @implementation
public func martlet_shift_recorder_destroy(_ recorder: OpaquePointer!) { destroy(recorder, as: ShiftRecorderHandle.self) }

@_cdecl("martlet_shift_recorder_record") @implementation
public func martlet_shift_recorder_record(
  _ recorder: OpaquePointer!, _ step: Int64, _ inputs: UnsafePointer<martlet_array>!, _ input_count: Int32
) -> martlet_status {
  boundary {
    let holder = try handle(recorder)
    let inputs = try ArrayView.list(inputs, input_count, of: holder.recorder.model.inputCount, "inputs")
    try holder.recorder.exclusivity.changing {
      try holder.recorder.record(step: Int(step), inputs)
      holder.keepPercentiles()
    }
  }
}

@_cdecl("martlet_shift_recorder_before_update") @implementation
public func martlet_shift_recorder_before_update(
  _ recorder: OpaquePointer!, _ step: Int64, _ inputs: UnsafePointer<martlet_array>!, _ input_count: Int32,
  _ targets: UnsafePointer<martlet_array>!, _ target_count: Int32, _ probe: UnsafePointer<martlet_array>!, _ probe_count: Int32
) -> martlet_status {
  boundary {
    let recorder = try handle(recorder).recorder
    let model = recorder.model
    let inputs = try ArrayView.list(inputs, input_count, of: model.inputCount, "inputs")
    let targets = try ArrayView.list(targets, target_count, of: model.outputCount, "targets")
    let isBatch = probe == nil && probe_count == 0
    let probe = isBatch ? nil : try ArrayView.list(probe, probe_count, of: model.inputCount, "probe")
    try recorder.beforeUpdate(step: Int(step), inputs, targets, probe: probe)
  }
}

@_cdecl("martlet_shift_recorder_after_update") @implementation
public func martlet_shift_recorder_after_update(
  _ recorder: OpaquePointer!, _ inputs: UnsafePointer<martlet_array>!, _ input_count: Int32,
  _ targets: UnsafePointer<martlet_array>!, _ target_count: Int32
) -> martlet_status {
  boundary {
    let holder = try handle(recorder)
    let model = holder.recorder.model
    let inputs = try ArrayView.list(inputs, input_count, of: model.inputCount, "inputs")
    let targets = try ArrayView.list(targets, target_count, of: model.outputCount, "targets")
    try holder.recorder.exclusivity.changing {
      try holder.recorder.afterUpdate(inputs, targets)
      holder.keepPercentiles()
    }
  }
}

@_cdecl("martlet_shift_recorder_count") @implementation
public func martlet_shift_recorder_count(_ recorder: OpaquePointer!) -> Int64 {
  (try? handle(recorder)).map { Int64($0.count.load(ordering: .acquiring)) } ?? 0
}

@_cdecl("martlet_shift_recorder_at") @implementation
public func martlet_shift_recorder_at(
  _ recorder: OpaquePointer!, _ index: Int64, _ info: UnsafeMutablePointer<martlet_shift_record>!
) -> martlet_status {
  boundary {
    let holder = try handle(recorder)
    let info = try require(info, "info")
    try checkSize(info.pointee.struct_size, of: martlet_shift_record.self, "info")
    try holder.recorder.exclusivity.reading { try fill(info, holder, index) }
  }
}

private func fill(_ info: UnsafeMutablePointer<martlet_shift_record>, _ holder: ShiftRecorderHandle, _ index: Int64) throws {
  let records = holder.recorder.records
  guard records.indices.contains(Int(index)) else {
    throw MartletError(.invalidArgument, "index must be in 0..<\(records.count); \(index) came.")
  }
  let record = records[Int(index)]
  var filled = martlet_shift_record()
  filled.struct_size = info.pointee.struct_size
  filled.step = Int64(record.step)
  filled.layer = holder.name(record.layer)
  (filled.mean, filled.deviation) = (record.mean, record.deviation)
  filled.percentiles = holder.percentiles(of: Int(index))
  filled.percentile_count = Int64(record.percentiles.count)
  (filled.gradient_change, filled.gradient_cosine) = (record.gradientChange, record.gradientCosine)
  info.pointee = filled
}

@_cdecl("martlet_shift_recorder_csv") @implementation
public func martlet_shift_recorder_csv(
  _ recorder: OpaquePointer!, _ buffer: UnsafeMutablePointer<CChar>!, _ capacity: Int, _ out_length: UnsafeMutablePointer<Int>!
) -> martlet_status {
  boundary {
    let recorder = try handle(recorder).recorder
    try recorder.exclusivity.reading {
      let reserve = try MemoryReserve(
        entries: recorder.records.count, bytesEach: 512 * (recorder.options.percentiles.count + 8))
      defer { reserve.end() }
      try write(recorder.csv, buffer, capacity, out_length)
    }
  }
}
