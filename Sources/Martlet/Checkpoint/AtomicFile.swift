// A file replaced whole or not at all.

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Replacement of a file in one step that a crash, a full disk or a power cut cannot leave half done.
enum AtomicFile {
  /// Lets `body` write a temporary file beside `path`, brings it to the disk, and renames it to `path`.
  ///
  /// A symbolic link stays and the file it points to is replaced. A new file gets the permissions 0644 less the process's
  /// mask;
  /// one that replaces another takes over its permissions, and its owner where the process may give files away.
  ///
  /// - Throws: what `body` throws; ``MartletError/Kind/inputOutput`` if the file system refuses, or `path` is a directory, a
  ///   device, a file without permission to write, or a link to nothing. The temporary file is gone then and the file at
  ///   `path` is as it was; the one exception is said in the message.
  ///
  /// A process that is killed in the middle leaves its temporary file (".martlet-….tmp"); the next save into the directory removes it.
  ///
  /// Edge cases: other hard links to the old file keep its old contents.
  static func replace(
    _ path: String, body: (borrowing SystemFile) throws(MartletError) -> Void
  ) throws(MartletError) {
    let target = try Target(path)
    AbandonedFiles.remove(in: target.directory)
    let temporary = try TemporaryFile(beside: target, path: path)
    do throws(MartletError) {
      try body(temporary.file)
      if let permissions = target.permissions {
        try temporary.take(permissions, path: path)
      }
      try temporary.file.synchronize()
      guard rename(temporary.name, target.name) == 0 else {
        throw systemError("cannot replace the file", path: path, code: errno, advice: placeAdvice)
      }
    } catch {
      unlink(temporary.name)
      throw error
    }
    try synchronizeDirectory(target.directory, path: path)
  }

  fileprivate static let placeAdvice = "Check that the directory exists and that you may write there."

  /// Brings the new name to the disk: until then a power cut may bring back the old file, whole.
  private static func synchronizeDirectory(_ directory: String, path: String) throws(MartletError) {
    let descriptor = retryingInterrupts { open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    // A directory may be one to write to and not to read, and some file systems cannot synchronise one. Neither is a failure
    // to save.
    guard descriptor != -1 else { return }
    let code = retryingInterrupts { fsync(descriptor) } == -1 ? errno : 0
    close(descriptor)
    guard [EIO, ENOSPC, EDQUOT].contains(code) else { return }
    throw systemError(
      "the new file stands, but its directory cannot be brought to the disk", path: path, code: code,
      advice: "Check the disk and save again.")
  }
}

/// Where the file is to stand, links followed.
private struct Target {
  struct Permissions {
    var mode: mode_t
    var owner: uid_t
    var group: gid_t
  }

  let name: String
  let directory: String
  /// Those of the file that is to be replaced; nil if there is none.
  let permissions: Permissions?

  init(_ path: String) throws(MartletError) {
    try checkPath(path)
    guard let resolved = realpath(path, nil) else {
      let code = errno
      var status = stat()
      if lstat(path, &status) == 0 {
        throw systemError(
          "cannot follow the link", path: path, code: code, advice: "Remove the link, or create the file it points to.")
      }
      guard code == ENOENT, !path.hasSuffix("/") else {
        throw systemError("cannot create the file", path: path, code: code, advice: AtomicFile.placeAdvice)
      }
      name = path
      directory = Self.directory(of: path)
      permissions = nil
      return
    }
    defer { free(resolved) }
    name = String(cString: resolved)
    directory = Self.directory(of: name)

    var status = stat()
    guard stat(name, &status) == 0 else {
      throw systemError("cannot examine the file", path: path, code: errno, advice: AtomicFile.placeAdvice)
    }
    let kind = status.st_mode & S_IFMT
    guard kind == S_IFREG else {
      throw .inputOutput(
        "\(excerpt(path, limit: 400)): expected a regular file or none, found \(fileKindName(kind)). Choose another path.")
    }
    // A rename asks for no permission on the file it replaces, but whoever took the permission away meant something by it.
    guard access(name, W_OK) == 0 else {
      throw systemError("cannot replace the file", path: path, code: errno, advice: "Make it writable or choose another path.")
    }
    permissions = Permissions(mode: status.st_mode & 0o777, owner: status.st_uid, group: status.st_gid)
  }

  private static func directory(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}

/// A new file in the target's directory, which alone is sure to be on the same file system.
private struct TemporaryFile: ~Copyable {
  let file: SystemFile
  let name: String

  init(beside target: Target, path: String) throws(MartletError) {
    // A clash of 64 random bits means that someone is guessing names; a few tries are plenty.
    for _ in 0..<16 {
      let name = "\(target.directory)/\(AbandonedFiles.newName())"
      let descriptor = retryingInterrupts { open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644) }
      if descriptor != -1 {
        guard AbandonedFiles.claim(descriptor) else {
          close(descriptor)
          continue
        }
        file = SystemFile(descriptor: descriptor, path: path)
        self.name = name
        return
      }
      guard errno == EEXIST else { break }
    }
    throw systemError("cannot create a file in its directory", path: path, code: errno, advice: AtomicFile.placeAdvice)
  }

  func take(_ permissions: Target.Permissions, path: String) throws(MartletError) {
    // Only the superuser may give files away; for everyone else the file stays their own, as with any new file. The owner
    // goes first, because the call may clear bits of the mode.
    _ = fchown(file.descriptor, permissions.owner, permissions.group)
    guard fchmod(file.descriptor, permissions.mode) == 0 else {
      throw systemError("cannot set the permissions", path: path, code: errno, advice: AtomicFile.placeAdvice)
    }
  }
}
