// Statistics that may be taken back: what moves between begin and rollback is undone.

extension Model {
  /// Remembers every statistic as it stands: moving means and variances, batch counters, what input normalisation was fitted to.
  ///
  /// Transactions nest; each ends with ``commitStatistics()`` or ``rollbackStatistics()``. Models that share layers share them; a clone
  /// has none. Parameters and optimizers have no part in it.
  ///
  ///     try net.beginStatistics()
  ///     _ = try net.forward(x, training: true)          a look at x as training sees it …
  ///     try net.rollbackStatistics()                     … that leaves no trace
  ///
  /// Cost: a copy of the statistics, which is what this allocates.
  public func beginStatistics() throws {
    try network.exclusivity.changing {
      network.statisticsBefore.append(try StateSnapshot(of: network.layers.flatMap(\.variables).filter { $0.kind == .state }))
    }
  }

  /// Ends the last transaction begun: the statistics stay as they are now.
  ///
  /// - Throws: ``MartletError/Kind/invalidState`` if none is open.
  public func commitStatistics() throws { _ = try network.exclusivity.changing { try lastTransaction("commit") } }

  /// Ends the last transaction begun: the statistics become what they were when it began, to the bit. That takes back what transactions
  /// within it have committed, too.
  ///
  /// - Throws: ``MartletError/Kind/invalidState`` if none is open.
  public func rollbackStatistics() throws { try network.exclusivity.changing { try lastTransaction("rollback").restore() } }

  /// Runs `body` in a transaction that is committed if it returns and rolled back if it throws. No other thread may use the model
  /// meanwhile.
  public func withStatisticsTransaction<Result>(_ body: () throws -> Result) throws -> Result {
    try network.exclusivity.changing { try runTransaction(body) }
  }

  private func runTransaction<Result>(_ body: () throws -> Result) throws -> Result {
    try beginStatistics()
    let depth = network.statisticsBefore.count
    do {
      let result = try body()
      endStatistics(from: depth, restores: false)
      return result
    } catch {
      endStatistics(from: depth, restores: true)
      throw error
    }
  }

  /// Ends the transaction of that depth, and those within it that nobody ended.
  private func endStatistics(from depth: Int, restores: Bool) {
    while network.statisticsBefore.count >= depth, let last = network.statisticsBefore.popLast() {
      if restores { last.restore() }
    }
  }

  private func lastTransaction(_ call: String) throws -> StateSnapshot {
    guard let last = network.statisticsBefore.popLast() else {
      throw MartletError.invalidState("\(call): no transaction of statistics is open; begin one first.")
    }
    return last
  }
}
