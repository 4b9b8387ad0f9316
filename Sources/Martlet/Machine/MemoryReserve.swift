// Memory set aside before work whose Swift lists grow with the model or the file.
import CMartletShims

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// Memory that stands ready in case an allocation of Swift's own fails.
///
/// Tensors, workspaces and everything else as large as the data come from ``Storage``, whose failure is an error. Swift's lists, dictionaries
/// and strings have no such way out: if the system has no memory for one, the process ends. In the shared library such an allocation is
/// served from a reserve instead. A small one is there for every call; work that builds more than that sets it aside first, and fails as
/// a whole, with nothing changed, if it cannot.
///
///     let reserve = try MemoryReserve(byteCount: 64 * header.count)
///     defer { reserve.end() }
package struct MemoryReserve {
  private let number: Int32

  /// Sets memory aside for this thread until ``end()``: address space, of which no page is touched unless it is needed.
  ///
  /// - Throws: ``MartletError/Kind/outOfMemory`` if the system refuses.
  package init(byteCount: Int) throws(MartletError) {
    number = martlet_reserve_begin(max(byteCount, 0))
    guard number > 0 else {
      throw MartletError(.outOfMemory, "\(byteCount) bytes of memory were asked for and are not to be had.")
    }
  }

  /// Asks the system whether it has so much memory at the moment, for lists larger than a reserve can be.
  static func checkAvailable(byteCount: Int) throws(MartletError) {
    guard byteCount > 1 << 20 else { return }
    guard let memory = martlet_shims_allocate(byteCount, 64) else {
      throw MartletError(.outOfMemory, "\(byteCount) bytes of memory were asked for and are not to be had.")
    }
    free(memory)
  }

  package func end() { martlet_reserve_end(number) }
}

extension MemoryReserve {
  /// For a list of so many entries.
  package init(entries: Int, bytesEach: Int = 128) throws(MartletError) {
    let (byteCount, overflows) = entries.multipliedReportingOverflow(by: bytesEach)
    try self.init(byteCount: overflows ? .max : byteCount)
  }

  /// For lists of the nodes of a network: a graph, a model, a plan.
  init(nodes: Int) throws(MartletError) { try self.init(byteCount: min(max(nodes, 0), 1 << 20) * 8192) }

  /// For work that also keeps a few numbers for each channel of each node: folding, a check.
  init(channelsOf network: Network) throws(MartletError) {
    var byteCount = 0.0
    for node in network.nodes { byteCount += 8192 + 128 * Double(node.shape.last ?? 1) }
    try self.init(byteCount: Int(exactly: byteCount.rounded()) ?? .max)
  }
}
