import MartletRuntime
import Testing

@testable import Martlet

@Suite struct AugmentationTests {
  private func choices(
    _ augmentation: Augmentation, seed: UInt64 = 5, epoch: Int = 0, count: Int, height: Int = 9, width: Int = 7
  ) -> [ImageChoice] {
    let random = ImageChoice.random(seed: seed, epoch: epoch)
    return (0..<count).map { ImageChoice(augmentation, random, image: $0, height: height, width: width) }
  }

  /// Each count of `draws` draws among `counts.count` equal chances lies within five standard deviations.
  private func expectUniform(_ counts: [Int], _ what: String) {
    let draws = Double(counts.reduce(0, +))
    let chance = 1 / Double(counts.count)
    let deviation = (draws * chance * (1 - chance)).squareRoot()
    for (value, count) in counts.enumerated() {
      #expect(abs(Double(count) - draws * chance) < 5 * deviation, "\(what) \(value): \(count) of \(draws)")
    }
  }

  @Test func statisticsOfTheChoices() {
    let all = choices(Augmentation(cropPadding: 3, flips: true, cutout: 4), count: 40_000)
    expectUniform((-3...3).map { value in all.count { $0.rowOffset == value } }, "row offset")
    expectUniform((-3...3).map { value in all.count { $0.columnOffset == value } }, "column offset")
    expectUniform([all.count { $0.isFlipped }, all.count { !$0.isFlipped }], "flip")
    // A square of 4 about row r covers r − 2 ..< r + 2, cut off at 0 and 9: its end tells r, but for the last three.
    let ends = (0..<9).map { min($0 + 2, 9) }
    let starts = (0..<9).map { max($0 - 2, 0) }
    for row in 1..<7 { #expect(all.contains { $0.cutoutRows == starts[row]..<ends[row] }) }
    let byEnd = (2...8).map { end in all.count { $0.cutoutRows.upperBound == end } }
    let deviation = (40_000.0 / 9 * 8 / 9).squareRoot()
    for (place, count) in byEnd.enumerated() {
      #expect(abs(Double(count) - 40_000 / 9) < 5 * deviation, "cutout's end \(place + 2): \(count)")
    }
    #expect(all.allSatisfy { $0.cutoutRows.count <= 4 && $0.cutoutRows.upperBound <= 9 && $0.cutoutColumns.upperBound <= 7 })
    // No two of the draws go together: each pair of the crop's offsets is as likely as another.
    var pairs = [Int](repeating: 0, count: 49)
    for choice in all { pairs[(choice.rowOffset + 3) * 7 + choice.columnOffset + 3] += 1 }
    expectUniform(pairs, "pair of offsets")
    var flips = [Int](repeating: 0, count: 14)
    for choice in all { flips[(choice.rowOffset + 3) * 2 + (choice.isFlipped ? 1 : 0)] += 1 }
    expectUniform(flips, "offset and flip")
  }

  @Test func whatDecides() {
    let augmentation = Augmentation(cropPadding: 3, flips: true, cutout: 4)
    let first = choices(augmentation, count: 50)
    #expect(choices(augmentation, count: 50) == first)
    #expect(choices(augmentation, seed: 6, count: 50) != first)
    #expect(choices(augmentation, epoch: 1, count: 50) != first)
    #expect(Set(first.map { "\($0)" }).count > 40)
    // One option's draws do not move another's.
    #expect(choices(Augmentation(flips: true), count: 50).map(\.isFlipped) == first.map(\.isFlipped))
    #expect(choices(Augmentation(cropPadding: 3), count: 50).map(\.rowOffset) == first.map(\.rowOffset))
    #expect(choices(Augmentation(), count: 50).allSatisfy { $0 == ImageChoice() })
  }

  @Test func errors() throws {
    func check(_ augmentation: Augmentation) throws { try augmentation.check(height: 8, width: 6) }
    try check(Augmentation(cropPadding: 5, flips: true, cutout: 6))
    expectError(.invalidArgument, "crop_padding", "smaller side, 6", "6 came") { try check(Augmentation(cropPadding: 6)) }
    expectError(.invalidArgument, "crop_padding", "-1 came") { try check(Augmentation(cropPadding: -1)) }
    expectError(.invalidArgument, "crop_padding") { try check(Augmentation(cropPadding: .max)) }
    expectError(.invalidArgument, "cutout", "0...6", "7 came") { try check(Augmentation(cutout: 7)) }
    expectError(.invalidArgument, "cutout", "-1 came") { try check(Augmentation(cutout: -1)) }
    func check(_ mean: [Double], _ deviation: [Double]) throws {
      try ImageNormalization(mean: mean, standardDeviation: deviation).check(channels: 3)
    }
    try check([0.5, 0.4, 0.3], [0.2])
    expectError(.shapeMismatch, "mean", "3 values", "2 came") { try check([0, 0], [1]) }
    expectError(.shapeMismatch, "standard_deviation", "0 came") { try check([0], []) }
    expectError(.invalidArgument, "mean", "finite", "got nan") { try check([0, .nan, 0], [1]) }
    expectError(.invalidArgument, "standard_deviation", "above 0", "got 0.0") { try check([0], [1, 0, 1]) }
    expectError(.invalidArgument, "standard_deviation", "got -1.0") { try check([0], [-1]) }
    expectError(.invalidArgument, "standard_deviation") { try check([0], [1e-60]) }
    expectError(.invalidArgument, "standard_deviation", "got inf") { try check([0], [.infinity]) }
  }
}
