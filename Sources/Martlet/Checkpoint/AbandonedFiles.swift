// Temporary files of savers that were killed.

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Recognises the temporary files of ``AtomicFile`` and removes those whose process is gone.
///
/// A saver holds a lock on its temporary file, which the kernel takes away with the process. So a file that can be locked has no living
/// saver, on this machine or, where the file system shares locks, on another.
enum AbandonedFiles {
  private static let prefix = ".martlet-"
  private static let suffix = ".tmp"

  /// A name that is not in use, as far as chance goes.
  static func newName() -> String { prefix + String(UInt64.random(in: .min ... .max), radix: 16) + suffix }

  /// Takes possession of a file that this process has just made; false if somebody removed it in between.
  ///
  /// Where the file system has no locks the file is ours, for nobody else can lock and remove it either.
  static func claim(_ descriptor: Int32) -> Bool {
    if flock(descriptor, LOCK_EX | LOCK_NB) == -1 { return errno != EWOULDBLOCK }
    var status = stat()
    return fstat(descriptor, &status) != 0 || status.st_nlink > 0
  }

  /// Removes the abandoned files of a directory, as far as this process may. Never fails.
  static func remove(in directory: String) {
    guard let listing = opendir(directory) else { return }
    defer { closedir(listing) }
    while let entry = readdir(listing) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: entry.pointee.d_name)) {
          strncmp($0, prefix, prefix.utf8.count) == 0 ? String(cString: $0) : ""
        }
      }
      if isTemporary(name) { removeIfAbandoned(directory + "/" + name) }
    }
  }

  private static func isTemporary(_ name: String) -> Bool {
    guard name.hasPrefix(prefix), name.hasSuffix(suffix) else { return false }
    let digits = name.utf8.dropFirst(prefix.utf8.count).dropLast(suffix.utf8.count)
    return (1...16).contains(digits.count)
      && digits.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
  }

  private static func removeIfAbandoned(_ path: String) {
    let descriptor = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    guard descriptor != -1 else { return }
    defer { close(descriptor) }
    var (opened, named) = (stat(), stat())
    guard fstat(descriptor, &opened) == 0, opened.st_mode & S_IFMT == S_IFREG, flock(descriptor, LOCK_EX | LOCK_NB) == 0,
      // Still the file of that name: its saver may have finished, and another begun.
      lstat(path, &named) == 0, named.st_ino == opened.st_ino, named.st_dev == opened.st_dev
    else { return }
    unlink(path)
  }
}
