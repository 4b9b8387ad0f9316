import MartletRuntime
import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct ArrayViewTests {
  /// Bytes of the values 0, 1, 2, … of a type.
  private func memory(_ type: DataType, count: Int) -> [UInt8] {
    (0..<count).flatMap { i -> [UInt8] in
      switch type {
      case .float32: withUnsafeBytes(of: Float(i)) { Array($0) }
      case .float64: withUnsafeBytes(of: Double(i)) { Array($0) }
      case .int32: withUnsafeBytes(of: Int32(i)) { Array($0) }
      case .int64: withUnsafeBytes(of: Int64(i)) { Array($0) }
      case .uint8: [UInt8(i)]
      }
    }
  }

  /// Every multi-index of a shape, in row-major order.
  private func indices(_ shape: [Int]) -> [[Int]] {
    shape.reduce([[]]) { list, dimension in list.flatMap { index in (0..<dimension).map { index + [$0] } } }
  }

  @Test(arguments: DataType.allCases) func randomStrides(_ type: DataType) throws {
    let seed = UInt64(4711 + type.rawValue)
    var random = TestRandom(seed: seed)
    let values = memory(type, count: 256)
    for round in 0..<200 {
      let shape = (0..<Int.random(in: 0...4, using: &random)).map { _ in Int.random(in: 0...3, using: &random) }
      let strides = shape.map { _ in Int.random(in: -9...9, using: &random) }
      let start = 128
      // A byte off its alignment half of the time.
      let off = round % 2
      let storage = try Storage(byteCount: values.count + 1)
      for (place, byte) in values.enumerated() { storage.base.storeBytes(of: byte, toByteOffset: off + place, as: UInt8.self) }
      let base = storage.base + off + start * type.byteCount
      let view = try ArrayView(base, type, shape: shape, strides: strides)
      let want = indices(shape).map { index in Float(zip(index, strides).reduce(start) { $0 + $1.0 * $1.1 }) }
      let got = try Tensor(copying: view)
      #expect(got.values == want, "seed \(seed), round \(round), \(shape) \(strides)")
      var doubles = [Double](repeating: -1, count: max(want.count, 1))
      view.copy(into: &doubles)
      #expect(want.isEmpty || doubles == want.map(Double.init), "seed \(seed), round \(round)")
      // Some rows, in any order.
      if let rows = shape.first, rows > 0, view.count > 0 {
        let order = [rows - 1, 0, rows / 2]
        let length = want.count / rows
        var target = [Float](repeating: 0, count: 3 * length)
        try order.withUnsafeBufferPointer { try view.copyRows($0, into: &target, Compute.shared, "x") }
        #expect(target == order.flatMap { want[$0 * length..<($0 + 1) * length] }, "seed \(seed), round \(round)")
      }
      withExtendedLifetime(storage) {}
    }
  }

  @Test func theUsualViews() throws {
    let t = try Tensor((0..<12).map(Float.init), shape: [3, 4])
    let base = t.storage.base
    func copy(_ offset: Int, _ shape: [Int], _ strides: [Int]) throws -> [Float] {
      try Tensor(copying: ArrayView(base + 4 * offset, .float32, shape: shape, strides: strides)).values
    }
    #expect(try copy(0, [4, 3], [1, 4]) == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11])
    #expect(try copy(11, [3, 4], [-4, -1]) == (0..<12).reversed().map(Float.init))
    #expect(try copy(2, [2, 3], [0, 0]) == [2, 2, 2, 2, 2, 2])
    #expect(try copy(1, [3, 2], [4, 2]) == [1, 3, 5, 7, 9, 11])
    #expect(try copy(0, [2, 4], [8, 1]) == [0, 1, 2, 3, 8, 9, 10, 11])
    withExtendedLifetime(t) {}
  }

  @Test func contiguity() throws {
    let t = try Tensor(shape: [24])
    func view(_ shape: [Int], _ strides: [Int]?) throws -> ArrayView {
      try ArrayView(t.storage.base, .float32, shape: shape, strides: strides)
    }
    #expect(try view([2, 3], nil).isContiguous)
    #expect(try view([2, 3], nil).strides == [3, 1])
    #expect(try !view([2, 3], [1, 2]).isContiguous)
    // The stride of an axis of one element says nothing.
    #expect(try view([1, 3], [77, 1]).isContiguous)
    #expect(try view([3, 0, 2], [5, -4, 3]).isContiguous)
    #expect(try view([2, 3], [6, 1]).rowsAreContiguous && !view([2, 3], [6, 1]).isContiguous)
    #expect(try ArrayView(t.storage.base + 1, .float32, shape: [2]).contiguousFloats == nil)
    withExtendedLifetime(t) {}
  }

  /// No strides and the strides they stand for are the same array in every way.
  @Test(arguments: [[], [5], [5, 1], [2, 3, 4], [1, 7, 1, 2], [3, 0, 2]]) func stridesLeftOut(_ shape: [Int]) throws {
    let count = shape.reduce(1, *)
    let t = try Tensor((0..<24).map(Float.init), shape: [24])
    let base = t.storage.base
    // Not by the library's own function: last axis fastest, no axis of less than one step.
    let steps = shape.indices.map { axis in shape[(axis + 1)...].reduce(1) { $0 * max($1, 1) } }
    let (plain, spelled) = try (
      ArrayView(base, .float32, shape: shape), ArrayView(base, .float32, shape: shape, strides: steps)
    )
    #expect(plain.strides == steps)
    for axis in shape.indices {
      #expect(plain.stride(axis) == steps[axis])
      #expect(spelled.stride(axis) == steps[axis])
    }
    #expect(plain.addresses == spelled.addresses)
    let first = Int(bitPattern: base)
    #expect(plain.addresses == (count == 0 ? nil : first..<first + 4 * count))
    #expect(plain.isContiguous && spelled.isContiguous)
    #expect(plain.isSameMemory(as: spelled))
    #expect(try Tensor(copying: plain).values == Tensor(copying: spelled).values)
    // Neighbours touch and do not overlap; one element back they do.
    if count > 0 {
      let after = try ArrayView(base + 4 * count, .float32, shape: [1])
      let last = try ArrayView(base + 4 * (count - 1), .float32, shape: [1])
      #expect(!plain.overlaps(after))
      #expect(plain.overlaps(last))
    }
    withExtendedLifetime(t) {}
  }

  @Test func errors() throws {
    let t = try Tensor(shape: [4])
    let base = t.storage.base
    expectError(.invalidArgument, "x: data is NULL", "[3]") { _ = try ArrayView(nil, .float32, shape: [3], argument: "x") }
    #expect(try ArrayView(nil, .float32, shape: [3, 0]).count == 0)
    expectError(.shapeMismatch, "x:", "[2, -3]") { _ = try ArrayView(base, .int32, shape: [2, -3], argument: "x") }
    expectError(.shapeMismatch, "2 came", "[3]") { _ = try ArrayView(base, .int32, shape: [3], strides: [1, 1]) }
    expectError(.shapeMismatch, "more elements than memory") { _ = try ArrayView(base, .uint8, shape: [1 << 32, 1 << 32]) }
    expectError(.shapeMismatch, "reach beyond all memory") {
      _ = try ArrayView(base, .float32, shape: [3], strides: [Int.max / 2])
    }
    expectError(.shapeMismatch, "reach beyond all memory") { _ = try ArrayView(base, .float32, shape: [3], strides: [Int.min]) }
    // An axis of one element is never stepped along.
    #expect(try ArrayView(base, .float32, shape: [1], strides: [Int.max]).count == 1)
    withExtendedLifetime(t) {}
  }

  @Test func sharedMemory() throws {
    let t = try Tensor(shape: [16])
    let base = t.storage.base
    func view(_ first: Int, _ count: Int, stride: Int = 1) throws -> ArrayView {
      try ArrayView(base + 4 * first, .float32, shape: [count], strides: [stride])
    }
    #expect(try view(0, 4).overlaps(view(3, 2)))
    #expect(try !view(0, 4).overlaps(view(4, 2)))
    #expect(try view(8, 4, stride: -1).overlaps(view(5, 1)))
    #expect(try !view(8, 4, stride: -1).overlaps(view(4, 1)))
    #expect(try !view(3, 0).overlaps(view(0, 16)))
    try ArrayView.checkSeparate(view(0, 4), "y", from: view(0, 4), "x", mayBeSame: true)
    expectError(.invalidArgument, "y shares memory with x", "or exactly that of x") {
      try ArrayView.checkSeparate(view(1, 4), "y", from: view(0, 4), "x", mayBeSame: true)
    }
    expectError(.invalidArgument, "y shares memory with x") {
      try ArrayView.checkSeparate(view(0, 4), "y", from: view(0, 4), "x")
    }
    withExtendedLifetime(t) {}
  }

  @Test func labelsAndCounters() throws {
    var wide: [Int64] = [3, -1, Int64(Int32.max) + 1, 0]
    try wide.withUnsafeMutableBytes { bytes in
      let view = try ArrayView(bytes.baseAddress, .int64, shape: [4])
      #expect((0..<4).map(view.label(row:)) == [3, -1, .min, 0])
      let reversed = try ArrayView(bytes.baseAddress.map { $0 + 24 }, .int64, shape: [4, 1], strides: [-1, 1])
      #expect(reversed.label(row: 3) == 3)
      let single = try ArrayView(bytes.baseAddress, .int64, shape: [])
      #expect(view.firstInteger == nil && single.firstInteger == 3)
    }
    var float: [Float] = [2.5, 4]
    try float.withUnsafeMutableBytes { bytes in
      let fraction = try ArrayView(bytes.baseAddress, .float32, shape: [1])
      let whole = try ArrayView(bytes.baseAddress.map { $0 + 4 }, .float32, shape: [1])
      #expect(fraction.firstInteger == nil && whole.firstInteger == 4)
    }
    var bytes: [UInt8] = [200]
    #expect(try ArrayView(&bytes, .uint8, shape: [1]).label(row: 0) == 200)
  }

  @Test func dataTypes() {
    #expect(DataType.allCases.map(\.name) == ["float32", "float64", "int32", "int64", "uint8"])
    #expect(DataType.allCases.map(\.byteCount) == [4, 8, 4, 8, 1])
    #expect(DataType.allCases.map(\.isInteger) == [false, false, true, true, true])
  }
}
