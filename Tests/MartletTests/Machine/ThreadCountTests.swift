import MartletRuntime
import MartletTestSupport
import Testing

@testable import Martlet

/// What the surroundings of a process say about threads.
@Suite struct ThreadCountTests {
  private func chosen(
    own: String? = nil, openMP: String? = nil, processors: Int = 8, quota: Double? = nil
  ) throws -> Int {
    try ThreadCount.chosen(own: own, openMP: openMP, processors: processors, quota: quota)
  }

  @Test func theProcessorsAndTheQuota() throws {
    #expect(try chosen() == 8)
    #expect(try chosen(quota: 2) == 2)
    #expect(try chosen(quota: 1.5) == 2)
    #expect(try chosen(quota: 0.01) == 1)
    #expect(try chosen(quota: 64) == 8)
    #expect(try chosen(quota: 1e300) == 8)
    #expect(try chosen(processors: 5000) == ThreadPool.maximumThreadCount)
  }

  @Test func openMPsVariable() throws {
    #expect(try chosen(openMP: "3") == 3)
    #expect(try chosen(openMP: " 4 ,2") == 4)
    #expect(try chosen(openMP: "16", quota: 2) == 16)
    #expect(try chosen(openMP: "99999") == ThreadPool.maximumThreadCount)
    for ignored in ["", "0", "-3", "four", ",2", "2.5", "99999999999999999999"] {
      #expect(try chosen(openMP: ignored, quota: 2) == 2, "\(ignored)")
    }
  }

  @Test func theOwnVariableComesFirst() throws {
    #expect(try chosen(own: "5", openMP: "3", quota: 2) == 5)
    #expect(try chosen(own: "1024") == 1024)
    #expect(try chosen(own: "", openMP: "3") == 3)
    for wrong in ["0", "-1", "1025", "99999", "many", "2.0", " 2", "99999999999999999999"] {
      expectError(.invalidArgument, "MARTLET_NUM_THREADS: expected a whole number in 1...1024", "got \"\(wrong)\"") {
        _ = try chosen(own: wrong, openMP: "3")
      }
    }
  }

  @Test func whatIsAskedForIsGiven() throws {
    #expect(Machine.maximumThreadCount == 1024)
    #expect(ThreadPool(threadCount: Machine.maximumThreadCount).threadCount == Machine.maximumThreadCount)
  }
}

/// The control groups' files, as kernels and container engines lay them out.
@Suite struct ProcessorQuotaTests {
  private func quota(_ groups: String, _ mounts: String, _ files: [String: String]) -> Double? {
    ProcessorQuota.smallest(groups: groups, mounts: mounts) { files[$0] }
  }

  private let second = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
  private let first =
    "31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n32 23 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"

  @Test func secondVersion() {
    #expect(quota("0::/\n", second, ["/sys/fs/cgroup/cpu.max": "150000 100000\n"]) == 1.5)
    #expect(quota("0::/\n", second, ["/sys/fs/cgroup/cpu.max": "max 100000\n"]) == nil)
    #expect(quota("0::/\n", second, [:]) == nil)
  }

  @Test func theSmallestOfTheGroupsAround() {
    let files = [
      "/sys/fs/cgroup/a.slice/b.scope/cpu.max": "max 100000\n", "/sys/fs/cgroup/a.slice/cpu.max": "200000 100000\n",
      "/sys/fs/cgroup/cpu.max": "800000 100000\n",
    ]
    #expect(quota("0::/a.slice/b.scope\n", second, files) == 2)
    #expect(quota("0::/a.slice\n", second, files) == 2)
    #expect(quota("0::/other\n", second, files) == 8)
  }

  @Test func firstVersion() {
    let folder = "/sys/fs/cgroup/cpu,cpuacct"
    let groups = "5:memory:/m\n4:cpu,cpuacct:/docker/abc\n0::/ignored\n"
    #expect(
      quota(
        groups, first,
        ["\(folder)/docker/abc/cpu.cfs_quota_us": "50000\n", "\(folder)/docker/abc/cpu.cfs_period_us": "100000\n"])
        == 0.5)
    #expect(
      quota(
        groups, first, ["\(folder)/docker/abc/cpu.cfs_quota_us": "-1\n", "\(folder)/docker/abc/cpu.cfs_period_us": "100000\n"])
        == nil)
    #expect(
      quota(groups, first, ["\(folder)/docker/cpu.cfs_quota_us": "300000\n", "\(folder)/docker/cpu.cfs_period_us": "100000\n"])
        == 3)
  }

  /// A container without a name space for groups: the kernel names the group from outside, and the mount shows only that group.
  @Test func aMountOfAGroupAlone() {
    let mounts = "40 23 0:28 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n"
    let files = ["/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "250000\n", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"]
    #expect(quota("4:cpu:/docker/abc\n", mounts, files) == 2.5)
    #expect(quota("4:cpu:/elsewhere\n", mounts, files) == 2.5)
    #expect(quota("4:cpu:/../..\n", mounts, files) == 2.5)
  }

  @Test func namesWithBlanks() {
    let mounts = "30 23 0:26 / /my\\040groups rw - cgroup2 cgroup2 rw\n"
    #expect(quota("0::/\n", mounts, ["/my groups/cpu.max": "100000 100000\n"]) == 1)
  }

  @Test func nonsenseIsNoLimit() {
    for text in ["", "0", "::", "a:b", "0::", "4:cpu", String(repeating: ":", count: 100), "0::/../../x"] {
      #expect(quota(text, second + "x\n- - -\n1 2 3 4 5 6 -\n", [:]) == nil, "\(text)")
    }
    for value in ["", "max", "1", "a b", "100000 0", "-5 100000", "0 100000", "1 2 3", "99999999999999999999 1"] {
      #expect(quota("0::/\n", second, ["/sys/fs/cgroup/cpu.max": value]) == nil, "\(value)")
    }
  }

  @Test func thisMachine() {
    if let found = ThreadCount.quota { #expect(found > 0) }
    #expect(Machine.threadCount >= 1)
  }
}
