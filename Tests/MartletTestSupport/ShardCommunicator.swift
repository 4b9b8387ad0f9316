// Shards of a batch on threads of one process.

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// Sums numbers over a fixed number of threads, in the order of the shards, so that every run gives the same bits.
public final class ShardCommunicator: @unchecked Sendable {
  public struct Failed: Error {}

  private let shards: Int
  private var mutex = pthread_mutex_t()
  private var condition = pthread_cond_t()
  private var parts: [[Double]?]
  private var arrived = 0
  private var round = 0
  private var result: [Double] = []
  private var isBroken = false
  /// Sums so far, by how many numbers each had.
  public private(set) var counts: [Int] = []
  /// The exchange that fails on all shards, from 0; nil: none.
  private let failingRound: Int?

  public init(shards: Int, failingRound: Int? = nil) {
    self.shards = shards
    self.failingRound = failingRound
    parts = Array(repeating: nil, count: shards)
    pthread_mutex_init(&mutex, nil)
    pthread_cond_init(&condition, nil)
  }

  deinit {
    pthread_cond_destroy(&condition)
    pthread_mutex_destroy(&mutex)
  }

  /// Replaces each number by its sum over all shards; throws on all of them if one asks for another count, or has left.
  public func allReduce(_ sums: UnsafeMutableBufferPointer<Double>, shard: Int) throws {
    pthread_mutex_lock(&mutex)
    defer { pthread_mutex_unlock(&mutex) }
    if isBroken { throw Failed() }
    let present = round
    parts[shard] = Array(sums)
    arrived += 1
    if arrived == shards {
      let all = parts.compactMap { $0 }
      if all.contains(where: { $0.count != sums.count }) || present == failingRound { isBroken = true }
      if !isBroken { result = sums.indices.map { i in all.reduce(0) { $0 + $1[i] } } }
      counts.append(sums.count)
      arrived = 0
      round += 1
      pthread_cond_broadcast(&condition)
    } else {
      while round == present, !isBroken { pthread_cond_wait(&condition, &mutex) }
    }
    if isBroken { throw Failed() }
    for i in sums.indices { sums[i] = result[i] }
  }

  /// A shard that has ended: nobody waits for it.
  public func leave() {
    pthread_mutex_lock(&mutex)
    isBroken = true
    pthread_cond_broadcast(&condition)
    pthread_mutex_unlock(&mutex)
  }
}
