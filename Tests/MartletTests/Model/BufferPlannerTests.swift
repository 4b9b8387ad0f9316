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
