import MartletRuntime
import Testing

@Suite struct KernelSetTests {
  @Test func baselineRunsEverywhere() {
    #expect(KernelSet.baseline.obstacle == nil)
    #expect(KernelSet.available.last == .baseline)
  }

  @Test func nobodyChoseMeansTheBest() throws {
    #expect(try KernelSet.chosen(environment: nil) == KernelSet.available[0])
    #expect(try KernelSet.chosen(environment: "") == KernelSet.available[0])
  }

  @Test(arguments: KernelSet.allCases)
  func namedSetIsChosenOrSaysWhyNot(_ set: KernelSet) {
    do {
      #expect(try KernelSet.chosen(environment: set.rawValue) == set)
      #expect(set.obstacle == nil)
    } catch {
      #expect(set.obstacle.map { error.message.contains($0) } == true)
      #expect(error.message.contains("this machine runs") && error.message.contains("baseline"))
    }
  }

  @Test(arguments: ["AVX2", "sse", " avx2", "best"])
  func unknownNameIsExplained(_ name: String) {
    do {
      let set = try KernelSet.chosen(environment: name)
      Issue.record("\(name) chose \(set)")
    } catch {
      #expect(error.message.contains("\"\(name)\""))
      for set in KernelSet.allCases { #expect(error.message.contains(set.rawValue)) }
      for set in KernelSet.available { #expect(error.message.contains(set.rawValue)) }
    }
  }

  @Test(arguments: KernelSet.available)
  func tableKnowsItsName(_ set: KernelSet) {
    #expect(set.makeTable().name == set.rawValue)
    #expect(set.makeTable().lanes >= 4)
  }
}
