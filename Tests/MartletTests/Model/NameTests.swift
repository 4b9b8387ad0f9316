// Names are bytes: what differs in them is another name, and none takes long.
import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct NameTests {
  @Test func comparesBytes() {
    #expect(Name("weight") == Name("weight") && Name("weight").hashValue == Name("weight").hashValue)
    #expect(Name("") == Name("") && Name("a") != Name("") && Name("a") != Name("b"))
    // One text for Swift, two for a file.
    #expect("\u{E9}" == "e\u{301}" && Name("\u{E9}") != Name("e\u{301}"))
    #expect(Set([Name("\u{E9}"), Name("e\u{301}"), Name("e\u{301}")]).count == 2)
  }

  /// Marks that combine, in another order in each name: what Swift sorts before it compares.
  @Test(.timeLimit(.minutes(1))) func combiningMarksAreBytes() throws {
    let (a, b) = (
      "e" + String(repeating: "\u{301}\u{323}", count: 100_000), "e" + String(repeating: "\u{323}\u{301}", count: 100_000)
    )
    #expect(Name(a) != Name(b) && Set([Name(a), Name(b)]).count == 2)
    let text = "{\"\(a)\":1,\"\(b)\":2}"
    let document = try JSON.parse(text, source: "test")
    #expect(document[b]?.int == 2 && document[a]?.int == 1 && document["e"] == nil)
    #expect(try document.text().utf8.elementsEqual(text.utf8))
  }

  @Test func layersMayDifferInNormalizationAlone() throws {
    var graph = Graph()
    let x = try graph.input([2])
    let first = try graph.add(Dense(2), to: x, name: "\u{E9}")
    let second = try graph.add(BatchNorm(), to: first, name: "e\u{301}")
    let model = try Model(graph, inputs: [x], outputs: [second])
    #expect(try model.layer(named: "e\u{301}").kind == "batch_norm" && model.layer(named: "\u{E9}").kind == "dense")
    #expect(try model.folded().certificate.foldedCount == 1)
  }
}
