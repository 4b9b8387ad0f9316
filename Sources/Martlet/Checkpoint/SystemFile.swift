// Open files by descriptor: whole reads and writes, and the system's own words when it refuses.

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// The error for a system call that failed, with the system's text for `code`.
func systemError(_ what: String, path: String, code: Int32, advice: String) -> MartletError {
  var text = [CChar](repeating: 0, count: 256)
  let words: String
  if strerror_r(code, &text, text.count) == 0 {
    words = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  } else {
    words = "error"
  }
  return .inputOutput("\(excerpt(path, limit: 400)): \(what): \(words) (errno \(code)). \(advice)")
}

/// Refuses a path that the system would read differently from how it was meant.
func checkPath(_ path: String) throws(MartletError) {
  guard !path.isEmpty else { throw .invalidArgument("The path is empty; name a file.") }
  // C ends a string at the first zero byte: the call would go to another file.
  guard !path.utf8.contains(0) else { throw .invalidArgument("The path \(excerpt(path)) has a zero byte in it; remove it.") }
}

/// Calls again as long as a signal interrupts the call; -1 leaves `errno` as it was set.
func retryingInterrupts<Result: FixedWidthInteger>(_ call: () -> Result) -> Result {
  while true {
    let result = call()
    if result != -1 || errno != EINTR { return result }
  }
}

/// An open file of this process, closed when the value goes.
struct SystemFile: ~Copyable {
  let descriptor: Int32
  /// The path as the caller knows it, for messages.
  let path: String

  deinit { close(descriptor) }

  /// The most bytes for one call: macOS refuses more than Int32.max.
  private static let largestTransfer = 1 << 30

  /// Writes all of `bytes`.
  func writeFully(_ bytes: UnsafeRawBufferPointer) throws(MartletError) {
    guard let start = bytes.baseAddress else { return }
    var done = 0
    while done < bytes.count {
      let written = retryingInterrupts { write(descriptor, start + done, min(bytes.count - done, Self.largestTransfer)) }
      // Zero for a request of at least one byte is no progress; a loop would not end.
      guard written > 0 else {
        throw systemError(
          "cannot write", path: path, code: written == 0 ? EIO : errno,
          advice: "Make room on the disk or choose another place; the file there before is unchanged.")
      }
      done += written
    }
  }

  func writeFully(_ bytes: [UInt8]) throws(MartletError) {
    let result = bytes.withUnsafeBytes { buffer in Result { () throws(MartletError) in try writeFully(buffer) } }
    try result.get()
  }

  /// Fills `bytes` from a place in the file.
  func readFully(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws(MartletError) {
    guard let start = bytes.baseAddress else { return }
    var done = 0
    while done < bytes.count {
      let count = retryingInterrupts {
        pread(descriptor, start + done, min(bytes.count - done, Self.largestTransfer), off_t(offset + done))
      }
      guard count >= 0 else {
        throw systemError("cannot read", path: path, code: errno, advice: "Check the disk, or fetch the file again.")
      }
      guard count > 0 else {
        throw .corruptFile("\(excerpt(path, limit: 400)): the file became shorter while it was read. Read it when it is whole.")
      }
      done += count
    }
  }

  /// Waits until the file's contents are on the disk.
  func synchronize() throws(MartletError) {
    #if canImport(Darwin)
      // fsync leaves the data in the drive's own cache there. Not every file system knows the stronger call.
      if retryingInterrupts({ fcntl(descriptor, F_FULLFSYNC) }) != -1 { return }
    #endif
    guard retryingInterrupts({ fsync(descriptor) }) == -1 else { return }
    throw systemError("cannot bring the data to the disk", path: path, code: errno, advice: "Check the disk and save again.")
  }
}

/// A regular file open for reading, and its length.
struct InputFile: ~Copyable {
  private let file: SystemFile
  let length: Int

  /// - Throws: ``MartletError/Kind/inputOutput`` if the file cannot be opened, or is a directory, pipe or device.
  init(_ path: String) throws(MartletError) {
    try checkPath(path)
    // Without O_NONBLOCK the call would wait at a pipe until someone writes to it.
    let descriptor = retryingInterrupts { open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) }
    guard descriptor != -1 else {
      throw systemError(
        "cannot open the file", path: path, code: errno, advice: "Check the path and your permission to read it.")
    }
    let file = SystemFile(descriptor: descriptor, path: path)
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw systemError("cannot examine the file", path: path, code: errno, advice: "Check the disk.")
    }
    let kind = status.st_mode & S_IFMT
    guard kind == S_IFREG else {
      throw .inputOutput(
        "\(excerpt(path, limit: 400)): expected a regular file, found \(fileKindName(kind)). Name the model file itself.")
    }
    length = Int(status.st_size)
    self.file = file
  }

  func readFully(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws(MartletError) {
    try file.readFully(into: bytes, at: offset)
  }
}

/// The kind of file in words for an error message.
func fileKindName(_ kind: mode_t) -> String {
  switch kind {
  case S_IFDIR: "a directory"
  case S_IFIFO: "a pipe"
  case S_IFSOCK: "a socket"
  case S_IFCHR, S_IFBLK: "a device"
  default: "something else"
  }
}
