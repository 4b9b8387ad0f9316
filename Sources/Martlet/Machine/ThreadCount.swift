// How many threads the process starts with.
import MartletRuntime

/// The number of threads that the surroundings of the process ask for.
enum ThreadCount {
  /// `MARTLET_NUM_THREADS`; else the first number of `OMP_NUM_THREADS`; else the processors that the process may use, but no more than its
  /// control groups give it time for, rounded up.
  ///
  /// - Parameters:
  ///   - own: the value of `MARTLET_NUM_THREADS`; nil: not set.
  ///   - openMP: the value of `OMP_NUM_THREADS`, which may be a list ("4,2", one for each level of nesting). What is not a number of 1 or
  ///     more is ignored, as OpenMP does.
  ///   - processors: in the affinity mask of the process.
  ///   - quota: processors' worth of time; nil: no limit.
  /// - Throws: ``MartletError/Kind/invalidArgument`` if `MARTLET_NUM_THREADS` is not a number that ``Machine/setThreadCount(_:)`` takes.
  static func chosen(own: String?, openMP: String?, processors: Int, quota: Double?) throws(MartletError) -> Int {
    let limit = ThreadPool.maximumThreadCount
    if let own, !own.isEmpty {
      guard let count = Int(own), (1...limit).contains(count) else {
        throw MartletError.invalidArgument(
          "MARTLET_NUM_THREADS: expected a whole number in 1...\(limit); got \"\(own.prefix(64))\". Set it to such a number, or unset it "
            + "for one thread for each processor that the process may use.")
      }
      return count
    }
    if let first = openMP?.split(separator: ",", omittingEmptySubsequences: false).first,
      let count = Int(first.filter { $0 != " " && $0 != "\t" }), count >= 1
    {
      return min(count, limit)
    }
    // A quota is a finite number of 0 or more here; a group of a hundredth of a processor still has one thread.
    let granted = quota.map { Int(min($0.rounded(.up), Double(limit))) } ?? limit
    return max(1, min(processors, granted, limit))
  }

  /// The processors' worth of time that the control groups of this process give it; nil: no limit, or no such groups.
  static var quota: Double? {
    guard let groups = Environment.text(ofFile: "/proc/self/cgroup"),
      let mounts = Environment.text(ofFile: "/proc/self/mountinfo")
    else { return nil }
    return ProcessorQuota.smallest(groups: groups, mounts: mounts, read: Environment.text)
  }
}
