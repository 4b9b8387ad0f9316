import Testing

@testable import Martlet

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

@Suite struct AtomicFileTests {
  private let old: [UInt8] = [1, 2, 3]
  private let new: [UInt8] = [4, 5]

  private func replace(_ path: String, with bytes: [UInt8]) throws {
    try AtomicFile.replace(path) { (file) throws(MartletError) in try file.writeFully(bytes) }
  }

  private func permissions(_ path: String) throws -> mode_t {
    var status = stat()
    try #require(stat(path, &status) == 0)
    return status.st_mode & 0o777
  }

  @Test func createsAndReplaces() throws {
    let scratch = try ScratchDirectory()
    try replace(scratch("file"), with: old)
    #expect(try contents(scratch("file")) == old)
    #expect(try permissions(scratch("file")) & ~0o644 == 0)
    try replace(scratch("file"), with: new)
    #expect(try contents(scratch("file")) == new)
    #expect(scratch.names == ["file"])
  }

  @Test func keepsThePermissions() throws {
    let scratch = try ScratchDirectory()
    try writePlainly(old, to: scratch("file"))
    for mode: mode_t in [0o600, 0o664, 0o755] {
      try #require(chmod(scratch("file"), mode) == 0)
      try replace(scratch("file"), with: new)
      #expect(try permissions(scratch("file")) == mode)
    }
  }

  @Test func writesThroughALink() throws {
    let scratch = try ScratchDirectory()
    let elsewhere = try ScratchDirectory()
    try writePlainly(old, to: elsewhere("real"))
    try #require(symlink(elsewhere("real"), scratch("link")) == 0)
    try replace(scratch("link"), with: new)
    #expect(try contents(elsewhere("real")) == new)
    var status = stat()
    #expect(lstat(scratch("link"), &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
    #expect(scratch.names == ["link"] && elsewhere.names == ["real"])
  }

  @Test func aFailureLeavesTheOldFile() throws {
    let scratch = try ScratchDirectory()
    try writePlainly(old, to: scratch("file"))
    let error = martletError {
      try AtomicFile.replace(scratch("file")) { (file) throws(MartletError) in
        try file.writeFully(new)
        throw .inputOutput("the disk is full")
      }
    }
    #expect(error == .inputOutput("the disk is full"))
    #expect(try contents(scratch("file")) == old)
    #expect(scratch.names == ["file"])
  }

  @Test func aBadTensorLeavesTheOldFile() throws {
    let scratch = try ScratchDirectory()
    try writePlainly(old, to: scratch("file"))
    let error = martletError {
      try withTensor("a", .f32, [5], [Float(1)]) { try Safetensors.write([$0], metadata: [], to: scratch("file")) }
    }
    #expect(error?.kind == .invalidArgument)
    #expect(try contents(scratch("file")) == old)
    #expect(scratch.names == ["file"])
  }

  /// Of savers that were killed; those of living savers, and whatever else lies there, stay.
  @Test func abandonedFilesGo() throws {
    let scratch = try ScratchDirectory()
    let kept = [".martlet-1f.txt", ".martlet-.tmp", ".martlet-xyz.tmp", ".martlet-0123456789abcdef0.tmp", "other.tmp"]
    for name in kept + [".martlet-1f.tmp", ".martlet-0123456789abcdef.tmp"] { try writePlainly(old, to: scratch(name)) }
    try #require(symlink(scratch("other.tmp"), scratch(".martlet-2.tmp")) == 0)
    try #require(mkfifo(scratch(".martlet-3.tmp"), 0o644) == 0)
    try AtomicFile.replace(scratch("file")) { (file) throws(MartletError) in
      // Another save into the directory, in the middle of this one.
      do { try replace(scratch("second"), with: old) } catch { throw .inputOutput("\(error)") }
      try file.writeFully(new)
    }
    #expect(try contents(scratch("file")) == new)
    #expect(try contents(scratch("second")) == old)
    #expect(scratch.names == (kept + [".martlet-2.tmp", ".martlet-3.tmp", "file", "second"]).sorted())
  }

  @Test(.enabled(if: access("/dev/full", W_OK) == 0, "the system has no /dev/full")) func aFullDiskIsSaid() {
    let error = martletError {
      let file = SystemFile(descriptor: open("/dev/full", O_WRONLY), path: "model")
      try file.writeFully(new)
    }
    #expect(error?.kind == .inputOutput)
    #expect(error?.message.contains("No space left on device (errno \(ENOSPC))") == true)
  }

  @Test func refusesPlacesThatAreNoFiles() throws {
    let scratch = try ScratchDirectory()
    try writePlainly(old, to: scratch("file"))
    try #require(mkdir(scratch("directory"), 0o755) == 0)
    try #require(mkfifo(scratch("pipe"), 0o644) == 0)
    try #require(symlink(scratch("nothing"), scratch("dangling")) == 0)
    try #require(symlink(scratch("loop"), scratch("loop")) == 0)
    let before = scratch.names
    for place in ["directory", "pipe", "dangling", "loop", "file/below", "none/file", "new/", "directory/"] {
      let error = martletError { try replace(scratch(place), with: new) }
      #expect(error?.kind == .inputOutput, "\(place)")
      #expect(error?.message.contains(place) == true, "\(error?.message ?? place)")
    }
    #expect(martletError { try replace("/dev/null", with: new) }?.message.contains("a device") == true)
    #expect(martletError { try replace("", with: new) }?.kind == .invalidArgument)
    #expect(martletError { try replace(scratch("a\0b"), with: new) }?.kind == .invalidArgument)
    #expect(scratch.names == before)
    #expect(try contents(scratch("file")) == old)
  }

  @Test func refusesToReadWhatIsNoFile() throws {
    let scratch = try ScratchDirectory()
    try #require(mkfifo(scratch("pipe"), 0o644) == 0)
    for (path, words) in [
      (scratch.path, "a directory"), (scratch("pipe"), "a pipe"), ("/dev/null", "a device"), (scratch("none"), "No such file"),
    ] {
      let error = martletError { _ = try Safetensors.read(path) }
      #expect(error?.kind == .inputOutput)
      #expect(error?.message.contains(words) == true, "\(error?.message ?? path)")
    }
    #expect(martletError { _ = try Safetensors.read("") }?.kind == .invalidArgument)
    #expect(martletError { _ = try Safetensors.read("a\0b") }?.kind == .invalidArgument)
  }

  /// A file with a hole of a terabyte says honestly how long it is; its header does not ask for it, so nothing is allocated.
  @Test func aHugeSparseFileIsRefusedUnread() throws {
    let scratch = try ScratchDirectory()
    try writePlainly(rawFile("{}", dataLength: 0), to: scratch("file"))
    try #require(truncate(scratch("file"), 1 << 40) == 0)
    #expect(martletError { _ = try Safetensors.read(scratch("file")) }?.kind == .corruptFile)
  }
}
