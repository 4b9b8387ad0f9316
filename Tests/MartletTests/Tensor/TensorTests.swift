import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct TensorTests {
  @Test func creation() throws {
    #expect(try Tensor(shape: [2, 3]).values == [0, 0, 0, 0, 0, 0])
    #expect(try Tensor(shape: [2, 2], filledWith: 1.5).values == [1.5, 1.5, 1.5, 1.5])
    let vector = try Tensor([1, 2, 3])
    #expect(vector.shape == [3] && vector.count == 3)
    let scalar = try Tensor([7], shape: [])
    #expect(scalar.count == 1)
    #expect(try scalar.element(at: []) == 7)
    let empty = try Tensor(shape: [4, 0, 2])
    #expect(empty.count == 0 && empty.values.isEmpty)
    #expect(try Tensor([], shape: [0]).count == 0)
    // Vectors read whole cache lines.
    for count in [0, 1, 5, 16, 17] { #expect(Int(bitPattern: try Tensor(shape: [count]).storage.base) % 64 == 0) }
  }

  @Test func creationErrors() {
    expectError(.shapeMismatch, "0 or more", "[2, -1]") { _ = try Tensor(shape: [2, -1]) }
    expectError(.shapeMismatch, "[2, 3]", "needs 6", "5 came") { _ = try Tensor([1, 2, 3, 4, 5], shape: [2, 3]) }
    expectError(.shapeMismatch, "more elements than memory can hold") { _ = try Tensor(shape: [1 << 40, 1 << 40]) }
    expectError(.shapeMismatch, "more elements than memory can hold") { _ = try Tensor(shape: [Int.max, 2, 0]) }
    expectError(.outOfMemory, "bytes") { _ = try Tensor(shape: [Int.max >> 8]) }
  }

  @Test func elements() throws {
    var t = try Tensor((0..<24).map(Float.init), shape: [2, 3, 4])
    #expect(try t.element(at: [1, 2, 3]) == 23)
    #expect(try t.element(at: [1, 0, 2]) == 14)
    try t.setElement(at: [0, 1, 1], to: -5)
    #expect(t.values[5] == -5)
    for wrong in [[2, 0, 0], [0, 3, 0], [0, 0, 4], [-1, 0, 0]] {
      expectError(.shapeMismatch, "lies outside", "[2, 3, 4]") { _ = try t.element(at: wrong) }
    }
    expectError(.shapeMismatch, "3 numbers are needed", "2 came") { _ = try t.element(at: [0, 0]) }
    let before = t
    expectError(.shapeMismatch, "lies outside") { try t.setElement(at: [0, 0, 9], to: 1) }
    #expect(t == before)
  }

  @Test func copiesAreIndependent() throws {
    let original = try Tensor([1, 2, 3, 4], shape: [2, 2])
    var copy = original
    #expect(copy.storage === original.storage)
    try copy.setElement(at: [0, 0], to: 9)
    #expect(original.values == [1, 2, 3, 4])
    #expect(copy.values == [9, 2, 3, 4])
    // Sole owner: written in place.
    let memory = copy.storage.base
    try copy.setElement(at: [0, 1], to: 8)
    #expect(copy.storage.base == memory)
    var third = copy
    try third.withMutableFloats { $0[3] = 0 }
    #expect(copy.values == [9, 8, 3, 4] && third.values == [9, 8, 3, 0])
  }

  @Test func reshaping() throws {
    let t = try Tensor((0..<6).map(Float.init), shape: [2, 3])
    var r = try t.reshaped(to: [3, 1, 2])
    #expect(r.shape == [3, 1, 2] && r.values == t.values && r.storage === t.storage)
    try r.setElement(at: [0, 0, 0], to: 100)
    #expect(t.values[0] == 0)
    expectError(.shapeMismatch, "[4, 2] has 8 elements", "[2, 3] has 6") { _ = try t.reshaped(to: [4, 2]) }
    expectError(.shapeMismatch, "0 or more") { _ = try t.reshaped(to: [-6, -1]) }
  }

  @Test func equality() throws {
    let a = try Tensor([0, 1])
    #expect(try a == Tensor([-0.0, 1]))
    #expect(try a != Tensor([0, 2]))
    #expect(try a != Tensor([0, 1], shape: [2, 1]))
    let nan = try Tensor([.nan])
    #expect(nan != nan)
  }

  @Test func errorsSayTheirMessage() {
    let error = MartletError(.shapeMismatch, "words")
    #expect("\(error)" == "words")
    #expect(MartletError.Kind.allCases.map(\.rawValue) == Array(1...10))
  }
}
