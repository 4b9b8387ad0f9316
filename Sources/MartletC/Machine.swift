// Header section: version, status, machine.
import CMartlet
import CMartletShims
import Martlet

@_cdecl("martlet_abi_version") @implementation
public func martlet_abi_version() -> Int32 { Int32(MARTLET_ABI_VERSION) }

private let versionText = CStrings([MARTLET_VERSION])

@_cdecl("martlet_version") @implementation
public func martlet_version() -> UnsafePointer<CChar>! { versionText[0] }

@_cdecl("martlet_last_error_message") @implementation
public func martlet_last_error_message() -> UnsafePointer<CChar>! {
  martlet_shims_message_buffer().map { UnsafePointer($0) } ?? unkeptMessage[0]
}

/// The message of a thread that has no memory for its own.
private let unkeptMessage = CStrings(["Out of memory."])

private let statusNames = CStrings([
  "MARTLET_OK", "MARTLET_INVALID_ARGUMENT", "MARTLET_SHAPE_MISMATCH", "MARTLET_INVALID_STATE", "MARTLET_UNSUPPORTED",
  "MARTLET_IO_ERROR", "MARTLET_CORRUPT_FILE", "MARTLET_OUT_OF_MEMORY", "MARTLET_CANCELLED", "MARTLET_INTERNAL_ERROR",
  "MARTLET_NOT_FINITE",
  "MARTLET_UNKNOWN_STATUS",
])

@_cdecl("martlet_status_name") @implementation
public func martlet_status_name(_ status: martlet_status) -> UnsafePointer<CChar>! {
  statusNames[(0..<11).contains(Int(status)) ? Int(status) : 11]
}

private let availableNames = Machine.availableInstructionSets
private let availableTexts = CStrings(availableNames)

@_cdecl("martlet_isa") @implementation
public func martlet_isa(_ out_name: UnsafeMutablePointer<UnsafePointer<CChar>?>!) -> martlet_status {
  boundary {
    let out = try require(out_name, "out_name")
    let name = try Machine.instructionSet
    out.pointee = availableTexts[availableNames.firstIndex(of: name) ?? 0]
  }
}

@_cdecl("martlet_available_isa_count") @implementation
public func martlet_available_isa_count() -> Int32 { Int32(availableNames.count) }

@_cdecl("martlet_available_isa") @implementation
public func martlet_available_isa(_ index: Int32) -> UnsafePointer<CChar>! { availableTexts[Int(index)] }

@_cdecl("martlet_set_num_threads") @implementation
public func martlet_set_num_threads(_ count: Int32) -> martlet_status {
  boundary { try Machine.setThreadCount(Int(count)) }
}

@_cdecl("martlet_num_threads") @implementation
public func martlet_num_threads() -> Int32 { Int32(Machine.threadCount) }
