import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct BufferPlannerTests {
  private struct Request {
    var byteCount: Int
    var first: Int
    var last: Int
  }

  /// Two buffers that are alive at one time do not overlap, whatever the lifetimes; and everything lies in the arena, aligned.
  @Test(arguments: 1...40) func noTwoLiveBuffersOverlap(_ seed: Int) throws {
    var random = TestRandom(seed: UInt64(seed))
    var planner = BufferPlanner()
    var requests: [Request] = []
    for _ in 0..<Int.random(in: 1...60, using: &random) {
      let first = Int.random(in: -1...30, using: &random)
      var request = Request(
        byteCount: Int.random(in: 0...2000, using: &random), first: first,
        last: first + Int.random(in: 0...10, using: &random))
      let buffer = try planner.request(byteCount: request.byteCount, from: request.first, through: request.last)
      #expect(buffer.index == requests.count)
      if Bool.random(using: &random) {
        let time = Int.random(in: -1...35, using: &random)
        planner.extend(buffer, through: time)
        request.last = max(request.last, time)
      }
      requests.append(request)
    }
    let layout = try planner.layout()
    #expect(layout.offsets.count == requests.count)
    for (i, a) in requests.enumerated() {
      let start = layout.offsets[i]
      #expect(start >= 0 && start % 64 == 0 && start + a.byteCount <= layout.byteCount, "seed \(seed), buffer \(i)")
      for (j, b) in requests.enumerated() where j < i && a.first <= b.last && b.first <= a.last {
        let other = layout.offsets[j]
        #expect(
          start + max(a.byteCount, 1) <= other || other + max(b.byteCount, 1) <= start, "seed \(seed), buffers \(j), \(i)")
      }
    }
    // No larger than without sharing, no smaller than what is alive at one time.
    #expect(layout.byteCount <= layout.unsharedByteCount)
    for time in -1...40 {
      let alive = requests.filter { $0.first <= time && time <= $0.last }.reduce(0) { $0 + $1.byteCount }
      #expect(alive <= layout.byteCount)
    }
  }

  private func randomRequests(_ random: inout TestRandom, count: Int) -> [Request] {
    (0..<count).map { _ in
      let first = Int.random(in: -1...100, using: &random)
      // Many sizes that are equal, as in networks.
      let byteCount = 64 * Int.random(in: 0...9, using: &random)
      return Request(byteCount: byteCount, first: first, last: first + Int.random(in: 0...40, using: &random))
    }
  }

  /// The places are those of the rule, word for word: the largest first, each at the lowest place without a neighbour in time.
  @Test(arguments: 1...20) func placesAreThoseOfTheRule(_ seed: Int) throws {
    var random = TestRandom(seed: UInt64(seed))
    let requests = randomRequests(&random, count: 150)
    var planner = BufferPlanner()
    for request in requests {
      _ = try planner.request(byteCount: request.byteCount, from: request.first, through: request.last)
    }
    var offsets = [Int](repeating: -1, count: requests.count)
    let order = requests.indices.sorted { (requests[$0].byteCount, $1) > (requests[$1].byteCount, $0) }
    for i in order {
      let size = max(requests[i].byteCount, 64)
      var offset = 0
      let neighbours = requests.indices.filter {
        offsets[$0] >= 0 && requests[$0].first <= requests[i].last && requests[i].first <= requests[$0].last
      }
      for j in neighbours.sorted(by: { offsets[$0] < offsets[$1] }) {
        if offset + size <= offsets[j] { break }
        offset = max(offset, offsets[j] + max(requests[j].byteCount, 64))
      }
      offsets[i] = offset
    }
    #expect(try planner.layout().offsets == offsets)
  }

  /// Where searches would take long, buffers go above all that are alive with them: no two overlap, whenever the change comes.
  @Test(arguments: [0, 1, 100, 2000]) func manyBuffersAreStacked(_ mostLooks: Int) throws {
    var random = TestRandom(seed: 7)
    let requests = randomRequests(&random, count: 200)
    var planner = BufferPlanner()
    for request in requests {
      _ = try planner.request(byteCount: request.byteCount, from: request.first, through: request.last)
    }
    let layout = try planner.layout(mostLooks: mostLooks)
    for (i, a) in requests.enumerated() {
      #expect(layout.offsets[i] + a.byteCount <= layout.byteCount)
      for (j, b) in requests.enumerated() where j < i && a.first <= b.last && b.first <= a.last {
        let (x, y) = (layout.offsets[i], layout.offsets[j])
        #expect(x + max(a.byteCount, 1) <= y || y + max(b.byteCount, 1) <= x, "buffers \(j), \(i)")
      }
    }
    #expect(layout.byteCount <= layout.unsharedByteCount)
  }

  @Test func sharesMemoryByLifetime() throws {
    var planner = BufferPlanner()
    for time in 0..<10 { _ = try planner.request(byteCount: 640, from: time, through: time + 1) }
    let layout = try planner.layout()
    #expect(layout.byteCount == 1280 && layout.unsharedByteCount == 6400)
  }

  @Test func refusesWhatCannotBeAddressed() throws {
    var planner = BufferPlanner()
    expectError(.shapeMismatch, "more memory than can be addressed", "smaller batch") {
      _ = try planner.request(floats: Int.max / 2, from: 0, through: 0)
    }
    for _ in 0..<3 { _ = try planner.request(byteCount: Int.max >> 8, from: 0, through: 0) }
    expectError(.outOfMemory, "smaller batch") { _ = try planner.layout() }
  }

  /// The buffers of a real plan: inference takes little more than its two widest neighbours.
  @Test func inferencePlansShare() throws {
    let layers: [any Layer] = (0..<8).flatMap { _ in [Dense(64), BatchNorm(), Sigmoid()] as [any Layer] }
    let model = try Model.sequential(layers, inputShape: [64])
    let compute = try #require(try model.predict(Tensor(shape: [1, 64])).shape == [1, 64] ? model : nil)
    let text = try compute.planDescription(batchSize: 128, training: false)
    let last = text.split(separator: "\n").last?.filter { $0 != "," } ?? ""
    let numbers = last.split(whereSeparator: { !$0.isNumber }).compactMap { Int($0) }
    #expect(numbers.count >= 2 && numbers[0] < numbers[1] / 3, "\(text)")
  }
}
