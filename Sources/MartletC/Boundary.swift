// Where Swift's errors become statuses and messages. No mathematics below this folder's surface.
import CMartlet
import CMartletShims
import Martlet
import MartletRuntime

/// Runs the body of a C function in the library's floating-point environment: a thrown error becomes the thread's message and a status.
///
/// It begins only if there is memory for what Swift itself allocates on the way: lists, names, closures. An allocation of Swift's that fails
/// is served from there, for Swift could only end the process.
func boundary(_ body: () throws -> Void) -> martlet_status {
  let environment = FloatingPointEnvironment.enter()
  defer { environment.leave() }
  guard martlet_reserve_fill() != 0 else {
    Message.set("Out of memory. Free some and call again.")
    return martlet_status(MARTLET_OUT_OF_MEMORY)
  }
  do {
    try body()
    return martlet_status(MARTLET_OK)
  } catch let error as MartletError {
    Message.set(error.message)
    return error.kind.rawValue
  } catch {
    Message.set("A defect of the library: an unexpected error, \(error).")
    return martlet_status(MARTLET_INTERNAL_ERROR)
  }
}

/// The calling thread's last error message.
enum Message {
  static func set(_ text: String) {
    guard let buffer = martlet_shims_message_buffer() else { return }
    let capacity = martlet_shims_message_capacity()
    var text = text
    text.withUTF8 { bytes in
      var length = min(bytes.count, capacity - 1)
      // Not in the middle of a character.
      if length < bytes.count { while length > 0, bytes[length] & 0xC0 == 0x80 { length -= 1 } }
      for i in 0..<length { buffer[i] = CChar(bitPattern: bytes[i]) }
      buffer[length] = 0
    }
  }
}

/// The C strings that a text becomes for as long as the process or an object lives.
final class CStrings: @unchecked Sendable {
  private let pointers: [UnsafeMutablePointer<CChar>]

  init(_ texts: [String]) {
    pointers = texts.map { text in
      let bytes = text.utf8CString
      let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
      for (i, byte) in bytes.enumerated() { copy[i] = byte }
      return copy
    }
  }

  deinit { for pointer in pointers { pointer.deallocate() } }

  var count: Int { pointers.count }

  subscript(index: Int) -> UnsafePointer<CChar>? { pointers.indices.contains(index) ? UnsafePointer(pointers[index]) : nil }
}

/// Copies a text to the caller's buffer if it fits with its NUL; its length is told in any case.
func write(
  _ text: String, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ outLength: UnsafeMutablePointer<Int>?
) throws {
  let outLength = try require(outLength, "out_length")
  guard buffer != nil || capacity == 0 else {
    throw MartletError(.invalidArgument, "buffer: NULL came with a capacity of \(capacity) bytes; NULL needs capacity 0.")
  }
  let bytes = text.utf8CString
  if let buffer, capacity >= bytes.count { for (i, byte) in bytes.enumerated() { buffer[i] = byte } }
  outLength.pointee = bytes.count - 1
}

/// A pointer that may not be NULL.
func require<Pointer>(_ pointer: Pointer?, _ argument: String) throws -> Pointer {
  guard let pointer else { throw MartletError(.invalidArgument, "\(argument): NULL came where a pointer is needed.") }
  return pointer
}

/// A C string that may not be NULL.
func text(_ pointer: UnsafePointer<CChar>?, _ argument: String) throws -> String {
  var next = try require(pointer, argument)
  // A copy is what is decoded: the caller's memory may change meanwhile.
  var bytes: [UInt8] = []
  while case let byte = UInt8(bitPattern: next.pointee), byte != 0 {
    bytes.append(byte)
    next += 1
  }
  guard let text = String(validating: bytes, as: UTF8.self) else {
    throw MartletError(.invalidArgument, "\(argument): the text is not valid UTF-8.")
  }
  return text
}

/// A C boolean: 0 or 1, nothing else, so that a wrong argument order is noticed.
func flag(_ value: Int32, _ argument: String) throws -> Bool {
  guard value == 0 || value == 1 else { throw MartletError(.invalidArgument, "\(argument) must be 0 or 1; \(value) came.") }
  return value == 1
}

/// One of the numbers of an enumeration.
func choice<Choice: RawRepresentable & CaseIterable>(_ value: Int32, _ argument: String) throws -> Choice
where Choice.RawValue == Int32 {
  guard let choice = Choice(rawValue: value) else {
    let known = Choice.allCases.map { "\($0.rawValue) (\($0))" }.joined(separator: ", ")
    throw MartletError(.invalidArgument, "\(argument) must be one of \(known); \(value) came.")
  }
  return choice
}
