// How much processor time the control groups of a process (a container's, a batch system's) allow.

/// Reads the limits of Linux's control groups, version 1 and 2.
enum ProcessorQuota {
  /// The smallest limit of the process's group and the groups around it, in processors: 1.5 is 150 ms of time every 100 ms. Nil: none.
  ///
  /// - Parameters:
  ///   - groups: the text of /proc/self/cgroup. A line is "0::/group" (version 2) or "4:cpu,cpuacct:/group" (version 1).
  ///   - mounts: the text of /proc/self/mountinfo.
  ///   - read: the text of a file; nil if it cannot be read.
  static func smallest(groups: String, mounts: String, read: (_ path: String) -> String?) -> Double? {
    let mounts = mounts.split(separator: "\n").compactMap(Mount.init)
    var smallest: Double?
    for line in groups.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { continue }
      let isSecond = parts[0] == "0" && parts[1].isEmpty
      guard isSecond || parts[1].split(separator: ",").contains("cpu") else { continue }
      for mount in mounts where isSecond ? mount.type == "cgroup2" : mount.isOfProcessors {
        for folder in mount.folders(of: parts[2]) {
          guard let quota = isSecond ? second(folder, read) : first(folder, read) else { continue }
          smallest = min(smallest ?? quota, quota)
        }
      }
    }
    return smallest
  }

  /// Version 2: one file with "quota period", or "max period".
  private static func second(_ folder: String, _ read: (String) -> String?) -> Double? {
    let numbers = (read(folder + "/cpu.max") ?? "").split { $0 == " " || $0 == "\n" }
    guard numbers.count == 2 else { return nil }
    return ratio(numbers[0], numbers[1])
  }

  /// Version 1: a file each; a quota of -1 is none.
  private static func first(_ folder: String, _ read: (String) -> String?) -> Double? {
    guard let quota = read(folder + "/cpu.cfs_quota_us"), let period = read(folder + "/cpu.cfs_period_us") else { return nil }
    return ratio(quota.prefix { $0 != "\n" }, period.prefix { $0 != "\n" })
  }

  private static func ratio(_ quota: Substring, _ period: Substring) -> Double? {
    guard let quota = Int(quota), let period = Int(period), quota > 0, period > 0 else { return nil }
    return Double(quota) / Double(period)
  }

  /// A line of mountinfo: "29 23 0:26 /root /point options fields - type source options".
  private struct Mount {
    /// What of the file system is mounted, and where.
    let root: String
    let point: String
    let type: Substring
    /// Version 1, and the hierarchy that limits processor time.
    let isOfProcessors: Bool

    init?(_ line: Substring) {
      let fields = line.split(separator: " ")
      guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count >= dash + 4 else { return nil }
      root = Mount.unescaped(fields[3])
      point = Mount.unescaped(fields[4])
      type = fields[dash + 1]
      isOfProcessors = type == "cgroup" && fields[dash + 3].split(separator: ",").contains("cpu")
    }

    /// The folder of a group, then those of the groups around it, as far as they are to be seen here.
    func folders(of group: Substring) -> [String] {
      var inside = group.split(separator: "/").map(String.init)
      let outer = root.split(separator: "/").map(String.init)
      // A container that sees its own group as the root of the mount, though the kernel names it from outside.
      inside = inside.starts(with: outer) ? Array(inside.dropFirst(outer.count)) : []
      if inside.contains("..") { inside = [] }
      return (0...inside.count).reversed().map { ([point] + inside.prefix($0)).joined(separator: "/") }
    }

    /// Blanks, tabs, line ends and backslashes come as three octal digits.
    private static func unescaped(_ text: Substring) -> String {
      var bytes: [UInt8] = []
      var rest = Substring(text).utf8
      while let byte = rest.popFirst() {
        let digits = rest.prefix(3)
        if byte == UInt8(ascii: "\\"), let code = UInt8(String(Substring(digits)), radix: 8), digits.count == 3 {
          bytes.append(code)
          rest = rest.dropFirst(3)
        } else {
          bytes.append(byte)
        }
      }
      return String(decoding: bytes, as: UTF8.self)
    }
  }
}
