// Checking what an all-reduce returned: sums over the shards of a batch, of which each shard knows its own part.

/// A number that every shard has exchanged, and what must hold of the sum.
enum ShardSum {
  /// The sum of whole numbers of 0 or more.
  ///
  /// - Parameters:
  ///   - own: this shard's part.
  ///   - what: "rows".
  /// - Throws: ``MartletError/Kind/invalidArgument`` unless the sum is a whole number from `own` to 2⁵³.
  static func whole(_ sum: Double, own: Int, _ what: String) throws -> Int {
    guard sum.magnitude <= 0x1p53, let number = Int(exactly: sum), number >= own else {
      throw error("the sum of all shards' numbers of \(what), a whole number of \(own) or more", sum)
    }
    return number
  }

  /// The sum of weights of 0 or more. An exchange in Float32 may round it.
  static func weight(_ sum: Double, own: Double, _ what: String) throws {
    guard sum.isFinite, sum >= own * (1 - 0x1p-20) else {
      throw error("the sum of all shards' \(what), a finite number of \(own) or more", sum)
    }
  }

  /// The sum of gradients that were finite on every shard; the same on all of them.
  static func gradient(_ sum: Double, _ name: String) throws -> Float {
    guard let gradient = Float(ifInRange: sum), gradient.isFinite else {
      throw error("the sum of all shards' gradients of \"\(name)\", finite where the loss is", sum)
    }
    return gradient
  }

  private static func error(_ expected: String, _ sum: Double) -> MartletError {
    MartletError.invalidArgument(
      "all_reduce: expected \(expected); got \(sum). It must replace each number by its sum over all shards, not by a mean, a maximum "
        + "or a part of the numbers.")
  }
}
