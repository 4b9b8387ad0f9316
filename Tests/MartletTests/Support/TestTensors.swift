// Small helpers of this target's tests: random tensors, tensors and variables by value, errors by kind and words.
import MartletTestSupport
import ReferenceKernels
import Testing

@testable import Martlet

/// Uniform random elements that a seed gives again.
func randomTensor(_ shape: [Int], seed: UInt64, _ range: ClosedRange<Float> = -1...1) throws -> Tensor {
  var random = TestRandom(seed: seed)
  return try Tensor(random.array(shape.reduce(1, *), range), shape: shape)
}

extension Tensor {
  var doubles: [Double] { values.map(Double.init) }
  var bits: [UInt32] { values.bits }
  /// The rows first..<last.
  func rows(_ range: Range<Int>) throws -> Tensor {
    let length = shape.dropFirst().reduce(1, *)
    return try Tensor(
      Array(values[range.lowerBound * length..<range.upperBound * length]), shape: [range.count] + shape.dropFirst())
  }
}

extension ArrayView {
  /// A copy of the elements.
  var copied: [Float] {
    guard let tensor = try? Tensor(copying: self) else { return [] }
    return tensor.values
  }
}

extension Variable {
  var values: [Float] { readingView.copied }
  var integer: Int64 { storage.integers.pointee }
  var gradientValues: [Float] { gradientValue?.copied ?? [] }
  func set(_ values: [Float]) {
    precondition(values.count == count && dataType == .float32)
    mutableFloats.update(from: values, count: count)
    didWrite()
  }
}

extension Model {
  func values(_ name: String) throws -> [Float] { try variable(named: name).values }
  /// Every byte of every variable, for "nothing has changed".
  var allBytes: [[UInt8]] {
    variables.map { Array(UnsafeRawBufferPointer(start: $0.storage.base, count: $0.count * $0.dataType.byteCount)) }
  }
}

/// Expects an error of this kind whose message has all these words.
func expectError(
  _ kind: MartletError.Kind, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
  guard let error = martletError(body) else {
    Issue.record("no error", sourceLocation: sourceLocation)
    return
  }
  #expect(error.kind == kind, "\(error.message)", sourceLocation: sourceLocation)
  for word in words {
    #expect(error.message.contains(word), "\"\(error.message)\" lacks \"\(word)\"", sourceLocation: sourceLocation)
  }
}

/// Expects got = want within an absolute tolerance, and says where it is worst.
func expectClose(
  _ got: [Float], _ want: [Double], within tolerance: Double, _ what: String = "",
  sourceLocation: SourceLocation = #_sourceLocation
) {
  guard got.count == want.count else {
    Issue.record("\(what): \(got.count) elements, \(want.count) wanted", sourceLocation: sourceLocation)
    return
  }
  let error = Reference.largestDifference(got, want)
  #expect(error <= tolerance, "\(what): off by \(error), tolerance \(tolerance)", sourceLocation: sourceLocation)
}

/// The largest size of an element; 0 of nothing.
func largest(_ values: [Double]) -> Double { values.reduce(0) { max($0, abs($1)) } }
func largest(_ values: [Float]) -> Double { Double(values.reduce(0) { max($0, abs($1)) }) }
